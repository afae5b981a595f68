import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import { proposeCard } from '../../../src/image/embedding/card.ts';
import type { ModelCard } from '../../../src/image/embedding/cardschema.ts';
import { checkCard } from '../../../src/image/embedding/checkcard.ts';
import {
  checkAnswers,
  collectAnswers,
  createEmbedder,
  measureDifference,
} from '../../../src/image/embedding/embedder.ts';
import { readGraph } from '../../../src/image/embedding/graph.ts';
import { knownFrames } from '../../../src/image/embedding/knownframes.ts';
import { openOnnx } from '../../../src/image/embedding/onnx.ts';
import { openPrepared, type PreparedModel } from '../../../src/image/embedding/open.ts';
import { prepareModel, resolveCardPath } from '../../../src/image/embedding/prepare.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { anyFrame } from '../../fixtures/frames.ts';
import {
  int,
  integers,
  model,
  node,
  smallClassifier,
  smallWeights,
  tensor,
  tensorAttribute,
  value,
} from '../../fixtures/onnxfile.ts';
import { hasOnnx } from '../../fixtures/onnxruntime.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-onnx-'));
afterAll(() => rmSync(folder, { recursive: true }));
const core = loadCore();
if (!hasOnnx) console.warn('ONNX models are not run: onnxruntime-node is not installed');

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

function makeCard(bytes: Uint8Array): ModelCard {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return proposeCard(readGraph(bytes), { sha256, name: 'small', kind: 'onnx' }).card;
}

const makeFrame = (seed: number, width = 90, height = 70): Frame => ({
  data: anyFrame(width, height, 3, seed),
  width,
  height,
  channels: 3,
});

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => ({ code: error.code?.replace('STOPLINE_ERR_', ''), message: error.message as string }),
  );

/** The small net in float64, straight from its definition. */
function smallReference(frame: Frame, side: number): { features: number[]; logits: number[] } {
  const { layers, dense } = smallWeights();
  let map = [0, 1, 2].map((c) =>
    Array.from({ length: side }, (_, y) =>
      Array.from({ length: side }, (_, x) => frame.data[(y * side + x) * 3 + c] / 255),
    ),
  );
  for (const { shape, values, bias } of layers) {
    const [, depth] = shape;
    const size = Math.ceil(map[0].length / 2);
    const before = map;
    map = Array.from({ length: shape[0] }, (_, o) =>
      Array.from({ length: size }, (_, y) =>
        Array.from({ length: size }, (_, x) => {
          let sum = bias[o];
          for (let i = 0; i < depth; i++)
            for (let v = 0; v < 3; v++)
              for (let h = 0; h < 3; h++)
                sum += (before[i][2 * y + v - 1]?.[2 * x + h - 1] ?? 0) * values[((o * depth + i) * 3 + v) * 3 + h];
          return Math.max(0, sum);
        }),
      ),
    );
  }
  const features = map.map((rows) => rows.flat().reduce((a, b) => a + b) / rows.length ** 2);
  const logits = Array.from({ length: 5 }, (_, k) =>
    features.reduce((sum, f, i) => sum + f * dense.values[i * 5 + k], dense.bias[k]),
  );
  return { features, logits };
}

