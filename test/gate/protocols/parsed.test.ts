import { describe, expect, it } from 'vitest';
import { findInParsed } from '../../../src/gate/protocols/parsed.ts';

/** Bytes that begin as a JPEG does. */
const image = (seed: number) => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(500, seed)]);
const [good, bad] = [image(1), image(2)];
const base64 = bad.toString('base64');
/** A file as `multer` keeps it. */
const file = { fieldname: 'image', mimetype: 'image/jpeg', buffer: good };
const circle: Record<string, unknown> = { image: base64 };
circle.self = circle;
const route = { path: '/classify', protocol: 'image' } as const;

describe('fields that a parser has kept beside a file', () => {
  it.each<[string, object]>([
    ['a text', { photo: base64 }],
    ['an object, as of photo[a]', { photo: { a: base64 } }],
    ['a list, as of photo[]', { photo: [base64, 'x'] }],
    ['bytes as numbers', { photo: { data: [...bad] } }],
    ['JSON as a text', { json: JSON.stringify({ image: base64 }) }],
    [
      'a field of @fastify/multipart',
      { photo: { type: 'field', fieldname: 'photo', mimetype: 'text/plain', value: base64 } },
    ],
    ['JSON that looks like one', { photo: { fieldname: 'photo', mimetype: 'text/plain', value: 'x', fields: base64 } }],
  ])('are looked into: %s', async (_, parsed) => {
    const { images, unjudged } = await findInParsed({ parsed, files: file, headers: {} }, route);
    expect(unjudged).toBeUndefined();
    expect(images.map((bytes) => Buffer.from(bytes as Uint8Array))).toEqual([bad, good]);
  });

  it.each<[string, unknown]>([
    ['a circle', circle],
    ['a long whole number', { image: base64, n: 5n }],
  ])('that JSON cannot hold are told with a code: %s', async (_, parsed) => {
    const found = findInParsed({ parsed, headers: {} }, route);
    await expect(found).rejects.toMatchObject({ code: 'STOPLINE_ERR_REQUEST_INVALID' });
  });
});
