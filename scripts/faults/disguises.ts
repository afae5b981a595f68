/**
 * Images that are written in a way that one reader takes for an image and another for something else: names that are spelled in
 * another way, texts that lenient readers skip parts of, characters in another coding. Part of `differentials.ts`.
 */
import { gzipSync } from 'node:zlib';
import {
  base64,
  binary,
  boundary,
  classify,
  type Differential,
  file,
  form,
  infer,
  input,
  json,
  lengthPrefixed,
  multipart,
  named,
  predict,
  sky,
} from './differentialrequest.ts';

const urlencoded = { 'content-type': 'application/x-www-form-urlencoded' };
const jpeg = { 'content-type': 'image/jpeg' };

/** Text in lines, as it stands in mails. */
const wrap = (text: string, width = 76) => text.replace(new RegExp(`.{1,${width}}`, 'g'), '$&\n');

/** Bytes as readers of `fromhex` and `fromstring` take them. */
const hex = (bytes: Buffer) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** Ascii85 in lines. */
function encodeAscii85(bytes: Buffer): string {
  const padded = Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  const letters: string[] = [];
  for (let at = 0; at < padded.length; at += 4) {
    let value = padded.readUInt32BE(at);
    const group: string[] = [];
    for (let i = 0; i < 5; i++) {
      group.unshift(String.fromCharCode(33 + (value % 85)));
      value = Math.floor(value / 85);
    }
    letters.push(...group);
  }
  return wrap(letters.join(''));
}

/** A JPEG with a comment behind its first two bytes. */
function withComment(image: Buffer, comment: Buffer): Buffer {
  const head = Buffer.from([0xff, 0xfe, 0, 0]);
  head.writeUInt16BE(comment.length + 2, 2);
  return Buffer.concat([image.subarray(0, 2), head, comment, image.subarray(2)]);
}

/** ASCII in UTF-7, every letter of it in a shift. */
function encodeUtf7(text: string): string {
  return [...text]
    .map(
      (letter) =>
        `+${Buffer.from([0, letter.charCodeAt(0)])
          .toString('base64')
          .slice(0, 3)}-`,
    )
    .join('');
}

/** A good image under its name beside a text that hides a bad one. */
const beside = (name: string, hide: (bad: Buffer) => unknown): Differential => ({
  name,
  path: classify,
  headers: json,
  body: ({ good, bad }) => JSON.stringify({ image: base64(good), photo: hide(bad) }),
});

const texts: Differential[] = [
  beside('base64 in lines behind 5,000 spaces', (bad) => ' '.repeat(5000) + wrap(base64(bad))),
  beside(
    'base64 in lines behind 5,000 signs that lenient readers skip',
    (bad) => '! '.repeat(2500) + wrap(base64(bad)),
  ),
  beside('base64 of another format in lines behind signs', (bad) => {
    const gif = Buffer.concat([Buffer.from('GIF89a'), bad]);
    return '* '.repeat(2500) + wrap(base64(gif));
  }),
  beside(
    'base64 in words of four letters',
    (bad) => `${'. '.repeat(300)}${wrap(base64(bad), 4).replaceAll('\n', ' ')}`,
  ),
  beside('hexadecimal with spaces', hex),
  beside('hexadecimal with spaces behind a few words', (bad) => `this is what the camera saw: ${hex(bad)}`),
  beside('numbers with spaces in a text', (bad) => [...bad].join(' ')),
  beside('numbers with commas and spaces in a text', (bad) => `[${[...bad].join(', ')}]`),
  beside('ascii85 in lines', encodeAscii85),
  beside('escaped bytes with spaces', (bad) =>
    [...bad].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(' '),
  ),
  beside('percent signs with spaces', (bad) =>
    [...bad].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(' '),
  ),
  beside('an address without its second slash', () => 'http:/10.0.0.1/bad.jpg'),
  beside('an address without slashes', () => 'http:10.0.0.1/bad.jpg'),
  beside('an address with backslashes', () => 'http:\\\\10.0.0.1\\bad.jpg'),
  beside('an address without its scheme', () => '//10.0.0.1/bad.jpg'),
  beside('an address of a share', () => '\\\\10.0.0.1\\share\\bad.jpg'),
  beside('an address with a tab in its scheme', () => 'ht\ttp://10.0.0.1/bad.jpg'),
  beside('an address behind a control character', () => '\u0001http://10.0.0.1/bad.jpg'),
  beside('an address behind a word', () => 'url:http://10.0.0.1/bad.jpg'),
  beside('an address in angle brackets', () => '<http://10.0.0.1/bad.jpg>'),
  beside('a data URL with parameters', (bad) => `data:image/jpeg;name="a;b";base64,${base64(bad)}`),
  beside(
    'a data URL in percent signs',
    (bad) => `data:image/jpeg,${[...bad].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')}`,
  ),
  beside('a data URL behind a control character', (bad) => `\u0001data:image/jpeg;base64,${wrap(base64(bad))}`),
  beside('two alphabets of base64', (bad) => base64(bad).replace('/', '_')),
];