describe.skipIf(!hasOnnx)('an ONNX classifier', () => {
  it('is prepared without a card and gives its penultimate layer, early maps and class scores', async () => {
    const { model: prepared, guesses } = await prepareModel(file('small.onnx', smallClassifier()));
    expect(guesses.join('\n')).toMatch(/input\.scale, mean, std: 0 to 1, which is usual where PyTorch did not/);
    expect(prepared.card.assumed).toEqual(
      'kernel fit scale mean std colour'
        .split(' ')
        .map((field) => `input.${field}`)
        .concat('outputs.content', 'outputs.classes'),
    );
    expect(prepared.answers.map(({ frame }) => frame)).toEqual(['ramps', 'noise', 'waves']);
    const embedder = await openPrepared(prepared, { core });
    expect(embedder.info).toMatchObject({
      provider: 'cpu',
      device: 'cpu',
      dimension: 24 + 2 * 12 + 2 * 16,
      failed: [],
      maxBatch: 16,
    });
    expect(embedder.info.parts.map(({ kind, tensor, at, length }) => [kind, tensor, at, length])).toEqual([
      ['content', 'features', 0, 24],
      ['level', 'a2', 24, 12],
      ['peak', 'a2', 36, 12],
      ['level', 'a3', 48, 16],
      ['peak', 'a3', 64, 16],
    ]);
    // At its own size a frame is not resampled, so the whole way is known in closed form.
    const frame = makeFrame(8, 64, 64);
    const { features, logits } = smallReference(frame, 64);
    const [[row], [scores]] = [await embedder.embed([frame]), await embedder.classify([frame])];
    expect(measureDifference(row.subarray(0, 24), features)).toBeLessThan(1e-5);
    expect(measureDifference(scores, logits)).toBeLessThan(1e-5);
    await embedder.close();
  });

  it('gives the same rows in batches of any size', async () => {
    const bytes = smallClassifier();
    const embedder = await createEmbedder(await openOnnx({ bytes, card: makeCard(bytes) }), makeCard(bytes), core);
    const frames = Array.from({ length: 21 }, (_, i) => makeFrame(i));
    const together = await embedder.embed(frames);
    expect(together).toHaveLength(21);
    for (const [i, frame] of frames.entries()) {
      const [alone] = await embedder.embed([frame]);
      expect(measureDifference(alone, together[i])).toBeLessThan(1e-5);
    }
    expect(measureDifference(together[0], together[1])).toBeGreaterThan(0.01);
    expect(await embedder.embed([])).toEqual([]);
  });

  it('with a fixed batch of 1 takes one frame at a time; a larger fixed batch is refused', async () => {
    const bytes = smallClassifier({ batch: 1 });
    const embedder = await createEmbedder(await openOnnx({ bytes, card: makeCard(bytes) }), makeCard(bytes), core);
    expect(embedder.info.maxBatch).toBe(1);
    expect(await embedder.embed([makeFrame(1), makeFrame(2)])).toHaveLength(2);
    const four = smallClassifier({ batch: 4 });
    expect(await failure(openOnnx({ bytes: four, card: makeCard(four) }))).toMatchObject({ code: 'MODEL_UNSUPPORTED' });
  });

  it('takes channels last where the input is so', async () => {
    const perm = makeAttribute('perm', [0, 3, 1, 2]);
    const bytes = model({
      nodes: [
        node('Transpose', ['image'], ['t'], [perm]),
        node('GlobalAveragePool', ['t'], ['p']),
        node('Flatten', ['p'], ['y']),
      ],
      inputs: [value('image', ['N', 32, 32, 3])],
      outputs: [value('y', ['N', 3])],
    });
    const card = { ...makeCard(bytes), outputs: { content: 'y', early: [] } };
    expect(card.input).toMatchObject({ layout: 'NHWC', width: 32, height: 32, channels: 3 });
    card.input = { ...card.input, kernel: 'area', scale: 1, mean: [0, 0, 0], std: [1, 1, 1] };
    const embedder = await createEmbedder(await openOnnx({ bytes, card }), card, core);
    const frame: Frame = {
      data: new Uint8Array(40 * 40 * 3).map((_, i) => [10, 90, 200][i % 3]),
      width: 40,
      height: 40,
      channels: 3,
    };
    const [row] = await embedder.embed([frame]);
    for (const [c, mean] of [10, 90, 200].entries()) expect(row[c]).toBeCloseTo(mean, 3);
  });

  it('gives whole numbers of the graph as they are', async () => {
    const bytes = model({
      nodes: [
        node('GlobalAveragePool', ['image'], ['p']),
        node('Flatten', ['p'], ['f']),
        node('Shape', ['f'], ['s']),
        node('Expand', ['s', 'two'], ['y']),
      ],
      inputs: [value('image', [1, 3, 32, 32])],
      outputs: [value('y', [1, 2], 7)],
      initializers: [integers('two', [1, 2])],
    });
    const card = { ...makeCard(bytes), outputs: { content: 'y', early: [] } };
    const embedder = await createEmbedder(await openOnnx({ bytes, card }), card, core);
    expect([...(await embedder.embed([makeFrame(1)]))[0]]).toEqual([1, 3]);
    await embedder.close();
  });

  it.each([
    ['uint8', 2, 0],
    ['int8', 3, -128],
    ['int32', 6, 0],
  ] as const)('an input of %s takes pixels as they are', async (type, code, shift) => {
    const bytes = model({
      nodes: [
        node('Cast', ['image'], ['x'], [int('to', 1)]),
        node('GlobalAveragePool', ['x'], ['p']),
        node('Flatten', ['p'], ['y']),
      ],
      inputs: [value('image', [1, 3, 32, 32], code)],
      outputs: [value('y', [1, 3])],
    });
    const card = makeCard(bytes);
    expect(card.input).toMatchObject({ type, scale: 1, std: [1, 1, 1] });
    expect(card.assumed).not.toContain('input.scale');
    const embedder = await createEmbedder(await openOnnx({ bytes, card }), card, core);
    const data = new Uint8Array(32 * 32 * 3).map((_, i) => [0, 100, 255][i % 3]);
    const [row] = await embedder.embed([{ data, width: 32, height: 32, channels: 3 }]);
    expect([...row]).toEqual([shift, 100 + shift, 255 + shift]);
    await embedder.close();
  });

  it('an input of float16 is given halves, and halves are read', async () => {
    const bytes = model({
      nodes: [node('GlobalAveragePool', ['image'], ['p']), node('Flatten', ['p'], ['y'])],
      inputs: [value('image', [1, 3, 32, 32], 10)],
      outputs: [value('y', [1, 3], 10)],
    });
    const card = makeCard(bytes);
    expect(card.input.type).toBe('float16');
    const embedder = await createEmbedder(await openOnnx({ bytes, card }), card, core);
    const data = new Uint8Array(32 * 32 * 3).map((_, i) => [0, 51, 255][i % 3]);
    const [row] = await embedder.embed([{ data, width: 32, height: 32, channels: 3 }]);
    // Half of a float16's last bit at 0.2 is 2^-14.
    for (const [i, expected] of [0, 0.2, 1].entries())
      expect(Math.abs(row[i] - expected)).toBeLessThanOrEqual(2 ** -14);
    await embedder.close();
  });

  it('with a batch of 1 hidden in a reshape still takes many frames, one by one', async () => {
    const bytes = model({
      nodes: [
        node(
          'AveragePool',
          ['image'],
          ['p'],
          [
            ...[
              ['kernel_shape', [8, 8]],
              ['strides', [8, 8]],
            ].map(([name, list]) => makeAttribute(name as string, list as number[])),
          ],
        ),
        node('Reshape', ['p', 'shape'], ['y']),
      ],
      inputs: [value('image', ['N', 3, 32, 32])],
      outputs: [value('y', [1, 48])],
      initializers: [integers('shape', [1, 48])],
    });
    const card = { ...makeCard(bytes), outputs: { content: 'y', early: [] } };
    const embedder = await createEmbedder(await openOnnx({ bytes, card }), card, core);
    expect(embedder.info).toMatchObject({ maxBatch: 1, dimension: 48 });
    expect(await embedder.embed([makeFrame(1), makeFrame(2)])).toHaveLength(2);
  });

  it('on a machine without a graphics card falls back to the CPU and keeps every reason', async () => {
    const { model: prepared } = await prepareModel(file('gpu.onnx', smallClassifier()));
    const embedder = await openPrepared(prepared, { core, device: 'gpu' });
    const { provider, failed } = embedder.info;
    const tried = failed.map((one) => one.provider);
    expect(['cuda', 'tensorrt', 'webgpu', 'cpu'].slice(0, tried.length)).toEqual(tried);
    expect(['cuda', 'tensorrt', 'webgpu', 'cpu'][tried.length]).toBe(provider);
    for (const { reason } of failed) expect(reason.length).toBeGreaterThan(10);
  });

  it('works in worker threads, each with a session of its own', async () => {
    const { model: prepared } = await prepareModel(file('worker.onnx', smallClassifier()));
    const url = (path: string) => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href);
    const code = `import { parentPort, workerData } from 'node:worker_threads';
      const { openPrepared } = await import(${url('image/embedding/open.ts')});
      const { loadCore } = await import(${url('core/index.ts')});
      const { knownFrames } = await import(${url('image/embedding/knownframes.ts')});
      const embedder = await openPrepared(workerData, { core: loadCore() });
      const [row] = await embedder.embed([knownFrames.waves()]);
      await embedder.close();
      parentPort.postMessage(row);`;
    const rows = await Promise.all(
      [1, 2].map(
        () =>
          new Promise<Float32Array>((resolve, reject) => {
            const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
              workerData: prepared,
            });
            worker.once('message', resolve).once('error', reject);
          }),
      ),
    );
    const [here] = await (await openPrepared(prepared, { core })).embed([knownFrames.waves()]);
    for (const row of rows) expect(measureDifference(row, here)).toBeLessThan(1e-6);
  });

  it('is refused when it is not the model of its card, or does not give the known answers', async () => {
    const path = file('known.onnx', smallClassifier());
    const { model: prepared } = await prepareModel(path);
    // As somebody has confirmed it: what is assumed stays a guess until then.
    const { assumed, ...confirmed } = prepared.card;
    expect(assumed?.length).toBeGreaterThan(0);
    const card: ModelCard = { ...confirmed, answers: prepared.answers };
    writeFileSync(resolveCardPath(path), JSON.stringify(card));
    expect((await prepareModel(path)).guesses).toEqual([]);

    const other = await failure(prepareModel(file('known.onnx', smallClassifier({ seed: 2 }))));
    expect(other).toMatchObject({ code: 'MODEL_CHECKSUM' });
    file('known.onnx', smallClassifier());

    // Pixels 0 to 255 instead of 0 to 1: a model that runs and answers, wrongly.
    const spoilt = { ...card, input: { ...card.input, scale: 1 } };
    const wrong = await failure(openPrepared({ ...prepared, answers: [], card: spoilt }, { core }));
    expect(wrong).toMatchObject({ code: 'MODEL_ANSWER', message: expect.stringContaining('of the largest number') });
    const embedder = await openPrepared({ ...prepared, answers: [], card: { ...spoilt, answers: [] } }, { core });
    const checks = await checkAnswers(embedder, card.answers);
    expect(checks.map(({ ok }) => ok)).toEqual([false, false, false]);
    expect((await checkAnswers(embedder, await collectAnswers(embedder))).every(({ ok }) => ok)).toBe(true);
  });
});

