import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createSha256, sha256 } from '../../src/image/sha256.ts';
import { noiseBytes } from '../fixtures/images.ts';

const portable = (...parts: (Uint8Array | string)[]) =>
  parts
    .reduce<ReturnType<typeof createSha256>>((hash, part) => hash.update(part), createSha256({ portable: true }))
    .hex();

describe('SHA-256', () => {
  it.each([
    // FIPS 180-4 examples of NIST.
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ])('of %j is the published value', (text, value) => {
    expect(portable(text)).toBe(value);
    expect(sha256(text)).toBe(value);
  });

  it('is the same in parts, at every length around a block', () => {
    for (let length = 50; length < 135; length++) {
      const bytes = noiseBytes(length, length);
      const expected = createHash('sha256').update(bytes).digest('hex');
      expect(portable(bytes)).toBe(expected);
      expect(portable(bytes.subarray(0, length >> 1), bytes.subarray(length >> 1))).toBe(expected);
    }
    expect(portable('\u00e4\u{1f6a6}')).toBe(sha256('\u00e4\u{1f6a6}'));
  });
});
