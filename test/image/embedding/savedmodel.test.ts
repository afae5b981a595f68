import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { prepareModel, proposeFor, readModel } from '../../../src/image/embedding/prepare.ts';
import { encodeField, encodeVarint } from '../../../src/image/embedding/protobuf.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-savedmodel-'));
afterAll(() => rmSync(folder, { recursive: true }));

// Messages of tensorflow/core: saved_model.proto, meta_graph.proto, graph.proto.
const text = (field: number, value: string) => encodeField(field, Buffer.from(value));
const number = (field: number, value: number) => Buffer.concat([encodeVarint(field * 8), encodeVarint(value)]);
const message = (field: number, ...parts: Uint8Array[]) => encodeField(field, Buffer.concat(parts));
/** -1 as protobuf has it: ten bytes of ones. */
const open = Buffer.from([8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
const dimension = (size: number) => message(2, size < 0 ? open : number(1, size));
const tensor = (field: number, name: string, shape: number[], type = 1) =>
  message(field, text(1, name), message(2, text(1, `${name}:0`), number(2, type), message(3, ...shape.map(dimension))));
const node = (operator: string) => message(1, text(1, 'n'), text(2, operator));
const image = tensor(1, 'image', [-1, 32, 32, 3]);
const signature = (...values: Uint8Array[]) => message(5, text(1, 'serving_default'), message(2, ...values));

function savedModel(options: { tag?: string; values?: Uint8Array[]; nodes?: string[]; inner?: string[] } = {}) {
  const { tag = 'serve', values = [image, tensor(2, 'scores', [-1, 3])], nodes = [], inner = [] } = options;
  const definition = message(1, ...inner.map((operator) => message(3, text(1, 'n'), text(2, operator))));
  const graph = message(2, ...nodes.map(node), message(2, definition));
  return Buffer.concat([number(1, 1), message(2, message(1, text(4, tag)), graph, signature(...values))]);
}

function write(name: string, pb: Uint8Array, variables: Record<string, Uint8Array> = {}): string {
  const path = join(folder, name, 'saved_model.pb');
  mkdirSync(join(dirname(path), 'variables'), { recursive: true });
  writeFileSync(path, pb);
  for (const [file, bytes] of Object.entries(variables)) writeFileSync(join(dirname(path), 'variables', file), bytes);
  return dirname(path);
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => ({ code: error.code?.replace('STOPLINE_ERR_', ''), message: error.message as string }),
  );

const weights = { 'variables.index': Buffer.from('index'), 'variables.data-00000-of-00001': Buffer.from([7]) };

describe('a SavedModel', () => {
  it('is read by its folder or its file, and its signature is its graph', async () => {
    const path = write('sound', savedModel({ nodes: ['Placeholder', 'SaveV2', 'While'] }), weights);
    const read = await readModel(path);
    expect(read.kind).toBe('saved-model');
    expect(read.files.map((bytes) => bytes.length)).toEqual([read.files[0].length, 5, 1]);
    expect(await readModel(join(path, 'saved_model.pb'))).toEqual(read);
    const { card } = proposeFor(path, read);
    expect(card).toMatchObject({
      name: 'sound',
      kind: 'saved-model',
      input: { name: 'image', layout: 'NHWC', width: 32, height: 32, channels: 3 },
      outputs: { content: 'scores', classes: 'scores', early: [] },
    });
    const changed = write('changed', savedModel(), { ...weights, 'variables.data-00000-of-00001': Buffer.from([8]) });
    expect((await readModel(changed)).sha256).not.toBe(read.sha256);
  });

  it.each<[string, () => string, string]>([
    ['no signature for serving', () => write('train', savedModel({ tag: 'train' })), 'MODEL_INVALID'],
    [
      'two inputs',
      () => write('two', savedModel({ values: [image, tensor(1, 'mask', [-1, 32, 32, 1])] })),
      'MODEL_INVALID',
    ],
    ['a file that ends early', () => write('short', savedModel().subarray(0, 60)), 'MODEL_TRUNCATED'],
    [
      'a part of its weights',
      () =>
        write('part', savedModel(), {
          'variables.index': Buffer.from('i'),
          'variables.data-00000-of-00002': Buffer.from([7]),
        }),
      'MODEL_INVALID',
    ],
    ['Python within', () => write('python', savedModel({ nodes: ['EagerPyFunc'] })), 'MODEL_OPERATOR'],
    ['a file that it reads in a function', () => write('file', savedModel({ inner: ['ReadFile'] })), 'MODEL_OPERATOR'],
    ['no file', () => join(folder, 'none'), 'MODEL_UNREADABLE'],
  ])('with %s is refused', async (_, path, code) => {
    expect((await failure(readModel(path())))?.code).toBe(code);
  });

  it('is refused for any operator that is not known to be harmless, wherever it stands', async () => {
    const reaching =
      'PyFunc ReadFile WriteFile MatchingFiles TFRecordDataset WholeFileReaderV2 DebugIdentity PrintV2 _Recv';
    const others =
      'TextLineReader LMDBReader DecodeJpeg XlaLaunch TPUExecute InitializeTableFromTextFileV2 GcsFs RpcCall';
    for (const operator of `${reaching} ${others} AnythingNew`.split(' ')) {
      for (const where of ['nodes', 'inner'] as const) {
        const refusal = await failure(readModel(write(`${where}-${operator}`, savedModel({ [where]: [operator] }))));
        expect([operator, refusal?.code]).toEqual([operator, 'MODEL_OPERATOR']);
        expect(refusal?.message).toContain(`"${operator}"`);
      }
    }
    const served = ['Placeholder', 'VarHandleOp', 'ReadVariableOp', 'Conv2D', 'BiasAdd', 'FusedBatchNormV3', 'Relu6'];
    const saved = ['Mean', 'MatMul', 'Softmax', 'SaveV2', 'RestoreV2', 'ShardedFilename', 'MergeV2Checkpoints'];
    expect((await readModel(write('keras', savedModel({ inner: [...served, ...saved] })))).kind).toBe('saved-model');
  });

  it('without tfjs-node the error names what to type', async () => {
    const refusal = await failure(prepareModel(write('alone', savedModel(), weights)));
    expect(refusal).toMatchObject({
      code: 'MODEL_RUNTIME',
      message: expect.stringMatching(/npm install @tensorflow\/tfjs-node\. Or convert/),
    });
  });

  it('where tfjs-node is, is loaded from bytes that were checked, and run', () => {
    // tfjs-node cannot be installed here: its native library is downloaded. In its place stands what has its interface
    // (saved_model.d.ts of 4.22) and answers the mean colour times the one number in the weights; all else is ours.
    const standIn = join(folder, 'standin.mjs');
    writeFileSync(
      standIn,
      `import { existsSync, readFileSync } from 'node:fs';
      import * as tf from ${JSON.stringify(import.meta.resolve('@tensorflow/tfjs-core'))};
      import * as wasm from ${JSON.stringify(import.meta.resolve('@tensorflow/tfjs-backend-wasm'))};
      wasm.setWasmPaths(${JSON.stringify(`${dirname(new URL(import.meta.resolve('@tensorflow/tfjs-backend-wasm')).pathname)}/`)});
      await tf.setBackend('wasm');
      export default { node: { async loadSavedModel(path, tags, signature) {
        if (tags.join() !== 'serve' || signature !== 'serving_default') throw new Error('other tags');
        const [factor] = readFileSync(path + '/variables/variables.data-00000-of-00001');
        readFileSync(path + '/saved_model.pb');
        return {
          predict({ image, ...rest }) {
            if (Object.keys(rest).length > 0) throw new Error('other inputs');
            if (existsSync(path)) throw new Error('the folder is still there');
            return { scores: tf.mul(tf.mean(image, [1, 2]), factor) };
          },
          dispose() {},
        };
      } } };`,
    );
    const hook = join(folder, 'hook.mjs');
    writeFileSync(
      hook,
      `import { registerHooks } from 'node:module';
      import util from 'node:util';
      util.isNullOrUndefined ??= (value) => value == null;
      registerHooks({ resolve(name, context, next) {
        return next(name === '@tensorflow/tfjs-node' ? ${JSON.stringify(new URL(`file://${standIn}`).href)} : name, context);
      } });`,
    );
    const path = write('runs', savedModel(), weights);
    const source = (name: string) => JSON.stringify(new URL(`../../../src/${name}`, import.meta.url).href);
    const program = `
      const { prepareModel } = await import(${source('image/embedding/prepare.ts')});
      const { openPrepared } = await import(${source('image/embedding/open.ts')});
      const { loadCore } = await import(${source('core/index.ts')});
      const { model } = await prepareModel(${JSON.stringify(path)});
      const embedder = await openPrepared(model, { core: loadCore() });
      const data = new Uint8Array(32 * 32 * 3).map((_, i) => [255, 0, 51][i % 3]);
      const frames = [{ data, width: 32, height: 32, channels: 3 }];
      const [[row], [scores]] = [await embedder.embed(frames), await embedder.classify(frames)];
      console.log(JSON.stringify({ info: embedder.info, row: [...row], scores: [...scores] }));
      await embedder.close();`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: `--import ${hook}` },
    });
    expect(run.stderr).toBe('');
    const { info, row, scores } = JSON.parse(run.stdout);
    expect(info).toMatchObject({ provider: 'tensorflow', device: 'cpu', failed: [], dimension: 3 });
    // pixel / 255, times 7; a sum of a thousand numbers of 24 bits.
    for (const [i, value] of [7, 0, 1.4].entries()) expect(row[i]).toBeCloseTo(value, 3);
    expect(scores).toEqual(row);
  });
});
