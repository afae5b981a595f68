import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import { measureDifference } from '../../../src/image/embedding/embedder.ts';
import { findLayers } from '../../../src/image/embedding/layers.ts';
import { openPrepared, type PreparedModel } from '../../../src/image/embedding/open.ts';
import { prepareModel, readModel } from '../../../src/image/embedding/prepare.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { anyFrame } from '../../fixtures/frames.ts';
import { smallClassifier, smallWeights } from '../../fixtures/onnxfile.ts';
import { hasOnnx } from '../../fixtures/onnxruntime.ts';
import { tensorflowConvolutions, type Weight } from '../../fixtures/tfnetwork.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-tfjs-'));
afterAll(() => rmSync(folder, { recursive: true }));
const core = loadCore();
if (!hasOnnx) console.warn('TensorFlow.js is not compared with ONNX: onnxruntime-node is not installed');

const frames: Frame[] = [0, 1, 2, 3].map((seed) => ({
  data: anyFrame(101, 67, 3, seed),
  width: 101,
  height: 67,
  channels: 3,
}));

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => ({ code: error.code?.replace('STOPLINE_ERR_', ''), message: error.message as string }),
  );

function write(name: string, modelTopology: unknown, weights: Weight[], shard = 'group1-shard1of1.bin'): string {
  const path = join(folder, name, 'model.json');
  mkdirSync(dirname(path), { recursive: true });
  const manifest = [
    { paths: [shard], weights: weights.map(({ name, shape, dtype = 'float32' }) => ({ name, shape, dtype })) },
  ];
  writeFileSync(path, JSON.stringify({ format: 'graph-model', modelTopology, weightsManifest: manifest }));
  const bytes = weights.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  if (!shard.includes('/')) writeFileSync(join(dirname(path), shard), Buffer.concat(bytes));
  return path;
}

const node = (name: string, op: string, input: string[] = [], attr: object = {}) => ({ name, op, input, attr });
const float = { T: { type: 'DT_FLOAT' } };
const list = (...i: number[]) => ({ list: { i: i.map(String) } });

const matrixProduct = node('product', 'MatMul', ['features', 'dense'], {
  ...float,
  transpose_a: { b: false },
  transpose_b: { b: false },
});

/** The same as Keras writes dense layers of more than one axis. */
const einsumProduct = (equation = 'ab,bc->ac') =>
  node('product', 'Einsum', ['features', 'dense'], {
    ...float,
    equation: { s: Buffer.from(equation).toString('base64') },
  });
const einsumModel = () => graphModel('einsum', [], undefined, einsumProduct());

/** A graph model, as tensorflowjs_converter writes it, of the same net. */
function graphModel(name = 'graph', more: object[] = [], shard?: string, product: object = matrixProduct): string {
  const layers = tensorflowConvolutions();
  const { dense } = smallWeights();
  const weights: Weight[] = layers.flatMap(({ kernel, bias }) => [kernel, bias]);
  weights.push({ name: 'dense', ...dense }, { name: 'dense_bias', shape: [5], values: dense.bias });
  const paddings = new Float32Array(Int32Array.of(0, 0, 1, 1, 1, 1, 0, 0).buffer);
  weights.push({ name: 'paddings', shape: [4, 2], values: paddings, dtype: 'int32' });
  const axes = new Float32Array(Int32Array.of(1, 2).buffer);
  weights.push({ name: 'axes', shape: [2], values: axes, dtype: 'int32' });
  const size = [-1, 64, 64, 3].map((side) => ({ size: String(side) }));
  const nodes: object[] = weights.map(({ name, shape, dtype }) =>
    node(name, 'Const', [], {
      dtype: { type: dtype === 'int32' ? 'DT_INT32' : 'DT_FLOAT' },
      value: {
        tensor: {
          dtype: dtype === 'int32' ? 'DT_INT32' : 'DT_FLOAT',
          tensorShape: { dim: shape.map((s) => ({ size: String(s) })) },
        },
      },
    }),
  );
  nodes.push(node('image', 'Placeholder', [], { dtype: { type: 'DT_FLOAT' }, shape: { shape: { dim: size } } }));
  layers.forEach(({ kernel, bias }, i) => {
    const conv = {
      ...float,
      strides: list(1, 2, 2, 1),
      dilations: list(1, 1, 1, 1),
      padding: { s: Buffer.from('VALID').toString('base64') },
      data_format: { s: Buffer.from('NHWC').toString('base64') },
    };
    nodes.push(
      node(`p${i + 1}`, 'Pad', [i === 0 ? 'image' : `a${i}`, 'paddings'], float),
      node(`c${i + 1}`, 'Conv2D', [`p${i + 1}`, kernel.name], conv),
      node(`b${i + 1}`, 'BiasAdd', [`c${i + 1}`, bias.name], float),
      node(`a${i + 1}`, 'Relu', [`b${i + 1}`], float),
    );
  });
  nodes.push(
    node('features', 'Mean', ['a4', 'axes'], { ...float, keep_dims: { b: false } }),
    product,
    node('logits', 'BiasAdd', ['product', 'dense_bias'], float),
    node('probabilities', 'Softmax', ['logits'], float),
    ...more,
  );
  return write(name, { node: nodes, versions: { producer: 1 } }, weights, shard);
}

