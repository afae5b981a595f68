import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import { measureDifference } from '../../../src/image/embedding/embedder.ts';
import { openPrepared } from '../../../src/image/embedding/open.ts';
import { prepareModel, proposeFor, readModel } from '../../../src/image/embedding/prepare.ts';
import { freezeGraphDef, freezeSavedModel } from '../../../src/image/embedding/savedmodel.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { anyFrame, random } from '../../fixtures/frames.ts';
import { smallClassifier } from '../../fixtures/onnxfile.ts';
import { hasOnnx } from '../../fixtures/onnxruntime.ts';
import {
  attribute,
  constant,
  definition,
  graphDef,
  node,
  type SavedModelParts,
  savedModel,
  smallFrozenGraph,
  smallSavedModel,
  smallVariables,
  tensorBundle,
  treacherousFrozenGraph,
  writeSavedModel,
} from '../../fixtures/savedmodelfile.ts';

const folder = temporaryFolder();
const core = loadCore();
if (!hasOnnx) console.warn('SavedModels are not compared with ONNX: onnxruntime-node is not installed');

const frames: Frame[] = [0, 1].map((seed) => ({
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

/** What comes of the files of a SavedModel: its graph model as JSON, or the code of the refusal. */
function freeze(files: readonly Uint8Array[]) {
  try {
    const [json, weights] = freezeSavedModel(files);
    const { modelTopology, weightsManifest } = JSON.parse(Buffer.from(json).toString());
    return { nodes: modelTopology.node as { name: string; op: string; input: string[] }[], weightsManifest, weights };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { code: code?.replace('STOPLINE_ERR_', '') ?? `no code: ${message}`, message };
  }
}

const bundle = (shards = 1) => tensorBundle(smallVariables(), shards);
const listFiles = (pb: Uint8Array, { index, data } = bundle()) => [pb, index, ...data];
const float = { T: attribute.type(1) };
const call = (name: string, of: string, inputs: string[]) =>
  node(name, 'PartitionedCall', inputs, { f: attribute.func(of) });

/** A SavedModel whose signature gives `y`, made of the placeholder `x`. */
function smallest(parts: Partial<SavedModelParts> & Pick<SavedModelParts, 'nodes'>, sides = [-1, 8, 8, 3], type = 1) {
  return savedModel({
    signatures: {
      serving_default: {
        inputs: [{ key: 'image', tensor: 'x:0', type, shape: sides }],
        outputs: [{ key: 'y', tensor: 'y:0' }],
      },
    },
    ...parts,
    nodes: [node('x', 'Placeholder', [], { dtype: attribute.type(type) }), ...parts.nodes],
  });
}

/** A graph in which so many variables have their names in one constant, as in every checkpoint of TensorFlow 2. */
function restored(count: number) {
  const keys = Array.from({ length: count }, (_, i) => `layer_with_weights-${i}/kernel`);
  const each = keys.flatMap((_, i) => [
    node(`v${i}`, 'VarHandleOp', [], { dtype: attribute.type(1) }),
    node(`a${i}`, 'AssignVariableOp', [`v${i}`, `r:${i}`]),
  ]);
  const texts = (name: string, values: string[]) => constant(name, 'string', [count], values);
  return {
    restore: 'all',
    nodes: [
      node('p', 'Placeholder', [], { dtype: attribute.type(7) }),
      texts('names', keys),
      texts(
        'slices',
        keys.map(() => ''),
      ),
      node('r', 'RestoreV2', ['p', 'names', 'slices']),
      ...each,
      node(
        'all',
        'NoOp',
        keys.map((_, i) => `^a${i}`),
      ),
      node('y', 'Add', ['x', 'v0'], float),
    ],
  };
}

describe('a SavedModel', () => {
  it('is read by its folder or its file, and is a graph without functions and variables', async () => {
    const path = writeSavedModel(join(folder, 'sound'), smallSavedModel(), bundle(2));
    const read = await readModel(path);
    expect(read.kind).toBe('saved-model');
    expect(await readModel(join(path, 'saved_model.pb'))).toEqual(read);
    const { card } = proposeFor(path, read);
    expect(card).toMatchObject({
      name: 'sound',
      kind: 'saved-model',
      input: { name: 'image', layout: 'NHWC', width: 64, height: 64, channels: 3 },
      outputs: {
        content: 'StatefulPartitionedCall/inner/features',
        early: ['StatefulPartitionedCall/inner/a2', 'StatefulPartitionedCall/inner/a3'],
        classes: 'output_0',
      },
    });
    expect(read.graph.nodes.filter(({ operator }) => /Call|VarHandle|ReadVariable/.test(operator))).toEqual([]);
    const [first, ...rest] = smallVariables();
    const changed = [{ ...first, values: Float32Array.from(first.values, (value) => value + 1e-3) }, ...rest];
    const other = await readModel(writeSavedModel(join(folder, 'other'), smallSavedModel(), tensorBundle(changed, 2)));
    expect(other.sha256).not.toBe(read.sha256);
  });

  it.skipIf(!hasOnnx)('gives the embeddings and scores of the same network in ONNX, within 1e-4', async () => {
    const path = join(folder, 'same.onnx');
    writeFileSync(path, smallClassifier());
    const read = await readModel(path);
    // The ONNX twin gives its scores before the softmax.
    const { card } = proposeFor(path, read);
    const outputs = { ...card.outputs, classes: 'probabilities' };
    const onnx = await openPrepared({ files: read.files, card: { ...card, outputs }, answers: [] }, { core });
    const { model } = await prepareModel(writeSavedModel(join(folder, 'twin'), smallSavedModel(), bundle(3)));
    const tensorflow = await openPrepared(model, { core });
    expect(tensorflow.info).toMatchObject({ provider: 'wasm', dimension: onnx.info.dimension, maxBatch: 16 });
    const [expected, received] = [await onnx.answer(frames), await tensorflow.answer(frames)];
    for (const [i, { embedding, classScores }] of received.entries()) {
      expect(measureDifference(embedding, expected[i].embedding)).toBeLessThan(1e-4);
      expect(measureDifference(classScores, expected[i].classScores)).toBeLessThan(1e-4);
    }
    await tensorflow.close();
    await onnx.close();
  });

  it('is asked by serving_default, else by the only signature that takes images', () => {
    const nodes = [node('y', 'Relu', ['x'], float), node('z', 'Tanh', ['x'], float)];
    const of = (tensor: string, shape = [-1, 8, 8, 3], type = 1) => ({
      inputs: [{ key: 'image', tensor: 'x:0', shape, type }],
      outputs: [{ key: 'answer', tensor }],
    });
    const readOperator = (signatures: NonNullable<SavedModelParts['signatures']>, tags?: string[]) => {
      const frozen = freeze([smallest({ nodes, signatures, ...(tags && { tags }) })]);
      return 'nodes' in frozen ? frozen.nodes.find(({ op }) => /Relu|Tanh/.test(op))?.op : frozen.message;
    };
    expect(readOperator({ other: of('z:0'), serving_default: of('y:0') })).toBe('Relu');
    expect(readOperator({ image: of('z:0'), serving_default: of('y:0', [-1], 7) }, ['serve', 'gpu'])).toBe('Tanh');
    expect(readOperator({ default: of('z:0') }, [])).toBe('Tanh');
    expect(readOperator({ a: of('z:0'), b: of('y:0') })).toMatch(/several signatures.*"a" of "image".*"b" of "image"/);
    expect(readOperator({ serving_default: of('y:0', [-1], 7) })).toMatch(/encoded images, perhaps/);
    expect(readOperator({ serving_default: of('y:0') }, ['train'])).toMatch(/has the tag serve: "train"/);
    expect(readOperator({})).toMatch(/it has no signatures/);
  });

  it('of TensorFlow 1 has variables by their names, and a phase of learning that is not taken', () => {
    const kernel = { key: 'net/w', shape: [3], values: [1, 2, 3] };
    const nodes = [
      node('net/w', 'VariableV2', [], { dtype: attribute.type(1) }),
      node('net/w/read', 'Identity', ['net/w'], float),
      constant('phase/default', 'bool', [], [0]),
      node('phase', 'PlaceholderWithDefault', ['phase/default']),
      node('not', 'LogicalNot', ['phase']),
      node('cond/Switch', 'Switch', ['not', 'not']),
      node('cond/t', 'Identity', ['cond/Switch:1']),
      node('cond/f', 'Identity', ['cond/Switch']),
      node('cond/one', 'Switch', ['x', 'not']),
      node('cond/served', 'Mul', ['cond/one:1', 'net/w/read'], float),
      // Without an input of its own, it hangs on the switch by an order alone.
      constant('cond/two', 'float32', [], [1]),
      node('cond/learnt', 'RandomUniform', ['^cond/f']),
      node('cond/Merge', 'Merge', ['cond/learnt', 'cond/served']),
      node('y', 'Relu', ['cond/Merge'], float),
    ];
    const { index, data } = tensorBundle([kernel]);
    const frozen = freeze([smallest({ nodes }), index, ...data]);
    expect(frozen).toMatchObject({ weightsManifest: [{ weights: [{ name: 'net/w', shape: [3], dtype: 'float32' }] }] });
    if (!('nodes' in frozen)) throw new Error(frozen.message);
    expect(frozen.nodes.map(({ op }) => op).sort()).toEqual(['Const', 'Mul', 'Placeholder', 'Relu']);
    expect(frozen.nodes.find(({ op }) => op === 'Mul')?.input).toEqual(['image', 'net/w']);
    expect([...new Float32Array(Uint8Array.from(frozen.weights ?? []).buffer)]).toEqual([1, 2, 3]);
  });

  it('takes the branch of a condition that is known, and names what cannot be known', () => {
    const branch = (name: string, op: string) => definition(name, ['a'], [node('r', op, ['a'], float)], { o: 'r:z:0' });
    const functions = [branch('yes', 'Tanh'), branch('no', 'Elu'), branch('third', 'Selu')];
    const conditional = (known: Uint8Array[], condition: string, operator = 'If') =>
      smallest({
        functions,
        nodes: [
          ...known,
          node('y', operator, [condition, 'x'], {
            then_branch: attribute.func('yes'),
            else_branch: attribute.func('no'),
            branches: attribute.funcs(['yes', 'no', 'third']),
          }),
        ],
      });
    const operators = (pb: Uint8Array) => {
      const frozen = freeze([pb]);
      return 'nodes' in frozen ? frozen.nodes.map(({ op }) => op) : frozen;
    };
    expect(operators(conditional([constant('c', 'bool', [], [1])], 'c'))).toContain('Tanh');
    expect(operators(conditional([constant('c', 'bool', [], [0])], 'c', 'StatelessIf'))).toContain('Elu');
    expect(operators(conditional([constant('c', 'int32', [], [7])], 'c', 'Case'))).toContain('Selu');
    expect(operators(conditional([node('c', 'Any', ['x'])], 'c'))).toContain('If');
  });

  it('may hold whatever it likes in parts that do not serve', () => {
    const odd = ['ReadFile', 'EagerPyFunc', 'While', 'HashTableV2', 'XlaLaunch', 'AnythingNew'];
    const nodes = odd.map((operator, i) => node(`odd${i}`, operator));
    expect(freeze(listFiles(smallSavedModel({ nodes })))).toEqual(freeze(listFiles(smallSavedModel())));
  });

  it('whose outputs need what is not run is refused by the names of those operators', async () => {
    const nodes = [node('a', 'ReadFile', ['x']), node('b', 'MatrixBandPart', ['a']), node('y', 'Relu', ['b'], float)];
    const path = writeSavedModel(join(folder, 'odd'), smallest({ nodes }));
    const refusal = await failure(prepareModel(path));
    expect(refusal).toMatchObject({
      code: 'MODEL_OPERATOR',
      message: expect.stringContaining('"ReadFile", "MatrixBandPart"'),
    });
  });
});

describe('a frozen graph', () => {
  const write = (name: string, pb: Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, pb);
    return path;
  };

  it.skipIf(!hasOnnx)('gives the embeddings and scores of the same network in ONNX, within 1e-4', async () => {
    const onnxPath = write('frozentwin.onnx', smallClassifier());
    const onnx = await openPrepared((await prepareModel(onnxPath)).model, { core });
    const { model } = await prepareModel(write('small.pb', smallFrozenGraph()));
    expect(model.card).toMatchObject({
      name: 'small',
      kind: 'frozen-graph',
      input: { name: 'image', layout: 'NHWC', width: 64, height: 64, channels: 3 },
      outputs: { content: 'features', early: ['a2', 'a3'] },
    });
    const tensorflow = await openPrepared(model, { core });
    const [expected, received] = [await onnx.embed(frames), await tensorflow.embed(frames)];
    for (const [i, row] of received.entries()) expect(measureDifference(row, expected[i])).toBeLessThan(1e-4);
    await tensorflow.close();
    await onnx.close();
  });

  it('may hold other placeholders and answers, of which what cannot be run is left out', async () => {
    const odd = [
      node('training', 'Placeholder', [], { dtype: attribute.type(10) }),
      node('summary', 'WriteFile', ['probabilities']),
    ];
    const { card } = (await prepareModel(write('odd.pb', smallFrozenGraph(odd)))).model;
    expect(card.outputs).toMatchObject({ content: 'features' });
  });

  it('without one placeholder for images, or an answer, is refused by what it has', async () => {
    const image = (name: string) => node(name, 'Placeholder', [], { dtype: attribute.type(1) });
    const refuse = async (name: string, nodes: Uint8Array[]) => failure(prepareModel(write(name, graphDef(nodes))));
    const relu = node('y', 'Relu', ['x'], float);
    for (const [nodes, reason] of [
      [
        [node('x', 'Placeholder', [], { dtype: attribute.type(7) }), relu],
        'no placeholder takes an image of numbers: "x"',
      ],
      [[image('x'), image('z'), relu], 'more than one placeholder takes an image of numbers: "x"'],
      [[image('x')], 'nothing in it is an answer'],
      [[], 'it has no placeholders'],
    ] as const)
      expect(await refuse('refused.pb', [...nodes])).toMatchObject({
        code: 'MODEL_INVALID',
        message: expect.stringContaining(reason),
      });
  });

  it('that expands one image beyond all memory refuses it, and judges the next as it did before', async () => {
    const path = write('treacherous.pb', treacherousFrozenGraph());
    const read = await readModel(path);
    const { card } = proposeFor(path, read);
    const embedder = await openPrepared({ card, files: read.files, answers: [] }, { core });
    const white: Frame = { data: new Uint8Array(64 * 64 * 3).fill(255), width: 64, height: 64, channels: 3 };
    const before = await embedder.embed(frames);
    expect(await failure(embedder.embed([white]))).toMatchObject({
      code: 'MODEL_FAILED',
      message: expect.stringContaining('a tensor of 43200000000 bytes is more than the 1073741824'),
    });
    expect(await embedder.embed(frames)).toEqual(before);
    await embedder.close();
  });

  it.each<[string, Uint8Array[], RegExp]>([
    [
      'ResizeNearestNeighbor',
      [
        constant('sides', 'int32', [2], [60_000, 60_000]),
        node('huge', 'ResizeNearestNeighbor', ['image', 'sides'], {
          ...float,
          align_corners: attribute.bool(false),
          half_pixel_centers: attribute.bool(true),
        }),
      ],
      /43200000000 bytes/,
    ],
    [
      'Tile',
      [constant('times', 'int32', [4], [1, 1000, 1000, 100]), node('huge', 'Tile', ['image', 'times'], float)],
      /4915200000000 bytes/,
    ],
    [
      'Pad',
      [
        constant('wide', 'int32', [4, 2], [0, 0, 30_000, 30_000, 30_000, 30_000, 0, 0]),
        node('huge', 'Pad', ['image', 'wide'], float),
      ],
      /43292209152 bytes/,
    ],
    [
      'a product of a column and a row',
      [
        constant('column', 'int32', [2], [12_288, 1]),
        constant('row', 'int32', [2], [1, 12_288]),
        node('tall', 'Reshape', ['image', 'column'], float),
        node('flat', 'Reshape', ['image', 'row'], float),
        constant('four', 'int32', [2], [1, 4]),
        node('long', 'Tile', ['flat', 'four'], float),
        node('huge', 'Mul', ['tall', 'long'], float),
      ],
      /2415919104 bytes/,
    ],
  ])('that makes more of its image than there is memory, by %s, is not let through', async (name, nodes, reason) => {
    const answer = [
      constant('every', 'int32', [1], [-1]),
      node('numbers', 'Reshape', ['huge', 'every'], float),
      constant('first', 'int32', [1], [0]),
      node('peak', 'Max', ['numbers', 'first'], { ...float, keep_dims: attribute.bool(false) }),
      node('answer', 'Mul', ['probabilities', 'peak'], float),
    ];
    const path = write(`${name}.pb`, smallFrozenGraph([...nodes, ...answer]));
    const read = await readModel(path);
    const card = { ...proposeFor(path, read).card, outputs: { content: 'answer', early: [] } };
    expect(await failure(openPrepared({ card, files: read.files, answers: [] }, { core }))).toMatchObject({
      code: 'MODEL_FAILED',
      message: expect.stringMatching(reason),
    });
  });

  it('whose joints each double what came before is read as fast as any', async () => {
    const joints = Array.from({ length: 40 }, (_, i) => {
      const before = i === 0 ? 'image' : `joint${i - 1}`;
      return node(`joint${i}`, 'ConcatV2', [before, before, 'last'], { ...float, N: attribute.integer(2) });
    });
    const path = write('joints.pb', smallFrozenGraph([constant('last', 'int32', [], [3]), ...joints]));
    const read = await readModel(path);
    // Forty of them would be 3 * 2^40 channels.
    expect(proposeFor(path, read).card.input).toMatchObject({ name: 'image', channels: 3 });
  });

  it('with bytes changed or cut anywhere is read or refused by a code', () => {
    const pb = smallFrozenGraph();
    const attempt = (bytes: Uint8Array) => {
      try {
        freezeGraphDef(bytes);
        return 'read';
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    const codes = new Set<string | undefined>();
    for (let at = 0; at < pb.length; at += at < 400 ? 7 : 997)
      codes.add(attempt(damaged(pb, at))).add(attempt(pb.subarray(0, at)));
    expect([...codes].filter((code) => code !== 'read' && !/^STOPLINE_ERR_MODEL_/.test(String(code)))).toEqual([]);
    expect(codes.size).toBeGreaterThan(2);
  });
});

/** Changed bytes. */
function damaged(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] ^= 4;
  return copy;
}

describe('a hostile or broken SavedModel is refused', () => {
  const { index, data } = bundle(2);
  const pb = smallSavedModel();
  const inner = (name: string, nodes: Uint8Array[], result: string) => definition(name, ['a'], nodes, { o: result });
  /** Each function calls the next twice: 2^30 calls. */
  const doubling = Array.from({ length: 30 }, (_, i) =>
    inner(
      `f${i}`,
      i === 29
        ? [node('r', 'Relu', ['a'], float)]
        : [call('p', `f${i + 1}`, ['a']), call('q', `f${i + 1}`, ['a']), node('r', 'Add', ['p:o:0', 'q:o:0'], float)],
      'r:z:0',
    ),
  );
  const claims = constant('big', 'float32', [100_000, 100_000], [0]);
  it.each<[string, Uint8Array[], string, RegExp]>([
    ['a file that ends early', [pb.subarray(0, 600)], 'MODEL_TRUNCATED', /ends at byte 600/],
    ['no variables', [pb], 'MODEL_INVALID', /no folder of variables/],
    ['an index cut short', [pb, index.subarray(0, 200), ...data], 'MODEL_TRUNCATED', /cut short/],
    ['an index of a few bytes', [pb, index.subarray(0, 20), ...data], 'MODEL_TRUNCATED', /ends at byte 20/],
    ['a damaged index', [pb, damaged(index, 60), ...data], 'MODEL_INVALID', /checksum of the block/],
    ['a shard too few', [pb, index, data[0]], 'MODEL_TRUNCATED', /1 of 2 files/],
    ['a shard cut short', [pb, index, data[0].subarray(0, 99), data[1]], 'MODEL_TRUNCATED', /of a file of 99/],
    ['a damaged variable', [pb, index, damaged(data[0], 50), data[1]], 'MODEL_INVALID', /its checksum differs/],
    [
      'a variable missing',
      listFiles(pb, tensorBundle(smallVariables().slice(1))),
      'MODEL_INVALID',
      /variables have no "variables\/0/,
    ],
    [
      'a function that calls itself',
      [smallest({ functions: [inner('f', [call('r', 'f', ['a'])], 'r:o:0')], nodes: [call('y', 'f', ['x'])] })],
      'MODEL_INVALID',
      /"f" calls itself/,
    ],
    [
      'functions in a circle',
      [
        smallest({
          functions: [inner('f', [call('r', 'g', ['a'])], 'r:o:0'), inner('g', [call('r', 'f', ['a'])], 'r:o:0')],
          nodes: [call('y', 'f', ['x'])],
        }),
      ],
      'MODEL_INVALID',
      /calls itself/,
    ],
    [
      'functions of 2^30 calls',
      [smallest({ functions: doubling, nodes: [call('y', 'f0', ['x'])] })],
      'MODEL_TOO_LARGE',
      /at most/,
    ],
    [
      'nodes in a circle',
      [smallest({ nodes: [node('a', 'Add', ['x', 'y'], float), node('y', 'Relu', ['a'], float)] })],
      'MODEL_INVALID',
      /in a circle/,
    ],
    [
      'names that lead in a circle',
      [smallest({ nodes: [node('a', 'Identity', ['y']), node('y', 'Identity', ['a'])] })],
      'MODEL_INVALID',
      /only give on/,
    ],
    [
      'a huge constant',
      [smallest({ nodes: [claims, node('y', 'Add', ['x', 'big'], float)] })],
      'MODEL_TOO_LARGE',
      /claims 10000000000/,
    ],
    [
      'a condition that is no single number',
      [
        smallest({
          nodes: [
            constant('c', 'bool', [1000], []),
            node('s', 'Switch', ['x', 'c'], float),
            node('y', 'Relu', ['s'], float),
          ],
        }),
      ],
      'MODEL_TOO_LARGE',
      /"c" claims 1000 numbers/,
    ],
    [
      'the names of 2,000 variables, which are read once, and none of them',
      [smallest(restored(2000))],
      'MODEL_INVALID',
      /no folder of variables/,
    ],
    [
      'a function that is not there',
      [smallest({ nodes: [call('y', 'gone', ['x'])] })],
      'MODEL_INVALID',
      /no function "gone"/,
    ],
    [
      'a node that is not there',
      [smallest({ nodes: [node('y', 'Relu', ['gone'], float)] })],
      'MODEL_INVALID',
      /no node "gone"/,
    ],
    [
      'two nodes of a name',
      [smallest({ nodes: [node('y', 'Relu', ['x']), node('y', 'Tanh', ['x'])] })],
      'MODEL_INVALID',
      /two nodes/,
    ],
  ])('with %s', (_, files, code, message) => {
    expect(freeze(files)).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('with a part of its weights, or no file', async () => {
    const path = writeSavedModel(join(folder, 'part'), pb, { index, data: [data[0]] });
    writeFileSync(join(path, 'variables', 'variables.data-00007-of-00009'), 'x');
    expect((await failure(readModel(path)))?.code).toBe('MODEL_INVALID');
    expect((await failure(readModel(join(folder, 'none'))))?.code).toBe('MODEL_UNREADABLE');
  });

  it('or, with bytes changed anywhere, is read or refused by a code', () => {
    const uniform = random(7);
    const sound = [pb, index, ...data];
    const codes = new Set<string>();
    for (let run = 0; run < 400; run++) {
      const files = [...sound];
      const which = run % 3;
      const changed = Uint8Array.from(files[which]);
      for (let i = 0; i <= run % 4; i++) changed[Math.floor(uniform() * changed.length)] = Math.floor(uniform() * 256);
      files[which] = run % 5 === 0 ? changed.subarray(0, Math.floor(uniform() * changed.length)) : changed;
      const outcome = freeze(files);
      codes.add('code' in outcome ? outcome.code : 'read');
    }
    for (const code of codes) expect(code).toMatch(/^(read|MODEL_(INVALID|TRUNCATED|TOO_LARGE))$/);
    expect(codes.size).toBeGreaterThanOrEqual(3);
  });
});

it('where tfjs-node is, it is TensorFlow that runs, whatever the Node', () => {
  // tfjs-node cannot be installed here: its native library is downloaded. In its place stands what registers a backend of the
  // same name, that of WebAssembly, and calls what tfjs-node 4.22 calls of node:util; all else is ours.
  const standIn = join(folder, 'standin.mjs');
  writeFileSync(
    standIn,
    `import util from 'node:util';
    import * as tf from ${JSON.stringify(import.meta.resolve('@tensorflow/tfjs-core'))};
    import * as wasm from ${JSON.stringify(import.meta.resolve('@tensorflow/tfjs-backend-wasm'))};
    wasm.setWasmPaths(${JSON.stringify(`${dirname(new URL(import.meta.resolve('@tensorflow/tfjs-backend-wasm')).pathname)}/`)});
    if (!util.isNullOrUndefined(undefined) || !util.isArray([])) throw new Error('no utilities');
    for (const kernel of tf.getKernelsForBackend('wasm')) tf.registerKernel({ ...kernel, backendName: 'tensorflow' });
    tf.registerBackend('tensorflow', tf.findBackendFactory('wasm'));`,
  );
  const hook = join(folder, 'hook.mjs');
  writeFileSync(
    hook,
    `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      return next(name === '@tensorflow/tfjs-node' ? ${JSON.stringify(new URL(`file://${standIn}`).href)} : name, context);
    } });`,
  );
  const path = writeSavedModel(join(folder, 'runs'), smallSavedModel(), bundle());
  const source = (name: string) => JSON.stringify(new URL(`../../../src/${name}`, import.meta.url).href);
  const program = `
    const { readModel, proposeFor } = await import(${source('image/embedding/prepare.ts')});
    const { openPrepared } = await import(${source('image/embedding/open.ts')});
    const { loadCore } = await import(${source('core/index.ts')});
    const read = await readModel(${JSON.stringify(path)});
    const { card } = proposeFor('runs', read);
    const embedder = await openPrepared({ files: read.files, card, answers: [] }, { core: loadCore() });
    console.log(JSON.stringify(embedder.info));
    await embedder.close();`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: `--import ${hook}` },
  });
  expect(run.stderr).toBe('');
  expect(JSON.parse(run.stdout)).toMatchObject({ provider: 'tensorflow', device: 'cpu', failed: [], dimension: 80 });
});
