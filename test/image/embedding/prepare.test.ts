import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgingOptions, loadConfig } from '../../../src/config.ts';
import { loadCore } from '../../../src/core/index.ts';
import { corrupt } from '../../../src/image/corruptions/corruptions.ts';
import { chooseModel } from '../../../src/image/embedding/choose.ts';
import { checkAnswers, type Embedder } from '../../../src/image/embedding/embedder.ts';
import { openPrepared } from '../../../src/image/embedding/open.ts';
import {
  prepareModel,
  proposeFor,
  readCard,
  readModel,
  resolveCardPath,
} from '../../../src/image/embedding/prepare.ts';
import { tryModel } from '../../../src/image/embedding/trial.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { renderFrame } from '../../fixtures/camera.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { hasOnnx } from '../../fixtures/onnxruntime.ts';

const path = fileURLToPath(new URL('../../../models/default.onnx', import.meta.url));
const card = readCard(resolveCardPath(path));
const temporary = temporaryFolder();
if (!hasOnnx) console.warn('The default model is not run: onnxruntime-node is not installed');

describe('the default model as a file', () => {
  it('has at most 4 MB and a million parameters of one graph', async () => {
    expect(statSync(path).size).toBeLessThanOrEqual(4_000_000);
    const { graph } = await readModel(path);
    expect(graph.parameters).toBeLessThan(1_000_000);
    expect(graph.opset).toBeGreaterThanOrEqual(13);
    expect(graph.nodes.filter(({ domain }) => domain !== '' && domain !== 'ai.onnx')).toEqual([]);
  });

  it('takes 128x128 pixels and any number of images', async () => {
    const { graph } = await readModel(path);
    expect(graph.inputs.map(({ name, shape }) => [name, typeof shape?.[0], shape?.slice(1)])).toEqual([
      ['image', 'string', [3, 128, 128]],
    ]);
  });

  it('has a card that vouches for these bytes, says its licence, its images and how to repeat it', async () => {
    const { sha256 } = await readModel(path);
    expect(card?.sha256).toBe(sha256);
    expect(card?.licence).toBe('Apache-2.0');
    expect(card?.description).toMatch(/from scratch/);
    const [repeat] = card?.description?.match(/models\/train\/\S+\.md/) ?? [];
    expect(readFileSync(fileURLToPath(new URL(`../../../${repeat}`, import.meta.url)), 'utf8')).toContain('train.py');
    expect(card?.answers.map(({ frame }) => frame)).toEqual(['ramps', 'noise', 'waves']);
  });
});

describe('how large a model may be', () => {
  const refused = { code: 'STOPLINE_ERR_MODEL_TOO_LARGE' };
  it('is a setting, in bytes and in operators, which a refusal names', async () => {
    const size = statSync(path).size;
    await expect(readModel(path, { maxModelBytes: size - 1 })).rejects.toMatchObject(refused);
    expect((await readModel(path, { maxModelBytes: size })).kind).toBe('onnx');
    const { graph } = await readModel(path);
    await expect(readModel(path, { maxModelNodes: graph.nodes.length - 1 })).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining('maxModelNodes'),
    });
    await expect(chooseModel(path, { maxModelNodes: 1 })).rejects.toMatchObject(refused);
    const { limits } = judgingOptions(loadConfig({ env: { STOPLINE_MAX_MODEL_NODES: '7' } }).config);
    expect(limits).toMatchObject({ maxModelNodes: 7, maxModelBytes: 200 * 1024 * 1024 });
  });

  it.skipIf(!hasOnnx)('holds wherever it is opened: in the trial, and in workers', async () => {
    const read = await readModel(path);
    const { card: proposed } = proposeFor(path, read);
    const limits = { maxModelNodes: 1 };
    await expect(tryModel({ files: read.files, card: proposed, limits })).rejects.toMatchObject(refused);
    const prepared = { files: read.files, card: proposed, limits, answers: [] };
    await expect(openPrepared(prepared, { core: loadCore() })).rejects.toMatchObject(refused);
  });
});