const makeAttribute = (name: string, list: number[]) => {
  const parts = list.map((n) => Buffer.from([8 * 8, n]));
  return {
    name,
    bytes: Buffer.concat([Buffer.from([10, name.length]), Buffer.from(name), ...parts, Buffer.from([0xa0, 1, 7])]),
  };
};

describe.skipIf(!hasOnnx)('the first load, in a process of its own', () => {
  /** Square matrices made at run time, multiplied over and over: a few hundred bytes of model. */
  function bomb(side: number, products: number): Uint8Array {
    const nodes = [
      node('ReduceMean', ['image'], ['m'], []),
      node('ConstantOfShape', ['sides'], ['z'], [tensorAttribute('value', tensor('', [1], [0.001]))]),
      node('Add', ['z', 'm2'], ['p0']),
      ...Array.from({ length: products }, (_, i) => node('MatMul', [`p${i}`, `p${i}`], [`p${i + 1}`])),
      node('ReduceMax', [`p${products}`], ['y']),
    ];
    nodes.splice(1, 0, node('Reshape', ['m', 'one'], ['m2']));
    return model({
      nodes,
      inputs: [value('image', [1, 3, 32, 32])],
      outputs: [value('y', [1, 1])],
      initializers: [integers('sides', [side, side]), integers('one', [1])],
    });
  }
  const prepare = (bytes: Uint8Array, name: string, limits?: { seconds?: number; bytes?: number }) => {
    const card = { ...makeCard(bytes), outputs: { content: 'y', early: [] } };
    return failure(prepareModel(file(name, bytes), { card, trial: limits }));
  };

  it('ends one that would run for hours', async () => {
    const result = await prepare(bomb(4000, 200), 'slow.onnx', { seconds: 6 });
    expect(result).toEqual({ code: 'MODEL_FAILED', message: expect.stringContaining('more than 6 s') });
  });

  it.skipIf(process.platform !== 'linux')('ends one that wants more memory than a model may', async () => {
    const result = await prepare(bomb(20_000, 1), 'large.onnx');
    expect(result?.code).toBe('MODEL_FAILED');
    expect(result?.message).toMatch(/alloc|memory/i);
  });

  it('reports what the runtime says of a model that only looks sound', async () => {
    const bytes = model({
      nodes: [node('Relu', ['image', 'image', 'image'], ['y'])],
      inputs: [value('image', [1, 3, 32, 32])],
      outputs: [value('y', [1, 3, 32, 32])],
    });
    const result = await prepare(bytes, 'odd.onnx');
    expect(result).toEqual({ code: 'MODEL_FAILED', message: expect.stringContaining('cpu: ') });
  });

  it('reports numbers that are not finite, and outputs that are no rows of the batch', async () => {
    const log = model({
      nodes: [node('Sub', ['image', 'image'], ['z']), node('Log', ['z'], ['y'])],
      inputs: [value('image', [1, 3, 32, 32])],
      outputs: [value('y', [1, 3, 32, 32])],
    });
    expect((await prepare(log, 'log.onnx'))?.message).toContain('finite');
    const shape = model({
      nodes: [node('Shape', ['image'], ['s']), node('Cast', ['s'], ['y'], [])],
      inputs: [value('image', [1, 3, 32, 32])],
      outputs: [value('y', [4])],
    });
    expect((await prepare(shape, 'shape.onnx'))?.code).toMatch(/MODEL_(UNSUPPORTED|FAILED)/);
  });
});

