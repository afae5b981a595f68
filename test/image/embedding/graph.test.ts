import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StoplineError } from '../../../src/errors.ts';
import { addOutputs, modelLimits, readGraph, readModelBounds } from '../../../src/image/embedding/graph.ts';
import { findLayers } from '../../../src/image/embedding/layers.ts';
import {
  conv,
  encodeVarint,
  type GraphParts,
  graph,
  graphAttribute,
  join,
  message,
  model,
  node,
  opset,
  smallClassifier,
  tensor,
  tensorAttribute,
  text,
  value,
  varint,
} from '../../fixtures/onnxfile.ts';

const real = fileURLToPath(new URL('../../../../shared/data/model/FastestDet.onnx', import.meta.url));
const image = value('image', ['N', 3, 32, 32]);
const out = value('y', ['N', 5]);

/** One node between input and output. */
const one = (bytes: Uint8Array, more: Partial<GraphParts> = {}) =>
  model({ nodes: [bytes], inputs: [image], outputs: [out], ...more });

function catchCode(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof StoplineError) return error.code.replace('STOPLINE_ERR_', '');
    throw error;
  }
  return 'none';
}

describe('readGraph', () => {
  it('reads inputs, outputs, opset, nodes and parameters', () => {
    const read = readGraph(smallClassifier());
    expect(read).toMatchObject({
      producer: 'stopline-test',
      irVersion: 8,
      opset: 13,
      inputs: [{ name: 'image', type: 1, shape: ['N', 3, 64, 64] }],
      outputs: [{ name: 'probabilities', type: 1, shape: ['N', 5] }],
    });
    expect(read.nodes).toHaveLength(12);
    expect(read.nodes[0]).toMatchObject({ operator: 'Conv', inputs: ['image', 'w1', 'w1_bias'] });
    expect(read.nodes[0].integers).toEqual({ kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
    const weights = 8 * 27 + 8 + 12 * 72 + 12 + 16 * 108 + 16 + 24 * 144 + 24 + 24 * 5 + 5;
    expect(read.parameters).toBe(weights);
  });

  it('does not count weights that are listed as inputs, as old exporters do', () => {
    const bytes = one(node('MatMul', ['image', 'w'], ['y']), {
      inputs: [value('w', [2, 2]), image],
      initializers: [tensor('w', [2, 2], [1, 2, 3, 4])],
    });
    expect(readGraph(bytes).inputs.map(({ name }) => name)).toEqual(['image']);
  });

  it('reads packed and unpacked integers, and negative dimensions as open ones', () => {
    const packed = join(text(1, 'strides'), message(8, join(encodeVarint(3), encodeVarint(300))), varint(20, 7));
    const bytes = one(node('MaxPool', ['image'], ['y'], [{ name: 'strides', bytes: packed }]), {
      inputs: [value('image', [-1, 3, 32, 32])],
    });
    const read = readGraph(bytes);
    expect(read.nodes[0].integers.strides).toEqual([3, 300]);
    expect(read.inputs[0].shape).toEqual([null, 3, 32, 32]);
  });

  it.runIf(existsSync(real))('reads a detector as PyTorch exported it', () => {
    const read = readGraph(readFileSync(real));
    expect(read).toMatchObject({ producer: 'pytorch', opset: 11, inputs: [{ shape: [1, 3, 352, 352] }] });
    expect(read.nodes).toHaveLength(211);
    expect(read.parameters).toBe(240443);
  });
  if (!existsSync(real)) console.warn('FastestDet is skipped: ../shared/data is not here');
});

describe('hostile files are refused', () => {
  const relu = node('Relu', ['image'], ['y']);
  const external = (bytes: Uint8Array) =>
    join(bytes, message(13, join(text(1, 'location'), text(2, '../../etc/passwd'))));
  const weight = tensor('w', [1], [1]);
  const nested = (depth: number): Uint8Array =>
    depth === 0
      ? graph({ nodes: [relu], inputs: [], outputs: [] })
      : graph({
          nodes: [node('If', ['c'], ['y'], [graphAttribute('then_branch', nested(depth - 1))])],
          inputs: [],
          outputs: [],
        });

  it.each<[string, string, Uint8Array]>([
    ['external weights', 'MODEL_EXTERNAL_DATA', one(relu, { initializers: [external(weight)] })],
    ['data_location without a path', 'MODEL_EXTERNAL_DATA', one(relu, { initializers: [join(weight, varint(14, 1))] })],
    [
      'external data in a constant',
      'MODEL_EXTERNAL_DATA',
      one(node('Constant', [], ['y'], [tensorAttribute('value', external(weight))])),
    ],
    [
      'external data in a sparse initializer',
      'MODEL_EXTERNAL_DATA',
      join(
        varint(1, 8),
        message(
          7,
          join(graph({ nodes: [relu], inputs: [image], outputs: [out] }), message(15, message(1, external(weight)))),
        ),
        opset(),
      ),
    ],
    [
      'external data in the branch of an If',
      'MODEL_EXTERNAL_DATA',
      one(
        node(
          'If',
          ['c'],
          ['y'],
          [
            graphAttribute(
              'then_branch',
              graph({ nodes: [relu], inputs: [], outputs: [], initializers: [external(weight)] }),
            ),
          ],
        ),
      ),
    ],
    ['an unknown domain', 'MODEL_OPERATOR', one(node('Anything', ['image'], ['y'], [], 'evil.example'))],
    ['a domain that only looks known', 'MODEL_OPERATOR', one(node('Relu', ['image'], ['y'], [], 'ai.onnx\0'))],
    [
      'an unknown domain in a branch',
      'MODEL_OPERATOR',
      one(
        node(
          'If',
          ['c'],
          ['y'],
          [
            graphAttribute(
              'then_branch',
              graph({ nodes: [node('X', [], ['z'], [], 'evil')], inputs: [], outputs: [] }),
            ),
          ],
        ),
      ),
    ],
    ['EPContext of Microsoft', 'MODEL_OPERATOR', one(node('EPContext', ['image'], ['y'], [], 'com.microsoft'))],
    ['EPContext of no domain', 'MODEL_OPERATOR', one(node('EPContext', ['image'], ['y']))],
    [
      'a contributed operator that is not listed',
      'MODEL_OPERATOR',
      one(node('BeamSearch', ['image'], ['y'], [], 'com.microsoft')),
    ],
    ['Loop', 'MODEL_OPERATOR', one(node('Loop', ['image'], ['y']))],
    ['Scan', 'MODEL_OPERATOR', one(node('Scan', ['image'], ['y']))],
    ['a random operator', 'MODEL_OPERATOR', one(node('RandomNormalLike', ['image'], ['y']))],
    [
      'functions of its own',
      'MODEL_OPERATOR',
      model({ nodes: [relu], inputs: [image], outputs: [out] }, message(25, text(1, 'f'))),
    ],
    [
      'a training graph',
      'MODEL_INVALID',
      model({ nodes: [relu], inputs: [image], outputs: [out] }, message(20, text(1, 'f'))),
    ],
    [
      'two graphs, which protobuf merges',
      'MODEL_INVALID',
      model({ nodes: [relu], inputs: [image], outputs: [out] }, message(7, text(2, 'more'))),
    ],
    ['two operators in a node', 'MODEL_INVALID', one(join(relu, text(4, 'Loop')))],
    ['graphs nested too deep', 'MODEL_INVALID', join(varint(1, 8), message(7, nested(modelLimits.depth + 2)), opset())],
    ['a graph that is a number', 'MODEL_INVALID', join(varint(1, 8), varint(7, 1), opset())],
    ['a node that is a number', 'MODEL_INVALID', join(varint(1, 8), message(7, varint(1, 5)), opset())],
    ['a tensor that is a number', 'MODEL_INVALID', join(varint(1, 8), message(7, varint(5, 5)), opset())],
    [
      'more numbers than it has bytes for',
      'MODEL_INVALID',
      one(relu, { initializers: [tensor('w', [1e6, 1e6], [1])] }),
    ],
    [
      'a huge constant in the branch of an If',
      'MODEL_INVALID',
      one(
        node(
          'If',
          ['c'],
          ['y'],
          [
            graphAttribute(
              'then_branch',
              graph({
                nodes: [node('Constant', [], ['y'], [tensorAttribute('value', tensor('w', [1e5, 1e5, 64], [1]))])],
                inputs: [],
                outputs: [],
              }),
            ),
          ],
        ),
      ),
    ],
    ['a negative dimension', 'MODEL_INVALID', one(relu, { initializers: [join(varint(1, -1), text(8, 'w'))] })],
    ['a group', 'MODEL_INVALID', join(varint(1, 8), Uint8Array.of(7 * 8 + 3, 7 * 8 + 4), opset())],
    ['field 0', 'MODEL_INVALID', Uint8Array.of(2, 0)],
    ['a number without end', 'MODEL_INVALID', Uint8Array.from([8, ...Array(12).fill(0xff)])],
    ['a tag of six bytes', 'MODEL_INVALID', Uint8Array.from([0x8a, 0x80, 0x80, 0x80, 0x80, 0x00, 1])],
    ['no graph', 'MODEL_INVALID', join(varint(1, 8), opset())],
    [
      'no opset',
      'MODEL_INVALID',
      join(varint(1, 8), message(7, graph({ nodes: [relu], inputs: [image], outputs: [out] }))),
    ],
    ['a node beyond its graph', 'MODEL_INVALID', join(message(7, Uint8Array.of(10, 100)), new Uint8Array(200).fill(8))],
    ['nothing', 'MODEL_TRUNCATED', new Uint8Array(0)],
    ['a JPEG', 'MODEL_INVALID', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70)],
    [
      'a file that is ONNX to protobuf and the ORT format to ONNX Runtime',
      'MODEL_INVALID',
      join(Uint8Array.of(2 * 8 + 2, 8), new TextEncoder().encode('xxORTMxx'), smallClassifier()),
    ],
    ['a name of a megabyte', 'MODEL_INVALID', one(node('Relu', ['x'.repeat(1e6)], ['y']))],
  ])('%s: %s', (_, code, bytes) => {
    expect(catchCode(() => readGraph(bytes))).toBe(code);
  });

  it('more nodes than any image model', () => {
    const bytes = node('Relu', ['image'], ['y']);
    const nodes = Array.from({ length: readModelBounds().nodes + 1 }, () => bytes);
    expect(catchCode(() => readGraph(model({ nodes, inputs: [image], outputs: [out] })))).toBe('MODEL_TOO_LARGE');
  });

  it('more fields than any image model, packed or not', () => {
    const many = new Uint8Array(modelLimits.fields + 1).fill(1);
    const packed = node('Relu', ['image'], ['y'], [{ name: 'x', bytes: join(text(1, 'x'), message(8, many)) }]);
    expect(catchCode(() => readGraph(one(packed)))).toBe('MODEL_TOO_LARGE');
    const single = Buffer.alloc(2 * (modelLimits.fields + 1), Uint8Array.of(5 * 8, 1));
    expect(catchCode(() => readGraph(single))).toBe('MODEL_TOO_LARGE');
  });

  it('more bytes than allowed', () => {
    expect(catchCode(() => readGraph(new Uint8Array(readModelBounds().bytes + 1)))).toBe('MODEL_TOO_LARGE');
  });

  it('a model cut anywhere is truncated or otherwise refused, never read as whole', () => {
    const whole = smallClassifier();
    for (let length = 0; length < whole.length; length += 97)
      expect(
        catchCode(() => readGraph(whole.subarray(0, length))),
        `${length}`,
      ).toMatch(/^MODEL_(TRUNCATED|INVALID)$/);
    expect(catchCode(() => readGraph(whole.subarray(0, whole.length / 2)))).toBe('MODEL_TRUNCATED');
  });

  it('arbitrary and damaged bytes raise coded errors only', () => {
    const whole = smallClassifier();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.uint8Array({ maxLength: 200 }),
        (changes, noise) => {
          const damaged = Uint8Array.from(whole);
          for (const [at, byte] of changes) damaged[at] = byte;
          // In the first two kilobytes the structure lies; further on, weights.
          for (const [at, byte] of changes) damaged[at % 2000] = byte;
          for (const bytes of [damaged, noise]) catchCode(() => readGraph(bytes));
        },
      ),
      { numRuns: 2000, seed: 4 },
    );
  });
});

