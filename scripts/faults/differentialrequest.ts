/** What the requests that two readers could take differently are made of. */
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { decode } from '../../src/image/decode.ts';
import type { Route } from '../../src/settings.ts';

/** The images that a differential request is made of. */
export interface Pictures {
  /** Encoded, like the reference. */
  good: Buffer;
  /** Encoded, and blocked. */
  bad: Buffer;
  /** Decoded, 8-bit RGB, of the size below; blocked. */
  badPixels: Buffer;
  goodPixels: Buffer;
  width: number;
  height: number;
}

/** A bad image of the same camera as a good one, and the pixels of both. */
export async function drawPictures(good: Buffer): Promise<Pictures> {
  const { frame } = await decode(good);
  const { width, height } = frame;
  const bad = Buffer.from(await encodeFrame(renderFrame(1000, { width, height }), { quality: 3 }));
  const { frame: badFrame } = await decode(bad);
  return { good, bad, goodPixels: Buffer.from(frame.data), badPixels: Buffer.from(badFrame.data), width, height };
}

export interface Differential {
  name: string;
  path: string;
  headers?: Record<string, string>;
  body(pictures: Pictures): Buffer | string;
}

export const base64 = (bytes: Buffer) => bytes.toString('base64');
export const classify = '/classify';
/** Paths whose routes name the field that holds the image. */
export const named = '/named';
export const sky = '/sky';
export const predict = '/v1/models/m:predict';
export const infer = '/v2/models/m/infer';
/** What the settings of the gate say of them. */
export const differentialRoutes: Route[] = [
  { path: classify, protocol: 'image' },
  { path: `${classify}/*`, protocol: 'image' },
  { path: named, protocol: 'image', input: 'image' },
  { path: sky, protocol: 'image', input: 'sky' },
];
export const json = { 'content-type': 'application/json' };

export const input = (data: string[], more: object = {}) => ({
  name: 'image',
  datatype: 'BYTES',
  shape: [data.length],
  ...more,
  data,
});

export function pixelInput(name: string, pixels: Buffer, { width, height }: Pictures) {
  return { name, datatype: 'UINT8', shape: [1, height, width, 3], data: [...pixels] };
}

export function lengthPrefixed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Length of the JSON before the tensors of each binary request; it stands in the table as `LENGTH`. */
const headLengths = new WeakMap<Buffer, number>();

/** An OIP request with binary tensors. */
export function binary(head: object | string, ...tensors: Buffer[]): Buffer {
  const text = Buffer.from(typeof head === 'string' ? head : JSON.stringify(head));
  const body = Buffer.concat([text, ...tensors]);
  headLengths.set(body, text.length);
  return body;
}

export const boundary = 'X0boundary0X';
export const form = { 'content-type': `multipart/form-data; boundary=${boundary}` };

interface PartOptions {
  /** Header lines of the part. */
  head: string[];
  content: Buffer | string;
}

export function multipart(
  parts: PartOptions[],
  options: { end?: string; edge?: string; before?: Buffer; after?: Buffer } = {},
) {
  const { end = '\r\n', edge = boundary, before = Buffer.alloc(0), after = Buffer.alloc(0) } = options;
  const pieces = parts.flatMap(({ head, content }) => [
    Buffer.from(`--${edge}${end}${head.join(end)}${end}${end}`),
    Buffer.from(content as string),
    Buffer.from(end),
  ]);
  return Buffer.concat([before, ...pieces, Buffer.from(`--${edge}--${end}`), after]);
}

export const file = (content: Buffer, name = 'image', more = ''): PartOptions => ({
  head: [`Content-Disposition: form-data; name="${name}"; filename="a.jpg"${more}`, 'Content-Type: image/jpeg'],
  content,
});

/** The request of a differential as it is sent. */
export function buildDifferential({ path, headers = {}, body }: Differential, pictures: Pictures) {
  const made = body(pictures);
  const bytes = typeof made === 'string' ? Buffer.from(made) : made;
  const sent = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value === 'LENGTH' ? String(headLengths.get(bytes)) : value]),
  );
  return { path, headers: sent, body: bytes };
}