describe('files and cards', () => {
  it.each([
    ['no such file', () => join(folder, 'none.onnx'), 'MODEL_UNREADABLE'],
    ['a folder', () => folder, 'MODEL_UNREADABLE'],
    ['no model', () => file('text.onnx', Buffer.from('not a model at all, only text')), 'MODEL_INVALID'],
    ['an input that is no image', () => file('vector.onnx', vectorModel()), 'MODEL_UNSUPPORTED'],
    ['an input of 64-bit integers', () => file('bytes.onnx', vectorModel([1, 3, 8, 8], 7)), 'MODEL_UNSUPPORTED'],
  ])('%s', async (_, path, code) => {
    expect((await failure(prepareModel(path())))?.code).toBe(code);
  });

  const vectorModel = (shape: number[] = [1, 10], type = 1) =>
    model({
      nodes: [node('Relu', ['x'], ['y'])],
      inputs: [value('x', shape, type)],
      outputs: [value('y', shape)],
    });

  it('follows a link that the user names, but not a card that is one', async () => {
    const path = file('linked.onnx', smallClassifier());
    symlinkSync('/etc/passwd', resolveCardPath(path));
    expect((await failure(prepareModel(path)))?.code).toBe('MODEL_UNREADABLE');
  });

  const bytes = smallClassifier();
  it.each<[string, (card: ModelCard) => unknown, RegExp]>([
    ['another version', (card) => ({ ...card, version: 2 }), /version/],
    ['something unknown', (card) => ({ ...card, surprise: 1 }), /surprise|additional/],
    ['a mean of the wrong length', (card) => ({ ...card, input: { ...card.input, mean: [0] } }), /3 numbers/],
    ['a deviation of 0', (card) => ({ ...card, input: { ...card.input, std: [0, 1, 1] } }), /std/],
    ['a sha256 that is none', (card) => ({ ...card, sha256: 'abc' }), /sha256/],
    ['no object', () => null, /must be object/],
  ])('a card with %s is refused', (_, change, message) => {
    const changed = change(makeCard(bytes));
    expect(() => checkCard(changed)).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_MODEL_CARD', message: expect.stringMatching(message) }),
    );
  });

  it.each<[string, (card: ModelCard) => ModelCard]>([
    ['another input', (card) => ({ ...card, input: { ...card.input, name: 'x' } })],
    ['another size', (card) => ({ ...card, input: { ...card.input, width: 65 } })],
    ['another layout', (card) => ({ ...card, input: { ...card.input, layout: 'NHWC' } })],
    ['a tensor that is not there', (card) => ({ ...card, outputs: { content: 'x', early: [] } })],
    ['the same layer twice', (card) => ({ ...card, outputs: { content: 'a2', early: ['a2'] } })],
  ])('a card with %s does not fit', async (_, change) => {
    const card = change(makeCard(bytes));
    expect((await failure(openOnnx({ bytes, card })))?.code).toBe('MODEL_CARD');
  });

  it('a layout that the file leaves open is the usual one of the exporter', () => {
    const open = smallClassifier({ side: 'S' });
    expect(makeCard(open).input).toMatchObject({ layout: 'NCHW', width: 224, height: 224 });
  });
});

