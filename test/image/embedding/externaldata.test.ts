import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inlineExternalData } from '../../../src/image/embedding/externaldata.ts';
import { readModel } from '../../../src/image/embedding/prepare.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { join as concat, message, model, node, tensor, text, value, varint } from '../../fixtures/onnxfile.ts';

const folder = temporaryFolder();
const weights = Float32Array.from({ length: 12 }, (_, i) => i / 10);
const raw = Buffer.from(weights.buffer);

/** A TensorProto whose numbers lie elsewhere. */
const elsewhere = (entries: Record<string, string>, name = 'w') =>
  concat(
    ...[varint(1, 3), varint(1, 4), varint(2, 1), text(8, name)],
    ...Object.entries(entries).map(([key, what]) => message(13, concat(text(1, key), text(2, what)))),
    varint(14, 1),
  );
const network = (initializer: Uint8Array) =>
  model({
    nodes: [
      node('GlobalAveragePool', ['image'], ['p']),
      node('Flatten', ['p'], ['f']),
      node('Gemm', ['f', 'w'], ['y']),
    ],
    inputs: [value('image', [1, 3, 32, 32])],
    outputs: [value('y', [1, 4])],
    initializers: [initializer],
  });

const files: Record<string, Uint8Array> = { 'm.onnx.data': Buffer.concat([Buffer.alloc(16), raw]), bare: raw };
const read = (name: string) => {
  const found = files[name];
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
};
const whole = network(tensor('w', [3, 4], weights));

it.each([
  ['a place and a length', { location: 'm.onnx.data', offset: '16', length: '48' }],
  ['a place to the end', { location: 'm.onnx.data', offset: '16' }],
  ['a whole file', { location: 'bare' }],
])('weights beside the model at %s come to the same bytes as within it', (_, entries) => {
  const inlined = inlineExternalData(network(elsewhere(entries)), read);
  // The order of a tensor's fields is not that of the fixture: the tensor is.
  expect(inlined.length).toBe(whole.length);
  expect(Buffer.from(inlined).includes(raw)).toBe(true);
});

it('a model that holds its weights is left as it is', () => {
  expect(inlineExternalData(whole, read)).toBe(whole);
});

it.each([
  ['a path upwards', { location: '../secret' }, 'MODEL_EXTERNAL_DATA'],
  ['an absolute path', { location: '/etc/passwd' }, 'MODEL_EXTERNAL_DATA'],
  ['a folder', { location: 'a/b' }, 'MODEL_EXTERNAL_DATA'],
  ["ONNX Runtime's mark for an address in memory", { location: '*/_ORT_MEM_ADDR_/*' }, 'MODEL_EXTERNAL_DATA'],
  ['no file', {}, 'MODEL_EXTERNAL_DATA'],
  ['a negative offset', { location: 'bare', offset: '-4' }, 'MODEL_EXTERNAL_DATA'],
  ['an offset beyond the file', { location: 'bare', offset: '64' }, 'MODEL_TRUNCATED'],
  ['a file that was cut short', { location: 'bare', offset: '16', length: '48' }, 'MODEL_TRUNCATED'],
])('weights at %s are refused', (_, entries, code) => {
  expect(() => inlineExternalData(network(elsewhere(entries as Record<string, string>)), read)).toThrow(
    expect.objectContaining({ code: `STOPLINE_ERR_${code}` }),
  );
});

it('one file that many tensors name does not become more than a model may be', () => {
  const large = new Uint8Array(64 * 1024 * 1024);
  const many = model({
    nodes: [node('Relu', ['image'], ['y'])],
    inputs: [value('image', [1, 3, 32, 32])],
    outputs: [value('y', [1, 3, 32, 32])],
    initializers: Array.from({ length: 4 }, (_, i) => elsewhere({ location: 'large' }, `w${i}`)),
  });
  expect(() => inlineExternalData(many, () => large)).toThrow(
    expect.objectContaining({ code: 'STOPLINE_ERR_MODEL_TOO_LARGE' }),
  );
});

it('a model is read with the file beside it, and another file makes another model', async () => {
  const path = join(folder, 'm.onnx');
  writeFileSync(path, network(elsewhere({ location: 'm.onnx.data', offset: '16', length: '48' })));
  await expect(readModel(path)).rejects.toMatchObject({ code: 'STOPLINE_ERR_MODEL_UNREADABLE' });
  writeFileSync(join(folder, 'm.onnx.data'), files['m.onnx.data']);
  const first = await readModel(path);
  expect(first.files).toHaveLength(1);
  expect(first.graph.parameters).toBe(12);
  const changed = Buffer.from(files['m.onnx.data']);
  changed[20] ^= 1;
  writeFileSync(join(folder, 'm.onnx.data'), changed);
  expect((await readModel(path)).sha256).not.toBe(first.sha256);
});

it('a model that is named by a link has its weights beside the model', async () => {
  const other = join(folder, 'other');
  mkdirSync(other);
  writeFileSync(join(folder, 'm.onnx.data'), files['m.onnx.data']);
  symlinkSync(join(folder, 'm.onnx'), join(other, 'link.onnx'));
  expect((await readModel(join(other, 'link.onnx'))).graph.parameters).toBe(12);
});
