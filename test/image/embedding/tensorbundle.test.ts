import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crc32c, maskedCrc32c } from '../../../src/image/embedding/crc32c.ts';
import { graphOperators } from '../../../src/image/embedding/graphoperators.ts';
import { TensorBundle } from '../../../src/image/embedding/tensorbundle.ts';
import { unpackTensor } from '../../../src/image/embedding/tensors.ts';
import { tensorBundle } from '../../fixtures/savedmodelfile.ts';

describe('the checksum of LevelDB', () => {
  it('is that of RFC 3720, and turned as LevelDB stores it', () => {
    // RFC 3720, B.4: 32 bytes of zeros, of ones, and counted up.
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    // Turned right by 15 bits within 32, plus 0xa282ead8.
    const turned = BigInt(0x8a9136aa);
    const masked = (((turned >> 15n) | ((turned << 17n) & 0xffffffffn)) + 0xa282ead8n) & 0xffffffffn;
    expect(maskedCrc32c(new Uint8Array(32))).toBe(Number(masked));
  });
});

describe('a tensor bundle', () => {
  it('gives back what was stored, by name, from any of its files', () => {
    const variables = Array.from({ length: 11 }, (_, i) => ({
      key: `layer/${i % 2 === 0 ? 'kernel' : 'bias'}/${i}`,
      shape: [2, i],
      values: Float32Array.from({ length: 2 * i }, (__, k) => k - i / 3),
    }));
    const { index, data } = tensorBundle(variables, 3);
    const bundle = new TensorBundle(index, data);
    for (const { key, shape, values } of variables) {
      const read = bundle.read(key);
      expect(read).toMatchObject({ dtype: 'float32', shape });
      expect(new Float32Array(Uint8Array.from(read.bytes).buffer)).toEqual(values);
    }
    expect(bundle.has('layer/kernel/1')).toBe(false);
    expect(() => bundle.read('layer')).toThrow(/there is no "layer"/);
  });

  it('is read once: an index that names a block or a variable again is damaged', () => {
    const one = (key: string) => ({ key, shape: [1], values: [1] });
    const read = (bundle: ReturnType<typeof tensorBundle>) => new TensorBundle(bundle.index, bundle.data);
    const keys = ['a', 'b', 'c', 'd', 'e'];
    expect(read(tensorBundle(keys.map(one))).has('e')).toBe(true);
    expect(() => read(tensorBundle(keys.map(one), 1, { repeats: 2 }))).toThrow(/blocks lie over each other/);
    expect(() => read(tensorBundle(['a', 'a'].map(one)))).toThrow(/a name stands in it twice/);
    const long = Array.from({ length: 9000 }, (_, i) => one(`${i}`.padStart(4000, 'x')));
    expect(() => read(tensorBundle(long))).toThrow(/bytes of their names/);
  });
});

describe('tensors of TensorFlow', () => {
  const numbers = ({ dtype, bytes }: ReturnType<typeof unpackTensor>) =>
    Array.from(
      dtype === 'float32'
        ? new Float32Array(Uint8Array.from(bytes).buffer)
        : new Int32Array(Uint8Array.from(bytes).buffer),
    );
  const readBytes = (view: { buffer: ArrayBufferLike }) => new Uint8Array(view.buffer as ArrayBuffer);
  it.each<[string, number, Uint8Array, number[]]>([
    ['double', 2, readBytes(Float64Array.of(0.5, -3)), [0.5, -3]],
    ['half', 19, readBytes(Uint16Array.of(0x3c00, 0xc100)), [1, -2.5]],
    ['bfloat16', 14, readBytes(Uint16Array.of(0x3f80, 0xc040)), [1, -3]],
    ['int64, kept within 32 bits', 9, readBytes(BigInt64Array.of(-1n, 2n ** 40n)), [-1, 2 ** 31 - 1]],
    ['uint8', 4, Uint8Array.of(0, 255), [0, 255]],
    ['int8', 6, Uint8Array.of(1, 255), [1, -1]],
    ['int16', 5, readBytes(Int16Array.of(-300, 300)), [-300, 300]],
    ['uint16', 17, readBytes(Uint16Array.of(65535, 1)), [65535, 1]],
  ])('of %s', (_, type, bytes, expected) => {
    expect(numbers(unpackTensor('t', type, [2], bytes))).toEqual(expected);
    expect(() => unpackTensor('t', type, [3], bytes)).toThrow(/Expected 3 numbers/);
  });

  it('of text are none', () => {
    expect(() => unpackTensor('t', 7, [1], Uint8Array.of(1))).toThrow(/received type 7/);
  });
});

describe('the operators that are run', () => {
  const converter = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-converter/package.json'));
  const folder = join(converter, 'dist/operations/op_list');
  const known = new Map(
    readdirSync(folder)
      .filter((name) => name.endsWith('.js'))
      .flatMap((name) =>
        [...readFileSync(join(folder, name), 'utf8').matchAll(/'tfOpName': '(\w+)'/g)].map(
          ([, operator]) => [operator, name.replace('.js', '')] as const,
        ),
      ),
  );

  it('are all known to TensorFlow.js', () => {
    expect([...graphOperators].filter((operator) => !known.has(operator))).toEqual([]);
  });

  it('are all that it knows but those of a kind that is not run', () => {
    const kinds = new Set(['control', 'hash_table', 'ragged', 'sparse', 'spectral', 'string', 'tfdf']);
    const left = [...known].filter(([operator, kind]) => !graphOperators.has(operator) && !kinds.has(kind));
    expect(left.map(([operator]) => operator).sort()).toEqual(
      [
        // Complex numbers, which the WebAssembly backend has not, as it has no searches.
        ...['Complex', 'ComplexAbs', 'Imag'],
        ...[
          'ListDiff',
          'LowerBound',
          'MatrixBandPart',
          'Multinomial',
          'Print',
          'RandomStandardNormal',
          'RandomUniform',
        ],
        ...['RandomUniformInt', 'Real', 'TruncatedNormal', 'UpperBound'],
      ].sort(),
    );
  });
});