/** A layers model, as Keras models are saved, of the same net. */
function layersModel(): string {
  const layers = tensorflowConvolutions();
  const { dense } = smallWeights();
  const config: object[] = [];
  const weights: Weight[] = [];
  layers.forEach(({ kernel, bias }, i) => {
    const first = i === 0 ? { batch_input_shape: [null, 64, 64, 3] } : {};
    config.push(
      {
        class_name: 'ZeroPadding2D',
        config: {
          name: `p${i + 1}`,
          padding: [
            [1, 1],
            [1, 1],
          ],
          data_format: 'channels_last',
          ...first,
        },
      },
      {
        class_name: 'Conv2D',
        config: {
          name: `a${i + 1}`,
          filters: bias.shape[0],
          kernel_size: [3, 3],
          strides: [2, 2],
          padding: 'valid',
          activation: 'relu',
        },
      },
    );
    weights.push({ ...kernel, name: `a${i + 1}/kernel` }, { ...bias, name: `a${i + 1}/bias` });
  });
  config.push(
    { class_name: 'GlobalAveragePooling2D', config: { name: 'features' } },
    { class_name: 'Dense', config: { name: 'scores', units: 5, activation: 'linear' } },
  );
  weights.push({ name: 'scores/kernel', ...dense }, { name: 'scores/bias', shape: [5], values: dense.bias });
  const topology = {
    keras_version: '2.4.0',
    backend: 'tensorflow',
    model_config: { class_name: 'Sequential', config: { name: 'small', layers: config } },
  };
  return write('layers', topology, weights);
}

describe('TensorFlow.js models', () => {
  it.each([
    ['graph', graphModel, { content: 'features', early: ['a2', 'a3'], classes: 'logits' }],
    ['graph with Einsum', einsumModel, { content: 'features', early: ['a2', 'a3'], classes: 'logits' }],
    ['layers', layersModel, { content: 'features', early: ['a2', 'a3'], classes: 'scores' }],
  ])('the layers of a %s model are found as in ONNX', async (_, make, expected) => {
    const { graph, kind } = await readModel(make());
    expect(kind).toMatch(/^tfjs-/);
    expect(findLayers(graph)).toMatchObject(expected);
  });

  it.skipIf(!hasOnnx).each([
    ['graph', graphModel],
    ['graph with Einsum', einsumModel],
    ['layers', layersModel],
  ])('a %s model gives the embeddings of the same network in ONNX, within 1e-4', async (_, make) => {
    const path = join(folder, 'same.onnx');
    writeFileSync(path, smallClassifier());
    const onnx = await openPrepared((await prepareModel(path)).model, { core });
    const { model } = await prepareModel(make());
    expect(model.card.input).toMatchObject({ layout: 'NHWC', width: 64, height: 64 });
    const tensorflow = await openPrepared(model satisfies PreparedModel, { core });
    expect(tensorflow.info).toMatchObject({
      provider: 'wasm',
      device: 'cpu',
      dimension: onnx.info.dimension,
      maxBatch: 16,
    });
    expect(tensorflow.info.failed).toEqual([{ provider: 'tensorflow', reason: expect.stringContaining('tfjs-node') }]);
    const [expected, received] = [await onnx.embed(frames), await tensorflow.embed(frames)];
    for (const [i, row] of received.entries()) expect(measureDifference(row, expected[i])).toBeLessThan(1e-4);
    const [scores, given] = [await onnx.classify(frames), await tensorflow.classify(frames)];
    for (const [i, row] of given.entries()) expect(measureDifference(row, scores[i])).toBeLessThan(1e-4);
    await tensorflow.close();
  });

  it('a graph whose nodes are listed backwards has the same layers', async () => {
    const { graph } = await readModel(graphModel('forwards'));
    expect(findLayers({ ...graph, nodes: graph.nodes.toReversed() })).toEqual(findLayers(graph));
  });

  it('one changed weight is another model', async () => {
    const first = await readModel(graphModel('one'));
    expect(first.files).toHaveLength(2);
    const path = graphModel('two');
    const weights = Buffer.from(first.files[1]);
    weights[100] ^= 1;
    writeFileSync(join(dirname(path), 'group1-shard1of1.bin'), weights);
    expect((await readModel(path)).sha256).not.toBe(first.sha256);
  });
});

