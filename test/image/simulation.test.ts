import sharp from 'sharp';
import { expect, test } from 'vitest';
import { loadCore } from '../../src/core/index.ts';
import { decode } from '../../src/image/decode.ts';
import { proposeCard } from '../../src/image/embedding/card.ts';
import { createEmbedder } from '../../src/image/embedding/embedder.ts';
import { readGraph } from '../../src/image/embedding/graph.ts';
import { openOnnx } from '../../src/image/embedding/onnx.ts';
import { encodeLike, passThroughEncoder } from '../../src/image/encode.ts';
import { cropFrame } from '../../src/image/frame.ts';
import { measureBytes } from '../../src/image/measure.ts';
import { categoricalProperties } from '../../src/image/measured.ts';
import { measureSimulations } from '../../src/image/simulation.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { encodeFrame, renderFrame } from '../fixtures/camera.ts';
import { smallClassifier } from '../fixtures/onnxfile.ts';
import { hasOnnx } from '../fixtures/onnxruntime.ts';

const frame = renderFrame(1, { width: 320, height: 180 });

test('a crop is a part of the frame on the 8x8 grid, drawn from the seed', () => {
  const places = new Set<string>();
  for (let seed = 0; seed < 50; seed++) {
    const crop = cropFrame(frame, seed);
    expect(crop.width % 8).toBe(0);
    expect(crop.height % 8).toBe(0);
    expect(crop.width).toBeGreaterThanOrEqual(0.5 * 320);
    expect(crop.width).toBeLessThanOrEqual(0.95 * 320);
    expect(crop).toEqual(cropFrame(frame, seed));
    places.add(`${crop.width}x${crop.height}`);
  }
  expect(places.size).toBeGreaterThan(20);
});

test('the pixels of a crop are those of the frame at one place', () => {
  const numbered = { ...frame, data: frame.data.map((_, i) => Math.floor(i / 3) % 251) };
  const crop = cropFrame(numbered, 7);
  const stride = crop.width * 3;
  // Both coordinates of the first pixel follow from a search; then every row must match there.
  const rows = Array.from({ length: crop.height }, (_, y) => crop.data.subarray(y * stride, (y + 1) * stride));
  const isAt = (left: number, top: number) =>
    rows.every((row, y) => {
      const from = ((top + y) * 320 + left) * 3;
      return Buffer.compare(row, numbered.data.subarray(from, from + stride)) === 0;
    });
  let found = 0;
  for (let top = 0; top <= 180 - crop.height; top += 8) {
    for (let left = 0; left <= 320 - crop.width; left += 8) if (isAt(left, top)) found++;
  }
  expect(found).toBeGreaterThanOrEqual(1);
});

test('a small frame is left whole, a large crop is bounded', () => {
  const small = renderFrame(1, { width: 120, height: 90 });
  expect(cropFrame(small, 1)).toBe(small);
  const large = { data: new Uint8Array(4000 * 3000), width: 4000, height: 3000, channels: 1 } as const;
  for (let seed = 0; seed < 10; seed++) {
    const { width, height } = cropFrame(large, seed);
    expect(width * height).toBeLessThanOrEqual(400_000);
  }
});

test('simulations keep the encoder: a clean one measures almost the same, a noisy one is noisier', async () => {
  const bytes = await encodeFrame(frame, { quality: 92 });
  const core = loadCore();
  const [clean, noisy] = await measureSimulations(core, bytes, [
    { severity: 1, seed: 1, crop: false },
    { cause: 'gaussianNoise', severity: 1, seed: 1, crop: false },
  ]);
  const at = (name: string) => statistics.findIndex((statistic) => statistic.name === name);
  const original = await measureBytes(core, bytes);
  for (const image of [clean, noisy]) {
    expect(categoricalProperties(image)).toEqual(categoricalProperties(original));
    // Noise makes a larger file; that the image was encoded by us is no evidence either way.
    expect(image.statistics[at('bytesPerPixel')]).toBe(original.statistics[at('bytesPerPixel')]);
  }
  expect(noisy.statistics[at('noiseSigma')]).toBeGreaterThan(clean.statistics[at('noiseSigma')] + 5);
  expect(clean.statistics[at('latticeQuality')]).toBe(92);
});

test('what an encoder leaves of a frame is what its file decodes to, however the file is written', async () => {
  const open = () => sharp(frame.data, { raw: frame });
  const written = await Promise.all([
    open().jpeg({ quality: 92, chromaSubsampling: '4:4:4' }).toBuffer(),
    open().jpeg({ quality: 60, chromaSubsampling: '4:2:0' }).toBuffer(),
    open().jpeg({ quality: 75, progressive: true }).toBuffer(),
    open().webp().toBuffer(),
    open().png().toBuffer(),
  ]);
  for (const bytes of written) {
    const { container } = await decode(bytes);
    const { frame: expected } = await decode(await encodeLike(frame, container));
    const { data, width, height } = await passThroughEncoder(frame, container);
    expect([width, height]).toEqual([expected.width, expected.height]);
    expect(Buffer.compare(data, expected.data)).toBe(0);
  }
});

test('a large image is simulated at the size at which it is inspected, without traces of an encoder that it does not show', async () => {
  const core = loadCore();
  // 2048x1152 is above the 2.1 megapixels that are inspected as stored, so both sides are halved.
  const bytes = await encodeFrame(renderFrame(2, { width: 2048, height: 1152 }), { quality: 60 });
  const original = await measureBytes(core, bytes);
  const [clean] = await measureSimulations(core, bytes, [{ severity: 1, seed: 1, crop: false }]);
  expect([clean.width, clean.height]).toEqual([2048, 1152]);
  expect(clean.statistics).toEqual(original.statistics);
});

if (!hasOnnx) console.warn('no network is run: onnxruntime-node is not installed');

test.skipIf(!hasOnnx)(
  'a network that is model and classifier at once runs once a frame, and says the same as in two',
  async () => {
    const bytes = smallClassifier();
    const { card } = proposeCard(readGraph(bytes), { sha256: '0'.repeat(64), name: 'small', kind: 'onnx' });
    const core = loadCore();
    let runs = 0;
    const openCounted = async () => {
      const network = await openOnnx({ bytes, card });
      const run: typeof network.run = (...frames) => {
        runs++;
        return network.run(...frames);
      };
      return createEmbedder({ ...network, run }, card, core);
    };
    const [one, other] = [await openCounted(), await openCounted()];
    const plan = [
      { severity: 1, seed: 1, crop: false },
      { cause: 'fog', severity: 3, seed: 1, crop: false },
      { severity: 1, seed: 2, crop: true },
    ] as const;
    const source = await encodeFrame(frame);
    runs = 0;
    const both = await measureSimulations(core, source, plan, undefined, { embedder: one, classifier: one });
    expect(runs).toBe(2);
    const apart = await measureSimulations(core, source, plan, undefined, { embedder: one, classifier: other });
    expect(runs).toBe(6);
    expect(both.map(({ embedding, classScores }) => [embedding, classScores])).toEqual(
      apart.map(({ embedding, classScores }) => [embedding, classScores]),
    );
    expect(both[2].classScores).toBeUndefined();
    await Promise.all([one.close(), other.close()]);
  },
);