const characters: Differential[] = [
  {
    name: 'JSON in UTF-7 by its charset',
    path: predict,
    headers: { 'content-type': 'application/json; charset=utf-7' },
    body: ({ good, bad }) =>
      `{"instances":[{"b64":"${base64(good).replaceAll('+', '-')}"}],"note":"${encodeUtf7('","instances":[{"b64":"')}${base64(bad).replaceAll('+', '+-')}${encodeUtf7('"}],"x":"')}"}`,
  },
  {
    name: 'tensors in UTF-16 by their charset',
    path: infer,
    headers: { 'content-type': 'application/json; charset=utf-16' },
    body: ({ good }) => JSON.stringify({ inputs: [input([base64(good)])] }),
  },
  {
    name: 'JSON in EBCDIC by its charset',
    path: infer,
    headers: { 'content-type': 'application/json; charset=cp037' },
    body: ({ good }) => JSON.stringify({ inputs: [input([base64(good)])] }),
  },
  {
    name: 'a part of JSON in UTF-7',
    path: classify,
    headers: form,
    body: ({ good }) =>
      multipart([
        {
          head: ['Content-Disposition: form-data; name="json"', 'Content-Type: application/json; charset=utf-7'],
          content: JSON.stringify({ image: base64(good) }),
        },
      ]),
  },
  {
    name: 'JSON behind a byte order mark',
    path: classify,
    headers: json,
    body: ({ good, bad }) => `\ufeff{"image":"${base64(bad)}","image":"${base64(good)}"}`,
  },
  {
    name: 'JSON in UTF-16 with its byte order mark and no charset',
    path: classify,
    headers: json,
    body: ({ bad }) => Buffer.from(`\ufeff${JSON.stringify({ image: base64(bad) })}`, 'utf16le'),
  },
  {
    name: 'a key with a letter that only some fold',
    path: sky,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ '\u017fky': base64(bad), sky: base64(good) }),
  },
  {
    name: 'a key with the sign of kelvin',
    path: sky,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ 's\u212ay': base64(bad), sky: base64(good) }),
  },
];

const names: Differential[] = [
  ...[
    'ima%67e',
    'image%5B%5D',
    'image[]',
    'image[0]',
    '%20image',
    '+image',
    'image%00',
    'image%00x',
    'IMAGE',
    'i%6d%61ge[b64]',
  ].map(
    (name): Differential => ({
      name: `a field ${name} beside the one of the route`,
      path: named,
      headers: urlencoded,
      body: ({ good, bad }) => `image=${encodeURIComponent(base64(good))}&${name}=${encodeURIComponent(base64(bad))}`,
    }),
  ),
  {
    name: 'fields behind semicolons',
    path: named,
    headers: urlencoded,
    body: ({ good, bad }) =>
      `note=a;image=${encodeURIComponent(base64(bad))}&image=${encodeURIComponent(base64(good))}`,
  },
  ...['image[]', 'image[0]', ' image', 'image ', 'IMAGE', 'ima%67e', 'image%00', '=?utf-8?q?image?='].map(
    (name): Differential => ({
      name: `a part "${name}" beside the one of the route`,
      path: named,
      headers: form,
      body: ({ good, bad }) => multipart([file(good), file(bad, name)]),
    }),
  ),
  {
    name: 'a name in another coding beside the one of the route',
    path: named,
    headers: form,
    body: ({ good, bad }) =>
      multipart([
        file(good),
        { head: [`Content-Disposition: form-data; name*=utf-8''image; filename="a.jpg"`], content: bad },
      ]),
  },
  {
    name: 'a name in quotes that others escape',
    path: named,
    headers: form,
    body: ({ good, bad }) => multipart([file(good), file(bad, 'x\\"; name=\\"image')]),
  },
];

