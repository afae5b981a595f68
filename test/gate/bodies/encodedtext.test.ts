import { describe, expect, it } from 'vitest';
import { decodeText, placeText, sniffText, type TextPlace } from '../../../src/gate/bodies/encodedtext.ts';
import { decodeBase64 } from '../../../src/image/base64.ts';

/** Bytes that begin as a JPEG does, longer than a slice. */
const image = Buffer.alloc(700_001, 'stopline?~>');
image.set([0xff, 0xd8, 0xff]);
const text = image.toString('base64');
const escaped = (letters: string): TextPlace => ({ ...placeText(Buffer.from(letters)), isEscaped: true });

describe('base64 in a body', () => {
  it.each([
    ['plain', text, false],
    ['without padding', text.replace(/=+$/, ''), false],
    ['with the letters of URLs', text.replaceAll('+', '-').replaceAll('/', '_'), false],
    ['with line ends', text.replace(/.{76}/g, '$&\r\n'), false],
    ['as a data URL', `data:image/jpeg;base64,${text}`, false],
    ['with escaped slashes', text.replaceAll('/', '\\/'), true],
    ['with escaped line feeds', text.replace(/.{61}/g, '$&\\n'), true],
    ['all in escapes', text.replace(/./g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`), true],
  ])('%s is the same bytes, also across slices', async (_, letters, isEscaped) => {
    const place = { ...placeText(Buffer.from(letters)), isEscaped };
    expect(await sniffText(place)).toBe('image');
    expect((await decodeText(place))?.equals(image)).toBe(true);
    if (!isEscaped) expect(decodeBase64(letters)?.equals(image)).toBe(true);
  });

  it.each([
    ['with a letter too many', 'AAAAA'],
    ['with rubbish in it', 'AA!A'],
    ['with padding in it', 'AA==AAAA'],
    ['with padding that is too long', 'AAA=='],
    ['of both alphabets', 'AA+_'],
  ])('%s is none', async (_, letters) => {
    expect(await decodeText(placeText(Buffer.from(letters)))).toBeUndefined();
    expect(decodeBase64(letters)).toBeUndefined();
  });

  it('with an escape that does not exist is none', async () => {
    expect(await decodeText(escaped('AA\\xAA'))).toBeUndefined();
  });
});

describe('a text', () => {
  it.each([
    ['other', 'green'],
    ['other', 'what is in this picture, and is it like the others? '.repeat(100)],
    ['address', 'https://example.org/a.jpg'],
    ['address', ' s3://bucket/a.jpg'],
    ['image', Buffer.from('GIF89a and more of it').toString('base64')],
    ['opaque', 'data:image/svg+xml,<svg/>'],
    ['opaque', '<svg xmlns="http://www.w3.org/2000/svg">'.padEnd(300, ' ')],
    ['opaque', Buffer.alloc(300, 'pixels').toString('base64')],
    ['opaque', `${'a, '.repeat(100)}${text.slice(0, 400)}`],
    ['opaque', `!!!!${text.slice(0, 300).replace(/.{40}/g, '$&*')}`],
    ['opaque', JSON.stringify({ image: text.slice(0, 400) })],
    ['other', '信号機の色は何色ですか。'.repeat(60)],
    ['other', `the lens was cleaned at 10:42\nhttp://example.org has the report. ${'And so on, and on. '.repeat(40)}`],
    ['other', Array.from({ length: 40 }, (_, i) => `${i}.5`).join(', ')],
    ['opaque', ' '.repeat(5000) + text.slice(0, 400).replace(/.{76}/g, '$&\n')],
    ['opaque', text.slice(40, 800).replace(/.{76}/g, '$&\r\n')],
    ['opaque', [...image.subarray(0, 300)].join(' ')],
    ['opaque', `it saw ${image.subarray(0, 300).toString('hex').replace(/../g, '$& ')}`],
    ['other', 'so '.repeat(400_000)],
    ['address', 'http:/example.org/a.jpg'],
    ['address', '//example.org/a.jpg'],
    ['address', '\\\\example.org\\a.jpg'],
    ['address', 'ht\ntps://example.org/a.jpg'],
    ['address', '<url:file:a.jpg'],
  ])('is told to be %s: %.60s', async (kind, letters) => {
    expect(await sniffText(placeText(Buffer.from(letters)))).toBe(kind);
  });
});

describe('a long text in escapes', () => {
  it('is told by what it says and not by how it is written', async () => {
    const write = (letters: string) =>
      letters.replace(/./gs, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
    expect(await sniffText(escaped(write('信号機の色は何色ですか。'.repeat(60))))).toBe('other');
    expect(await sniffText(escaped(write(`${'. '.repeat(9000)}${text.slice(0, 400)}`)))).toBe('opaque');
  });
});
