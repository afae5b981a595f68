import { writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import { openPrepared } from '../../../src/image/embedding/open.ts';
import { proposeFor, readModel } from '../../../src/image/embedding/prepare.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { anyFrame, random } from '../../fixtures/frames.ts';
import {
  conv,
  type GraphParts,
  int,
  ints,
  join,
  message,
  model,
  node,
  tensor,
  text,
  value,
  varint,
} from '../../fixtures/onnxfile.ts';
import { hasOnnx } from '../../fixtures/onnxruntime.ts';

const folder = temporaryFolder();
const core = loadCore();
if (!hasOnnx) console.warn('quantised networks are not run: onnxruntime-node is not installed');

/** TensorProto of whole numbers of one byte, or of four. */
function whole(name: string, dims: number[], type: 'uint8' | 'int8' | 'int32', values: number[]): Uint8Array {
  const Numbers = { uint8: Uint8Array, int8: Int8Array, int32: Int32Array }[type];
  const code = { uint8: 2, int8: 3, int32: 6 }[type];
  const raw = new Uint8Array(Numbers.from(values).buffer);
  return join(...dims.map((dim) => varint(1, dim)), varint(2, code), text(8, name), message(9, raw));
}

const uniform = random(11);
const kernel = Array.from({ length: 8 * 3 * 3 * 3 }, () => (uniform() - 0.5) / 2);
const bias = Array.from({ length: 8 }, () => (uniform() - 0.5) / 10);
const dense = Array.from({ length: 8 * 4 }, () => uniform() - 0.5);
/**
 * Steps of the weights, of pixels from 0 to 1, and of what the layer answers. Weights have 7 bits: on processors without VNNI the runtime adds
 * pairs of their products with pixels in 16 bits, where those of 8 bits are cut off (`reduce_range` of its quantisation).
 */
const scales = { weight: 1 / 250, pixel: 1 / 255, map: 1 / 60 };
const asWhole = (values: number[], scale: number) =>
  values.map((number) => Math.max(-64, Math.min(63, Math.round(number / scale))));

const head = (from: string) => [
  node('GlobalAveragePool', [from], ['pooled']),
  node('Flatten', ['pooled'], ['features'], [int('axis', 1)]),
  node('Gemm', ['features', 'dense'], ['logits']),
];
const rest = [tensor('dense', [8, 4], dense)];
const ends = { inputs: [value('image', ['N', 3, 32, 32])], outputs: [value('logits', ['N', 4])] };
const steps = [
  tensor('sp', [], [scales.pixel]),
  tensor('sw', [], [scales.weight]),
  tensor('sm', [], [scales.map]),
  whole('zp', [], 'uint8', [0]),
  whole('zw', [], 'int8', [0]),
  whole('zm', [], 'uint8', [0]),
  whole('wq', [8, 3, 3, 3], 'int8', asWhole(kernel, scales.weight)),
];

/** The layer in float32, with a bound as the quantised ones have it: below 0, and above 255 steps. */
const plain: GraphParts = {
  ...ends,
  nodes: [conv('image', 'w_out', 'w', 2), node('Relu', ['w_out'], ['map']), ...head('map')],
  initializers: [...rest, tensor('w', [8, 3, 3, 3], kernel), tensor('w_bias', [8], bias)],
};
/** As ONNX Runtime's static quantisation writes it: a pair of QuantizeLinear and DequantizeLinear around everything. */
const pairs: GraphParts = {
  ...ends,
  nodes: [
    node('QuantizeLinear', ['image', 'sp', 'zp'], ['q']),
    node('DequantizeLinear', ['q', 'sp', 'zp'], ['d']),
    node('DequantizeLinear', ['wq', 'sw', 'zw'], ['w']),
    conv('d', 'w_out', 'w', 2),
    node('Relu', ['w_out'], ['r']),
    node('QuantizeLinear', ['r', 'sm', 'zm'], ['rq']),
    node('DequantizeLinear', ['rq', 'sm', 'zm'], ['map']),
    ...head('map'),
  ],
  initializers: [...rest, ...steps, tensor('w_bias', [8], bias)],
};
/** With operators of whole numbers: what is below 0 is cut off because their answer is uint8. */
const operators: GraphParts = {
  ...ends,
  nodes: [
    node('QuantizeLinear', ['image', 'sp', 'zp'], ['q']),
    node(
      'QLinearConv',
      ['q', 'sp', 'zp', 'wq', 'sw', 'zw', 'sm', 'zm', 'bq'],
      ['rq'],
      [ints('kernel_shape', [3, 3]), ints('strides', [2, 2]), ints('pads', [1, 1, 1, 1])],
    ),
    node('DequantizeLinear', ['rq', 'sm', 'zm'], ['map']),
    ...head('map'),
  ],
  initializers: [
    ...rest,
    ...steps,
    whole(
      'bq',
      [8],
      'int32',
      bias.map((b) => Math.round(b / (scales.pixel * scales.weight))),
    ),
  ],
};

const frames: Frame[] = [0, 1].map((seed) => ({ data: anyFrame(32, 32, 3, seed), width: 32, height: 32, channels: 3 }));

async function open(name: string, parts: GraphParts) {
  const path = joinPath(folder, `${name}.onnx`);
  writeFileSync(path, model(parts));
  const read = await readModel(path);
  const { card } = proposeFor(path, read);
  return { card, embedder: await openPrepared({ files: read.files, card, answers: [] }, { core }) };
}

describe.skipIf(!hasOnnx)('a quantised network runs as it is', () => {
  it.each([
    ['pairs (QDQ)', pairs],
    ['operators (QLinear)', operators],
  ])('in the form of %s, near what it was made of', async (name, parts) => {
    const float = await open('plain', plain);
    const quantised = await open(name.replace(/\W+/g, ''), parts);
    // The first QuantizeLinear holds 0 to 1, so that this is known of the input.
    expect(quantised.card.input).toMatchObject({ scale: 1 / 255, mean: [0, 0, 0], std: [1, 1, 1] });
    expect(quantised.card.assumed).not.toContain('input.scale');
    expect(quantised.card.outputs).toMatchObject({ content: 'features', classes: 'logits' });
    const [expected, received] = [await float.embedder.embed(frames), await quantised.embedder.embed(frames)];
    const { dimension } = quantised.embedder.info;
    for (const [i, row] of received.entries()) {
      // Half a step of the map, and half a step of every weight times pixels of at most 1.
      const reach = scales.map / 2 + (27 * scales.weight) / 2;
      for (let k = 0; k < Math.min(8, dimension); k++) expect(Math.abs(row[k] - expected[i][k])).toBeLessThan(reach);
      expect(row.slice(0, 8).some((number) => number > scales.map)).toBe(true);
    }
    await float.embedder.close();
    await quantised.embedder.close();
  });
});