const wrappings: Differential[] = [
  {
    name: 'full stops of full width in a path that passes unjudged',
    path: '/v2/repository/%ef%bc%8e%ef%bc%8e/models/m/infer',
    headers: jpeg,
    body: ({ bad }) => bad,
  },
  {
    name: 'a form in the comment of an image that a header calls a tensor',
    path: classify,
    headers: { ...form, 'inference-header-content-length': 'LENGTH' },
    body: ({ good, bad }) => {
      const hidden = Buffer.concat([Buffer.from('\r\n'), multipart([file(bad)])]);
      const bytes = lengthPrefixed(withComment(good, hidden));
      const parameters = { binary_data_size: bytes.length };
      return binary({ inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], parameters }] }, bytes);
    },
  },
  {
    name: 'fields of a form in a text of tensors',
    path: infer,
    headers: form,
    body: ({ good, bad }) =>
      `{"inputs":${JSON.stringify([input([base64(good)])])},"note":"\r\n${multipart([
        {
          head: ['Content-Disposition: form-data; name="image"'],
          content: wrap(base64(bad), 60).replaceAll('\n', '\r\n'),
        },
      ]).toString()}"}`,
  },
  {
    name: 'two encodings in one header',
    path: classify,
    headers: { ...jpeg, 'content-encoding': 'identity, gzip' },
    body: ({ bad }) => gzipSync(bad),
  },
  {
    name: 'an encoding twice',
    path: classify,
    headers: { ...jpeg, 'content-encoding': 'gzip, gzip' },
    body: ({ bad }) => gzipSync(gzipSync(bad)),
  },
  {
    name: 'an encoding that nobody knows',
    path: classify,
    headers: { ...jpeg, 'content-encoding': 'aes128gcm' },
    body: ({ good }) => good,
  },
  {
    name: 'two streams of gzip',
    path: classify,
    headers: { ...json, 'content-encoding': 'gzip' },
    body: ({ good, bad }) =>
      Buffer.concat([
        gzipSync(JSON.stringify({ image: base64(good) })),
        gzipSync(JSON.stringify({ image: base64(bad) })),
      ]),
  },
  {
    name: 'an encoding that is not so',
    path: classify,
    headers: { ...jpeg, 'content-encoding': 'gzip' },
    body: ({ good }) => good,
  },
  {
    name: 'an image in a part of the path',
    path: `${classify}/iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII`,
    headers: jpeg,
    body: ({ good }) => good,
  },
  {
    name: 'an image in a header',
    path: classify,
    headers: {
      ...jpeg,
      'x-photo': 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=',
    },
    body: ({ good }) => good,
  },
  {
    name: 'an address in a header',
    path: classify,
    headers: { ...jpeg, 'x-image-url': 'http://10.0.0.1/bad.jpg' },
    body: ({ good }) => good,
  },
  ...['?x=1;photo=', '?x=1;url=', '?x=1&amp;url='].map(
    (query): Differential => ({
      name: `a query ${query}`,
      path: `${classify}${query}${query.includes('url') ? 'http://10.0.0.1/bad.jpg' : 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk'}`,
      headers: jpeg,
      body: ({ good }) => good,
    }),
  ),
  {
    name: 'JSON lines that end in two ways',
    path: classify,
    headers: { 'content-type': 'application/x-ndjson' },
    body: ({ good, bad }) => `${JSON.stringify({ image: base64(good) })}\r${JSON.stringify({ image: base64(bad) })}\n`,
  },
  ...['x', ' '].map(
    (behind): Differential => ({
      name: `a part behind a boundary with ${JSON.stringify(behind)} at its end`,
      path: classify,
      headers: form,
      body: ({ good, bad }) => {
        const head = `a\r\n--${boundary}${behind}\r\nContent-Disposition: form-data; name="image"; filename="b.jpg"\r\n\r\n`;
        const content = Buffer.concat([Buffer.from(head), bad]);
        return multipart([file(good), { head: ['Content-Disposition: form-data; name="note"'], content }]);
      },
    }),
  ),
];

export const disguises: readonly Differential[] = [...texts, ...characters, ...names, ...wrappings];