describe('hostile TensorFlow.js models are refused', () => {
  it.each(['../graph/group1-shard1of1.bin', '/etc/passwd', '..', 'a/b.bin', 'http://127.0.0.1/x'])(
    'weights called %s',
    async (shard) => {
      expect(
        (await failure(prepareModel(graphModel('path', [], shard.includes('/') ? shard : `/${shard}`))))?.code,
      ).toBe('MODEL_EXTERNAL_DATA');
    },
  );

  it.each(['While', 'StatelessWhile', 'LoopCond', 'NextIteration', 'RandomUniform', 'MatrixBandPart', 'toString'])(
    'the operator %s, where every output needs it',
    async (op) => {
      const path = graphModel('operator', [node('odd', op, ['probabilities']), node('answer', 'Relu', ['odd'])]);
      const refusal = await failure(prepareModel(path));
      expect(refusal?.code).toBe('MODEL_OPERATOR');
      expect(refusal?.message).toContain(`every output needs "${op}"`);
    },
  );

  it('an Einsum that is not run, by what it lacks', async () => {
    const refusal = await failure(prepareModel(graphModel('diagonal', [], undefined, einsumProduct('aa,bc->ac'))));
    expect(refusal?.code).toBe('MODEL_OPERATOR');
    expect(refusal?.message).toContain('"Einsum of a letter twice in one term"');
  });

  it('but not where an output does without; and what needs it cannot be asked for', async () => {
    const path = graphModel('part', [node('odd', 'While', ['logits']), node('boxes', 'Relu', ['odd'])]);
    const { model } = await prepareModel(path);
    expect(model.card.outputs).toMatchObject({ content: 'features', classes: 'logits' });
    const card = { ...model.card, outputs: { ...model.card.outputs, classes: 'boxes' } };
    expect(await failure(prepareModel(path, { card }))).toMatchObject({
      code: 'MODEL_OPERATOR',
      message: expect.stringContaining('"boxes" needs "While"'),
    });
  });

  it('broken JSON, another schema, no topology', async () => {
    for (const text of [
      '{',
      '[]',
      '{"modelTopology": {}, "weightsManifest": []}',
      '{"modelTopology": {"node": [1]}, "weightsManifest": []}',
    ]) {
      const path = join(folder, 'broken.json');
      writeFileSync(path, text);
      expect((await failure(prepareModel(path)))?.code, text).toBe('MODEL_INVALID');
    }
  });

  it('missing and short weights', async () => {
    const path = graphModel('missing');
    const shard = join(dirname(path), 'group1-shard1of1.bin');
    writeFileSync(shard, Buffer.alloc(100));
    expect((await failure(prepareModel(path)))?.code).toBe('MODEL_FAILED');
    rmSync(shard);
    expect((await failure(prepareModel(path)))?.code).toBe('MODEL_UNREADABLE');
  });
});

it('without the packages the error names what to type', () => {
  const hide = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      if (name.startsWith('@tensorflow/')) throw new Error('Cannot find package');
      return next(name, context);
    } });
    const { readFileSync } = await import('node:fs');
    const { openTfjs } = await import(${JSON.stringify(new URL('../../../src/image/embedding/tfjs.ts', import.meta.url).href)});
    const files = [readFileSync(${JSON.stringify(graphModel('hidden'))})];
    await openTfjs({ files, card: { outputs: { content: 'x', early: [] } } }).catch(({ code, message }) => console.log(code, message));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', hide], { encoding: 'utf8' });
  expect(stdout).toMatch(/^STOPLINE_ERR_MODEL_RUNTIME .*npm install @tensorflow\/tfjs-core/);
});
