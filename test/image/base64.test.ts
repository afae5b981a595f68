import { expect, it } from 'vitest';
import { decodeBase64 } from '../../src/image/base64.ts';

it('reads base64 with padding or without, with white space, URL-safe, and in a data URL', () => {
  for (const text of ['hello', 'a', 'ab', 'abc', '\xff\xfe??>>', '']) {
    const bytes = Buffer.from(text, 'latin1');
    const base64 = bytes.toString('base64');
    for (const form of [
      base64,
      base64.replace(/=+$/, ''),
      bytes.toString('base64url'),
      base64.replace(/(..)/g, '$1\r\n '),
      `data:image/jpeg;base64,${base64}`,
      `data:image/svg+xml;charset=utf-8;base64,${base64}`,
      `DATA:image/png;BASE64,${base64}`,
    ]) {
      expect(decodeBase64(form), form).toEqual(bytes);
    }
  }
});

it('refuses what is not base64, also where its length could be', () => {
  for (const text of ['no base64!', 'a', '*', 'ab*d', 'abcd*', 'data:image/jpeg,abcd', 'aGVsbG8=\0']) {
    expect(decodeBase64(text), text).toBeUndefined();
  }
});
