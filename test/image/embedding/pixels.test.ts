import { describe, expect, it } from 'vitest';
import { proposeCard } from '../../../src/image/embedding/card.ts';
import { readOnnxConstants } from '../../../src/image/embedding/constants.ts';
import { readGraph } from '../../../src/image/embedding/graph.ts';
import { random } from '../../fixtures/frames.ts';
import {
  graph,
  int,
  integers,
  ints,
  join,
  message,
  model,
  node,
  opset,
  tensor,
  text,
  value,
  varint,
} from '../../fixtures/onnxfile.ts';

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
const perChannel = [1, 3, 1, 1];
const weights = (name: string, scale = 0.2, outputs = 16, depth = 3) => {
  const uniform = random(5);
  const values = Float32Array.from({ length: outputs * depth * 9 }, () => (uniform() - 0.5) * 2 * scale);
  return tensor(name, [outputs, depth, 3, 3], values);
};
const layer = (input: string) => [
  node('Conv', [input, 'w'], ['c'], [ints('kernel_shape', [3, 3])]),
  node('Relu', ['c'], ['a']),
  node('GlobalAveragePool', ['a'], ['p']),
  node('Flatten', ['p'], ['f']),
  node('Gemm', ['f', 'dense'], ['y']),
];

interface Parts {
  before?: Uint8Array[];
  last?: string;
  constants?: Uint8Array[];
  producer?: string;
  scale?: number;
  shape?: (number | string)[];
  after?: Uint8Array[];
  metadata?: Uint8Array;
}

function propose({
  before = [],
  last = 'image',
  constants = [],
  producer = 'test',
  scale,
  shape,
  after,
  metadata,
}: Parts) {
  const parts = {
    nodes: [...before, ...(after ?? layer(last))],
    inputs: [value('image', shape ?? [1, 3, 32, 32])],
    outputs: [value('y', [1, 4])],
    initializers: [weights('w', scale), tensor('dense', [16, 4], new Float32Array(64).fill(0.1)), ...constants],
  };
  const bytes = join(
    varint(1, 8),
    text(2, producer),
    message(7, graph(parts)),
    opset(),
    ...(metadata ? [metadata] : []),
  );
  const read = readGraph(bytes);
  const { card, known } = proposeCard(read, {
    sha256: '0'.repeat(64),
    name: 'net',
    kind: 'onnx',
    constants: readOnnxConstants(bytes, read.nodes),
  });
  return { ...card.input, assumed: card.assumed ?? [], known };
}

const plain = { scale: 1, mean: [0, 0, 0], std: [1, 1, 1] };
const unit = { scale: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1] };
const torchvision = { scale: 1 / 255, ...imagenet };

describe('what a graph does to its input first says what it is given', () => {
  it.each<[string, Parts, object]>([
    [
      'Mul 1/255',
      { before: [node('Mul', ['image', 's'], ['x'])], last: 'x', constants: [tensor('s', [], [1 / 255])] },
      plain,
    ],
    [
      'Div 255',
      { before: [node('Div', ['image', 's'], ['x'])], last: 'x', constants: [tensor('s', [1], [255])] },
      plain,
    ],
    [
      'Cast, Transpose, Div 127.5, Sub 1, as Keras has it',
      {
        before: [
          node('Cast', ['image'], ['x0'], [int('to', 1)]),
          node('Transpose', ['x0'], ['x1'], [ints('perm', [0, 3, 1, 2])]),
          node('Div', ['x1', 's'], ['x2']),
          node('Sub', ['x2', 'o'], ['x']),
        ],
        last: 'x',
        constants: [tensor('s', [], [127.5]), tensor('o', [], [1])],
        shape: [1, 32, 32, 3],
      },
      { ...plain, layout: 'NHWC' },
    ],
    [
      "torchvision's means and deviations",
      {
        before: [node('Sub', ['image', 'm'], ['x0']), node('Div', ['x0', 'd'], ['x'])],
        last: 'x',
        constants: [tensor('m', perChannel, imagenet.mean), tensor('d', perChannel, imagenet.std)],
      },
      { ...unit, colour: 'RGB' },
    ],
    [
      "Caffe's means, blue first",
      {
        before: [node('Sub', ['image', 'm'], ['x'])],
        last: 'x',
        constants: [tensor('m', perChannel, [103.939, 116.779, 123.68])],
      },
      { ...plain, colour: 'BGR' },
    ],
    [
      'a batch normalisation of the pixels',
      {
        before: [node('BatchNormalization', ['image', 'g', 'b', 'm', 'v'], ['x'])],
        last: 'x',
        constants: [
          ...[tensor('g', [3], [1, 1, 1]), tensor('b', [3], [0, 0, 0])],
          ...[tensor('m', [3], [124, 116, 104]), tensor('v', [3], [58 ** 2, 57 ** 2, 57 ** 2])],
        ],
      },
      { ...plain, colour: 'RGB' },
    ],
    [
      'channels taken apart, scaled and joined the other way round',
      {
        before: [
          ...[0, 1, 2].flatMap((i) => [
            node('Gather', ['image', `i${i}`], [`g${i}`], [int('axis', 1)]),
            node('Unsqueeze', [`g${i}`], [`u${i}`], [ints('axes', [1])]),
            node('Mul', [`u${i}`, 's'], [`m${i}`]),
            node('Sub', [`m${i}`, `o${i}`], [`t${i}`]),
          ]),
          node('Concat', ['t2', 't1', 't0'], ['x'], [int('axis', 1)]),
        ],
        last: 'x',
        constants: [
          tensor('s', [], [1 / 255]),
          ...[0, 1, 2].flatMap((i) => [
            join(varint(2, 7), text(8, `i${i}`), message(9, new Uint8Array(BigInt64Array.of(BigInt(i)).buffer))),
            tensor(`o${i}`, [], [imagenet.mean[i]]),
          ]),
        ],
      },
      { ...plain, colour: 'RGB' },
    ],
    [
      'a QuantizeLinear that can hold -1 to 1',
      {
        before: [node('QuantizeLinear', ['image', 's', 'z'], ['q']), node('DequantizeLinear', ['q', 's', 'z'], ['x'])],
        last: 'x',
        constants: [tensor('s', [], [2 / 255]), join(varint(2, 2), text(8, 'z'), message(9, Uint8Array.of(128)))],
      },
      { scale: 1 / 127.5, mean: [1, 1, 1], std: [1, 1, 1] },
    ],
  ])('%s', (_, parts, expected) => {
    const { assumed, known, ...input } = propose({ ...parts, producer: 'pytorch' });
    expect(input).toMatchObject(expected);
    expect(assumed).not.toContain('input.scale');
    expect(assumed).not.toContain('input.mean');
    expect(assumed.includes('input.colour')).toBe(!('colour' in expected));
    expect(known[0]).toMatch(/^input\.scale, mean, std: /);
  });

  it('whoever wrote the file, what is guessed is said to be assumed', () => {
    for (const [producer, expected] of [
      ['pytorch', torchvision],
      ['tf2onnx', unit],
      ['keras2onnx', unit],
      ['', unit],
    ] as const) {
      const input = propose({ producer });
      expect(input).toMatchObject(expected);
      expect(input.assumed).toEqual(expect.arrayContaining(['input.scale', 'input.mean', 'input.std', 'input.colour']));
    }
  });

  it('Ultralytics says who it is', () => {
    const entry = message(14, join(text(1, 'description'), text(2, 'Ultralytics YOLOv8n model')));
    expect(propose({ producer: 'pytorch', metadata: entry })).toMatchObject(unit);
  });
});