describe('addOutputs', () => {
  it('appends outputs and leaves everything else as it was', () => {
    const bytes = smallClassifier();
    const before = readGraph(bytes);
    const after = readGraph(addOutputs(bytes, before, ['features', 'a2', 'features', 'probabilities']));
    expect(after.outputs.map(({ name }) => name)).toEqual(['probabilities', 'features', 'a2']);
    expect({ ...after, outputs: [] }).toEqual({ ...before, outputs: [] });
  });

  it('returns the very bytes when nothing is added', () => {
    const bytes = smallClassifier();
    expect(addOutputs(bytes, readGraph(bytes), ['probabilities'])).toBe(bytes);
  });

  it('refuses a tensor that no node writes', () => {
    const bytes = smallClassifier();
    for (const name of ['nothing', 'w1', 'image'])
      expect(catchCode(() => addOutputs(bytes, readGraph(bytes), [name]))).toBe('MODEL_INVALID');
  });
});

describe('findLayers', () => {
  const weights = [
    tensor('w', [5, 8, 1, 1], Array(40).fill(1)),
    tensor('k', [8, 3, 3, 3], Array(216).fill(1)),
    tensor('m', [8, 5], Array(40).fill(1)),
    tensor('w_bias', [5], Array(5).fill(0)),
    tensor('k_bias', [8], Array(8).fill(0)),
  ];
  const found = (nodes: Uint8Array[], output = 'y') =>
    findLayers(readGraph(model({ nodes, inputs: [image], outputs: [value(output, ['N', 5])], initializers: weights })));

  it('takes what the last Gemm reads, and the ends of the stages', () => {
    expect(findLayers(readGraph(smallClassifier()))).toEqual({
      content: 'features',
      reason: 'what the last Gemm reads',
      early: ['a2', 'a3'],
      classes: 'logits',
    });
  });

  it('walks back through softmax, bias, reshape and cast to a MatMul', () => {
    const layers = found([
      conv('image', 'c', 'k', 4),
      node('GlobalAveragePool', ['c'], ['p']),
      node('Flatten', ['p'], ['f']),
      node('MatMul', ['f', 'm'], ['z']),
      node('Add', ['z', 'm'], ['b']),
      node('Reshape', ['b', 'm'], ['r']),
      node('Cast', ['r'], ['t']),
      node('Softmax', ['t'], ['y']),
    ]);
    expect(layers).toMatchObject({ content: 'f', classes: 't' });
  });

  it('sees weights that pass through DequantizeLinear or Transpose as weights', () => {
    const layers = found([
      conv('image', 'c', 'k', 4),
      node('GlobalAveragePool', ['c'], ['p']),
      node('Flatten', ['p'], ['f']),
      node('Transpose', ['m'], ['mt']),
      node('MatMul', ['f', 'mt'], ['y']),
    ]);
    expect(layers).toMatchObject({ content: 'f', classes: 'y' });
  });

  it('takes what a last 1x1 convolution reads, as in SqueezeNet', () => {
    const layers = found([
      conv('image', 'c', 'k', 4),
      node('Relu', ['c'], ['a']),
      conv('a', 'h', 'w', 1, 1),
      node('Relu', ['h'], ['ha']),
      node('GlobalAveragePool', ['ha'], ['p']),
      node('Flatten', ['p'], ['y']),
    ]);
    expect(layers).toMatchObject({ content: 'a', reason: 'what the last Conv reads', early: [] });
  });

  it('is not fooled by attention, where both factors vary', () => {
    const layers = found([
      conv('image', 'c', 'k', 4),
      node('Transpose', ['c'], ['t']),
      node('MatMul', ['c', 't'], ['y']),
    ]);
    expect(layers.reason).toBe('the last map at stride 4');
  });

  it('of a network without a head takes the last map of the coarsest stage, not one that only rearranges it', () => {
    const layers = found([
      conv('image', 'a', 'k', 4),
      conv('a', 'b', 'k', 2),
      node('Relu', ['b'], ['c']),
      node('Reshape', ['c', 'm'], ['d']),
      node('Resize', ['c'], ['up']),
      node('Concat', ['up', 'a'], ['y']),
    ]);
    expect(layers).toMatchObject({ content: 'c', early: ['a'] });
    expect(layers.classes).toBeUndefined();
  });

  it('follows squeeze and excitation, and takes a global pool for no map', () => {
    const layers = found([
      conv('image', 'c1', 'k', 4),
      node('GlobalAveragePool', ['c1'], ['s1']),
      conv('s1', 's2', 'w', 1, 1),
      node('Sigmoid', ['s2'], ['s3']),
      node('Mul', ['c1', 's3'], ['m1']),
      conv('m1', 'c2', 'k', 2),
      node('GlobalAveragePool', ['c2'], ['p']),
      node('Flatten', ['p'], ['f']),
      node('Gemm', ['f', 'm', 'm'], ['y']),
    ]);
    expect(layers).toMatchObject({ content: 'f', early: ['m1'], classes: 'y' });
  });

  it('takes the class token of a transformer', () => {
    const layers = found([
      conv('image', 'patches', 'k', 16),
      node('Reshape', ['patches', 'm'], ['r']),
      node('Transpose', ['r'], ['t']),
      node('Concat', ['m', 't'], ['tokens']),
      node('MatMul', ['tokens', 'm'], ['q']),
      node('MatMul', ['q', 'tokens'], ['attention']),
      node('Softmax', ['attention'], ['weights']),
      node('MatMul', ['weights', 'q'], ['mixed']),
      node('Add', ['tokens', 'mixed'], ['residual']),
      node('LayerNormalization', ['residual', 'm', 'm'], ['norm']),
      node('Gather', ['norm', 'm'], ['token']),
      node('Gemm', ['token', 'm', 'm'], ['y']),
    ]);
    expect(layers).toEqual({ content: 'token', reason: 'what the last Gemm reads', early: [], classes: 'y' });
  });

  it('takes the output itself where there are no maps at all', () => {
    expect(found([node('Flatten', ['image'], ['y'])])).toEqual({
      content: 'y',
      reason: 'the output',
      early: [],
      classes: 'y',
    });
  });

  it.runIf(existsSync(real))('finds the backbone of a detector', () => {
    expect(findLayers(readGraph(readFileSync(real)))).toMatchObject({ reason: 'the last map at stride 32' });
    expect(findLayers(readGraph(readFileSync(real))).early).toHaveLength(3);
  });
});
