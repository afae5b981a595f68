import { expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import { proposeCard } from '../../../src/image/embedding/card.ts';
import { readGraph } from '../../../src/image/embedding/graph.ts';
import { applyProbe, probePixels } from '../../../src/image/embedding/probe.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { random } from '../../fixtures/frames.ts';
import { int, model, node, tensor, value } from '../../fixtures/onnxfile.ts';
import { hasOnnx } from '../../fixtures/onnxruntime.ts';

if (!hasOnnx) console.warn('networks are not probed: onnxruntime-node is not installed');

/** Pixels from 0 to 1, red first: is an image red, green or blue, and is it dark or bright? */
const bytes = model({
  nodes: [
    node('GlobalAveragePool', ['image'], ['p']),
    node('Flatten', ['p'], ['f'], [int('axis', 1)]),
    node('Gemm', ['f', 'w', 'b'], ['logits']),
    node('Softmax', ['logits'], ['y'], [int('axis', 1)]),
  ],
  inputs: [value('image', [1, 3, 32, 32])],
  outputs: [value('y', [1, 6])],
  initializers: [
    tensor(
      'w',
      [3, 6],
      [0, 1, 2].flatMap((c) => [0, 1, 2, 3, 4, 5].map((k) => (k % 3 === c ? 40 : 0) + (k < 3 ? -40 : 40))),
    ),
    tensor('b', [6], [40, 40, 40, -40, -40, -40]),
  ],
});

const uniform = random(11);
const images = Array.from({ length: 24 }, (_, i) => {
  const colour = i % 3;
  const isBright = i % 2 === 1;
  const [most, rest] = isBright ? [150 + 30 * uniform(), 80] : [90 + 30 * uniform(), 20];
  const data = new Uint8Array(40 * 40 * 3).map((_, at) => (at % 3 === colour ? most : rest) + 8 * uniform());
  const frame: Frame = { data, width: 40, height: 40, channels: 3 };
  return { frame, label: colour + (isBright ? 3 : 0) };
});

const { card } = proposeCard(readGraph(bytes), { sha256: '0'.repeat(64), name: 'colours', kind: 'onnx' });
const prepared = { card, files: [bytes], answers: [] };

it.skipIf(!hasOnnx)('labels tell how a network is fed, and what is clear is assumed no longer', async () => {
  const result = await probePixels(prepared, images, { core: loadCore() });
  const [best] = result.rules;
  expect(best).toMatchObject({ range: 'unit', colour: 'RGB', correct: 1 });
  expect(result.isClear).toEqual({ range: true, colour: true });
  expect(result.rules).toHaveLength(8);
  expect(result.rules.find(({ range, colour }) => range === 'unit' && colour === 'BGR')?.correct).toBeLessThan(0.5);
  const confirmed = applyProbe(
    { ...card, assumed: ['input.kernel', 'input.scale', 'input.mean', 'input.colour'] },
    result,
  );
  expect(confirmed.assumed).toEqual(['input.kernel']);
  expect(confirmed.input).toMatchObject({ scale: 1 / 255, mean: [0, 0, 0], colour: 'RGB' });
});

it.skipIf(!hasOnnx)(
  'without labels a range under which answers are all alike loses; colours that mirror each other stay open',
  async () => {
    const mirror = ({ frame }: (typeof images)[number]) => {
      const data = frame.data.map((_, at) => frame.data[at - (at % 3) + 2 - (at % 3)]);
      return { frame: { ...frame, data } };
    };
    const unlabelled = [...images.map(({ frame }) => ({ frame })), ...images.map(mirror)];
    const result = await probePixels(prepared, unlabelled, { core: loadCore(), ranges: ['unit', 'signed'] });
    expect(result.rules[0].range).toBe('unit');
    expect(result.rules[0].correct).toBeUndefined();
    // Every image is there in both orders: answers in either are equally sure.
    expect(result.isClear.colour).toBe(false);
    expect(applyProbe({ ...card, assumed: ['input.colour'] }, result).assumed).toEqual(['input.colour']);
  },
);