describe('what the first layer was trained on', () => {
  /** The first layer, and a batch normalisation that saw photographs of pixels (share of 255 - mean) / std. */
  const trained = (mean: number[], std: number[]) => {
    const uniform = random(5);
    const values = Float32Array.from({ length: 16 * 27 }, () => (uniform() - 0.5) * 0.4);
    const sums = Array.from({ length: 16 }, (_, o) =>
      [0, 1, 2].map((c) => values.subarray((o * 3 + c) * 9, (o * 3 + c + 1) * 9)),
    );
    const means = sums.map((filter) =>
      filter.reduce(
        (sum, taps, c) => sum + taps.reduce((a, b) => a + b, 0) * ((imagenet.mean[c] - mean[c]) / std[c]),
        0,
      ),
    );
    // Smooth images: all places of a window alike, and all colours nearly.
    const variances = sums.map(
      (filter) =>
        filter.reduce((sum, taps, c) => sum + (taps.reduce((a, b) => a + b, 0) * imagenet.std[c]) / std[c], 0) ** 2,
    );
    return {
      after: [
        node('Conv', ['image', 'w'], ['c0'], [ints('kernel_shape', [3, 3])]),
        node('BatchNormalization', ['c0', 'g', 'b', 'm', 'v'], ['c']),
        ...layer('image').slice(1),
      ],
      constants: [
        tensor('g', [16], new Float32Array(16).fill(1)),
        tensor('b', [16], new Float32Array(16)),
        tensor('m', [16], means),
        tensor('v', [16], variances),
      ],
    };
  };

  it.each([
    ['0 to 1', [0, 0, 0], [1, 1, 1], unit],
    ["torchvision's", imagenet.mean, imagenet.std, torchvision],
    ['0 to 255', [0, 0, 0], [1 / 255, 1 / 255, 1 / 255], plain],
  ])('%s is told by the batch normalisation behind it, whoever wrote the file', (_, mean, std, expected) => {
    for (const producer of ['pytorch', 'tf2onnx']) {
      const parts = trained(mean, std);
      const input = propose({ ...parts, producer, scale: 0.2 });
      expect(input).toMatchObject(expected);
      expect(input.assumed).not.toContain('input.scale');
    }
  });

  it('small weights mean pixels from 0 to 255, of which a mean may still be taken away', () => {
    const input = propose({ producer: 'pytorch', scale: 0.004 });
    expect(input).toMatchObject(plain);
    expect(input.assumed).not.toContain('input.scale');
    expect(input.assumed).toContain('input.mean');
  });
});

it('where the file leaves all sides open, the first layer says where the colours are and how many', () => {
  const open = ['N', 'a', 'b', 'c'];
  expect(propose({ shape: open })).toMatchObject({ layout: 'NCHW', channels: 3 });
  const turned = propose({
    shape: open,
    before: [node('Transpose', ['image'], ['x'], [ints('perm', [0, 3, 1, 2])])],
    last: 'x',
  });
  expect(turned).toMatchObject({ layout: 'NHWC', channels: 3 });
});

it('a file that was not read for constants is proposed by what its graph says', () => {
  const bytes = model({
    nodes: layer('image'),
    inputs: [value('image', [1, 3, 32, 32])],
    outputs: [value('y', [1, 4])],
    initializers: [weights('w'), tensor('dense', [16, 4], new Float32Array(64)), integers('unused', [1])],
  });
  const { card } = proposeCard(readGraph(bytes), { sha256: '0'.repeat(64), name: 'net', kind: 'onnx' });
  expect(card.input).toMatchObject(unit);
});
