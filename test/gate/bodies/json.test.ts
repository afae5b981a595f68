import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type JsonDocument,
  type JsonNumbers,
  type JsonValue,
  NumberReader,
  readCount,
  readFields,
  readJson,
  readString,
} from '../../../src/gate/bodies/json.ts';

const read = (text: string) => readJson(Buffer.from(text));
const readCode = (text: string | Buffer) =>
  readJson(Buffer.from(text as string)).then(
    () => 'none',
    ({ code }) => String(code).replace('STOPLINE_ERR_', ''),
  );

/** The value that was read, built again from its places. */
function rebuild(document: JsonDocument, value: JsonValue = document.root): unknown {
  const text = document.bytes.toString('utf8', value.start, value.end);
  if (value.kind === 'object') {
    return Object.fromEntries([...value.fields].map(([key, field]) => [key, rebuild(document, field)]));
  }
  // Numbers between other values are one value, without brackets of their own.
  if (value.kind === 'array') {
    return value.items.flatMap((item) => {
      const part = document.bytes.toString('utf8', item.start, item.end);
      return item.kind === 'numbers' ? JSON.parse(`[${part}]`) : [rebuild(document, item)];
    });
  }
  return JSON.parse(text);
}

describe('the structure of JSON', () => {
  it('is what JSON.parse reads, for any value in any spacing', async () => {
    const indent = fc.constantFrom(undefined, 1, '\t');
    const value = fc.jsonValue({ depthSize: 'medium' });
    await fc.assert(
      fc.asyncProperty(value, indent, async (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const document = await read(text);
        if (document.ambiguity) return; // keys that differ in case only
        // Keys such as __proto__ make no difference here, because nothing is built from them.
        expect(JSON.stringify(rebuild(document))).toBe(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 2000, seed: 16 },
    );
  });

  it('refuses what JSON.parse refuses, and takes what it takes', async () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"\\\\"',
      '1',
      '-',
      '0',
      '.',
      'e',
      '+',
      'true',
      'nul',
      'null',
      ' ',
      '\n',
      '"',
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), async (parts) => {
        const text = parts.join('');
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        // A text with a raw line end is let through: what it holds is the same for every reader that takes it.
        if (/"[^"]*\n[^"]*"/.test(text)) return;
        expect(await readCode(text), text).toBe(isJson ? 'none' : 'REQUEST_INVALID');
      }),
      { numRuns: 5000, seed: 16 },
    );
  });

  it.each([
    ['[[1,2,3],[4,5,6]]', [2, 3], true],
    ['[[[1],[2]],[[3],[4]]]', [2, 2, 1], true],
    ['[1, 2,\n3 ]', [3], true],
    ['[[1,2],[3]]', undefined, true],
    ['[1,[2]]', undefined, true],
    ['[256]', [1], false],
    ['[1.5,-2,3e2]', [3], false],
    [`[[${'1,'.repeat(40)}1],[${'1,'.repeat(40)}1]]`, [2, 41], true],
  ])('numbers in %s have the shape %j', async (text, shape, isBytes) => {
    const document = await read(text);
    expect(document.root).toMatchObject({ kind: 'numbers', isBytes });
    expect((document.root as JsonNumbers).shape).toEqual(shape);
    const into = new Float64Array(100);
    const count = new NumberReader(document, document.root as JsonNumbers).read(into);
    expect([...into.subarray(0, count)]).toEqual(JSON.parse(text).flat(3));
  });

  it.each([
    ['a key twice', '{"a":1,"a":2}'],
    ['a key twice, once in escapes', '{"a":1,"\\u0061":2}'],
    ['a key in two cases', '{"Image":1,"image":2}'],
    ['a key twice, deep down', '[{"x":{"a":1,"b":2,"a":3}}]'],
    ['a key with a zero byte', '{"a\\u0000":1}'],
    ['a key with half a letter', '{"\\ud800":1}'],
  ])('doubts %s, and keeps both values', async (_, text) => {
    const document = await read(text);
    expect(document.ambiguity).toMatchObject({ code: 'STOPLINE_ERR_REQUEST_INVALID' });
    expect(document.ambiguity?.message).toMatch(
      /^Expected JSON that every reader understands alike, with .* but received .*\.$/,
    );
    if (text === '{"a":1,"a":2}') expect(readFields(document.root)?.size).toBe(2);
  });

  it.each([
    ['depth', '['.repeat(33), 'REQUEST_TOO_LARGE'],
    ['keys', `{${Array.from({ length: 50_001 }, (_, i) => `"${i}":1`)}}`, 'REQUEST_TOO_LARGE'],
    ['texts', `[${'"",'.repeat(50_001)}""]`, 'REQUEST_TOO_LARGE'],
    ['arrays', `[${'{},'.repeat(50_001)}{}]`, 'REQUEST_TOO_LARGE'],
    ['rows of numbers', `[${`[${'1,'.repeat(20)}1],`.repeat(500_001)}[]]`, 'REQUEST_TOO_LARGE'],
    ['quotation marks in a text', `"${'\\"'.repeat(100_001)}"`, 'REQUEST_TOO_LARGE'],
    ['backslashes', `"${'\\'.repeat(5000)}"`, 'REQUEST_TOO_LARGE'],
    ['digits', '1'.repeat(500), 'REQUEST_TOO_LARGE'],
    ['the length of a key', `{"${'k'.repeat(2000)}":1}`, 'REQUEST_TOO_LARGE'],
    ['other bytes than UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'REQUEST_INVALID'],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le'), 'REQUEST_INVALID'],
    ['a byte order mark', '\ufeff{}', 'REQUEST_INVALID'],
  ])('bounds %s', async (_, text, code) => {
    expect(await readCode(text)).toBe(code);
  });

  it('reads short texts and whole numbers', async () => {
    const document = await read('{"a":"b\\n","n":12,"f":1.0,"m":-1,"w":true}');
    const fields = readFields(document.root);
    expect(readString(document, fields?.get('a'))).toBe('b\n');
    expect(readString(document, fields?.get('n'))).toBeUndefined();
    expect(readString(document, fields?.get('a'), 2)).toBeUndefined();
    expect(['n', 'f', 'm', 'w', 'x'].map((key) => readCount(document, fields?.get(key)))).toEqual([
      12,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