it('without onnxruntime-node the error names what to type', () => {
  // The package is hidden from a process of its own.
  const hide = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      if (name === 'onnxruntime-node') throw Object.assign(new Error("Cannot find package 'onnxruntime-node'"), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    } });
    const { loadOnnxRuntime } = await import(${JSON.stringify(new URL('../../../src/image/embedding/onnx.ts', import.meta.url).href)});
    await loadOnnxRuntime().catch(({ code, message }) => console.log(code, message));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', hide], { encoding: 'utf8' });
  expect(stdout).toMatch(/^STOPLINE_ERR_MODEL_RUNTIME .*npm install onnxruntime-node/);
});

const real = fileURLToPath(new URL('../../../../shared/data/model/FastestDet.onnx', import.meta.url));
if (!existsSync(real)) console.warn('FastestDet is skipped: ../shared/data is not here');
it.skipIf(!hasOnnx || !existsSync(real))('a real detector: one row of its backbone for each frame', async () => {
  const { model: prepared } = await prepareModel(real);
  const embedder = await openPrepared(prepared satisfies PreparedModel, { core });
  expect(embedder.info.dimension).toBe(192 + 2 * (24 + 48 + 96));
  const [ramps, noise] = await embedder.embed([knownFrames.ramps(), knownFrames.noise()]);
  expect(measureDifference(ramps, noise)).toBeGreaterThan(0.01);
});
