import { describe, expect, it } from 'vitest';
import { decodeTensors, encodeTensors } from '../../src/profile/safetensors.ts';

const tensors = {
  wide: { shape: [2, 2], data: Float64Array.of(1, -0.1, 1e300, 5e-324) },
  single: { shape: [3], data: Float64Array.of(0.5, Math.fround(0.1), -2), isSingle: true as const },
};
const bytes = encodeTensors({ format: 'x' }, tensors);

/** A file with this header and this many bytes of tensors. */
function write(header: unknown, body = 0): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + body);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

describe('safetensors', () => {
  it('comes back as it was, bit for bit, from any place in memory', () => {
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    for (const file of [bytes, shifted.subarray(3), Buffer.from(bytes)]) {
      const { metadata, tensors: read } = decodeTensors(file);
      expect(metadata).toEqual({ format: 'x' });
      expect(read.wide).toEqual(tensors.wide);
      expect(read.single).toEqual(tensors.single);
    }
  });

  it('lays tensors out in the order of their names, after a header that is a multiple of eight bytes', () => {
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    expect(header.single).toEqual({ dtype: 'F32', shape: [3], data_offsets: [0, 12] });
    expect(header.wide).toEqual({ dtype: 'F64', shape: [2, 2], data_offsets: [12, 44] });
    expect(bytes.length).toBe(8 + length + 44);
  });

  it.each([
    ['nothing', new Uint8Array(3), 'only 3 bytes'],
    ['a header that is none', write('{'), 'not JSON'],
    ['a list', write([1]), 'not an object'],
    ['no metadata', write({}), 'no metadata'],
    [
      'whole numbers',
      write({ __metadata__: {}, a: { dtype: 'I64', shape: [1], data_offsets: [0, 8] } }, 8),
      '"a" is not',
    ],
    [
      'a shape of another length',
      write({ __metadata__: {}, a: { dtype: 'F64', shape: [2], data_offsets: [0, 8] } }, 8),
      'shape',
    ],
    [
      'offsets backwards',
      write({ __metadata__: {}, a: { dtype: 'F64', shape: [1], data_offsets: [8, 0] } }, 8),
      '"a" is not',
    ],
  ])('refuses %s', (_, file, text) => {
    expect(() => decodeTensors(file)).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_PROFILE_INVALID', message: expect.stringContaining(text) }),
    );
  });

  it.each([1, 8, 20, bytes.length - 1])('says that a file of %d bytes is cut or none', (length) => {
    expect(() => decodeTensors(bytes.subarray(0, length))).toThrow(/PROFILE_(TRUNCATED|INVALID)|Expected/);
  });
});