describe('a file of another framework', () => {
  it.each([
    ['model.h5', '\x89HDF\r\n', /HDF5.*\.export\(/],
    ['model.keras', 'PK\x03\x04', /zip file.*\.export\(/],
    ['model.pt', 'PK\x03\x04', /torch\.onnx\.export/],
    ['model.pth', '\x80\x02', /pickle.*torch\.onnx\.export/],
  ])('such as %s says how to export it', async (name, beginning, message) => {
    writeFileSync(join(temporary, name), Buffer.from(`${beginning} and more`, 'latin1'));
    await expect(readModel(join(temporary, name))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MODEL_UNSUPPORTED',
      message: expect.stringMatching(message),
    });
  });
});

describe.skipIf(!hasOnnx)('the default model when it runs', () => {
  let embedder: Embedder;
  const scenes = Array.from({ length: 16 }, (_, i) => renderFrame(i, { seed: 3, width: 320, height: 180 }));
  const under = (cause: string, severity: 1 | 3 | 5, seed: number) =>
    Promise.all(scenes.map((frame, i) => corrupt(frame, cause, severity, seed + i)));

  /** One part of the embedding of each frame. */
  async function embed(frames: readonly Frame[], kinds: readonly string[]): Promise<number[][]> {
    const rows = await embedder.embed(frames);
    return rows.map((row) =>
      embedder.info.parts.flatMap(({ kind, at, length }) =>
        kinds.includes(kind) ? [...row.subarray(at, at + length)] : [],
      ),
    );
  }
  const distance = (a: number[], b: number[]) => Math.hypot(...a.map((value, i) => value - b[i]));
  const cosine = (a: number[], b: number[]) =>
    a.reduce((sum, value, i) => sum + value * b[i], 0) / (Math.hypot(...a) * Math.hypot(...b));

  beforeAll(async () => {
    const { model } = await prepareModel(path);
    embedder = await openPrepared(model, { core: loadCore() });
  });
  afterAll(() => embedder.close());

  it('gives the known answers of its card', async () => {
    const checks = await checkAnswers(embedder, card?.answers ?? []);
    expect(checks.map(({ frame, ok }) => [frame, ok])).toEqual([
      ['ramps', true],
      ['noise', true],
      ['waves', true],
    ]);
  });

  it('gives 128 numbers of content, and level and peak of 24, 48 and 96 early channels', () => {
    const { parts, dimension, maxBatch } = embedder.info;
    expect(parts.map(({ kind, length }) => `${kind} ${length}`)).toEqual([
      'content 128',
      'level 24',
      'peak 24',
      'level 48',
      'peak 48',
      'level 96',
      'peak 96',
    ]);
    expect(dimension).toBe(128 + 2 * (24 + 48 + 96));
    expect(maxBatch).toBeGreaterThan(1);
  });

  // With random weights, 6 and 7 of the 16 are found.
  it.each([['gaussianNoise', 5] as const, ['cropZoom', 3] as const])(
    'takes a scene under %s of severity %i for that scene, not for another one of the same street camera',
    async (cause, severity) => {
      const clean = await embed(scenes, ['content']);
      const changed = await embed(await under(cause, severity, 50), ['content']);
      const found = changed.map((row) => {
        const distances = clean.map((other) => distance(row, other));
        return distances.indexOf(Math.min(...distances));
      });
      expect(found).toEqual(scenes.map((_, i) => i));
    },
  );

  it('takes a scene upside down for another one', async () => {
    const turned = scenes.map(({ data, ...frame }) => {
      const pixels = new Uint8Array(data.length);
      for (let i = 0; i < data.length; i++) pixels[i] = data[data.length - 3 - (i - (i % 3)) + (i % 3)];
      return { ...frame, data: pixels };
    });
    const [clean, noisy, upsideDown] = [
      await embed(scenes, ['content']),
      await embed(await under('gaussianNoise', 1, 50), ['content']),
      await embed(turned, ['content']),
    ];
    for (const [i, row] of clean.entries())
      expect(distance(row, upsideDown[i])).toBeGreaterThan(2 * distance(row, noisy[i]));
  });

  it.each(['gaussianNoise', 'defocusBlur', 'fog'])(
    'shows %s in its early channels in the same way whatever the scene',
    async (cause) => {
      const clean = await embed(scenes, ['level', 'peak']);
      const changed = await embed(await under(cause, 3, 9), ['level', 'peak']);
      const moves = changed.map((row, i) => row.map((value, c) => Math.log((value + 1e-3) / (clean[i][c] + 1e-3))));
      const alike: number[] = [];
      for (let i = 0; i < moves.length; i++) for (let j = 0; j < i; j++) alike.push(cosine(moves[i], moves[j]));
      expect(alike.reduce((sum, value) => sum + value, 0) / alike.length).toBeGreaterThan(0.5);
    },
  );
});
