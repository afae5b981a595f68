import { describe, expect, it } from 'vitest';
import { readMediaType } from '../../../src/gate/bodies/mediatype.ts';
import { readParts } from '../../../src/gate/bodies/multipart.ts';

const type = (boundary = 'x') => readMediaType(`multipart/form-data; boundary="${boundary}"`);
const read = (text: string, boundary?: string) => readParts(Buffer.from(text, 'latin1'), type(boundary));

async function readCode(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    return String((error as { code?: string }).code).replace('STOPLINE_ERR_', '');
  }
  return 'none';
}

describe('a form', () => {
  it('is what FormData writes', async () => {
    const form = new FormData();
    form.set('note', 'front "left"');
    form.set('photo', new Blob([Buffer.from('--xx\r\n\0\xff', 'latin1')], { type: 'image/png' }), 'ä.png');
    const request = new Request('http://x', { method: 'POST', body: form });
    const written = readMediaType(request.headers.get('content-type') ?? '');
    const parts = await readParts(Buffer.from(await request.arrayBuffer()), written);
    expect(parts).toMatchObject([
      { name: 'note', isFile: false, isBase64: false },
      { name: 'photo', isFile: true, type: { name: 'image/png' } },
    ]);
    expect(parts[0].content.toString()).toBe('front "left"');
    expect(parts[1].content.toString('latin1')).toBe('--xx\r\n\0\xff');
  });

  it('may have no parts, empty parts, parts without headers and line feeds for line ends', async () => {
    expect(await read('--x--')).toEqual([]);
    const bare = await read('--x\r\n\r\nabc\r\n--x\r\n\r\n\r\n--x--\r\n');
    expect(bare.map(({ content }) => content.toString())).toEqual(['abc', '']);
    expect((await read('--x\nContent-Type: text/plain\n\na\r\nb\n--x--\n'))[0].content.toString()).toBe('a\r\nb');
    expect((await read('\r\n--x\r\n\r\nabc\r\n--x--'))[0].content.toString()).toBe('abc');
  });

  const part = (head: string) => `--x\r\n${head}\r\n\r\nabc\r\n--x--\r\n`;
  it.each([
    ['text before the first part', `before\r\n${part('A: b')}`],
    ['text behind the last one', `${part('A: b')}behind`],
    ['no end', '--x\r\nA: b\r\n\r\nabc'],
    ['the boundary within a part', '--x\r\nA: b\r\n\r\na--xbc\r\n--x--\r\n'],
    ['a boundary that goes on', '--x\r\nA: b\r\n\r\nabc\r\n--xy--\r\n'],
    ['line feeds among other line ends', '--x\r\nA: b\r\n\r\nabc\n--x--\r\n'],
    ['other line ends among line feeds', '--x\nA: b\n\nabc\r\n--x--\n'],
    ['a folded header', part('A: b\r\n c')],
    ['a header twice', part('A: b\r\na: c')],
    ['a header twice, once with an underscore', part('Content-Type: text/plain\r\nContent_Type: image/png')],
    ['a header without a colon', part('A')],
    ['a line feed in a header', part('A: b\nC: d')],
    ['a zero byte in a header', part('A: b\0')],
    ['a coding that is not read', part('Content-Transfer-Encoding: quoted-printable')],
    ['a name twice', part('Content-Disposition: form-data; name="a"; name="b"'), 'REQUEST_TYPE'],
    ['a name in pieces', part('Content-Disposition: form-data; name*0="a"; name*1="b"'), 'REQUEST_TYPE'],
    ['a name in another encoding', part("Content-Disposition: form-data; name*=UTF-8''a"), 'REQUEST_TYPE'],
    ['a name with a backslash', part('Content-Disposition: form-data; name="a\\"; b="'), 'REQUEST_TYPE'],
    ['301 parts', `${'--x\r\n\r\n\r\n'.repeat(301)}--x--`, 'REQUEST_TOO_LARGE'],
    ['17 headers', part(Array.from({ length: 17 }, (_, i) => `A${i}: b`).join('\r\n'))],
    ['5 KB of headers', part(`A: ${'b'.repeat(5000)}`)],
  ])('with %s is refused', async (_, text, code = 'REQUEST_INVALID') => {
    expect(await readCode(() => read(text))).toBe(code);
  });

  it.each([
    'multipart/form-data; boundary=a; boundary=b',
    'multipart/form-data; boundary=a; BOUNDARY=b',
    'multipart/form-data; boundary*0=a; boundary*1=b',
    'multipart/form-data; boundary="a\\"b"',
    'multipart/form-data, multipart/form-data; boundary=a',
    'multipart/form-data; boundary=a, b',
    'multipart/form-data boundary=a',
  ])('%s is refused', async (header) => {
    expect(await readCode(() => readMediaType(header))).toBe('REQUEST_TYPE');
  });

  it.each(['', 'a'.repeat(71), 'a b ', 'a<b'])('of the boundary %j is refused', async (boundary) => {
    expect(await readCode(() => read('--x--', boundary))).toBe('REQUEST_INVALID');
    expect(await readCode(() => readParts(Buffer.from('--x--'), readMediaType('multipart/form-data')))).toBe(
      'REQUEST_INVALID',
    );
  });
});
