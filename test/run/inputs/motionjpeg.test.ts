import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { InputOptions } from '../../../src/run/inputs/item.ts';
import { openItems } from '../../../src/run/inputs/items.ts';
import { splitJpeg } from '../../../src/run/inputs/motionjpeg.ts';
import { createObjectStore } from '../../../src/run/objects.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { picture } from '../../fixtures/images.ts';

const folder = temporaryFolder();
const options: InputOptions = { store: createObjectStore(), maxBytes: 1e6 };

const frames = await Promise.all(
  [1, 2, 3].map((seed) =>
    picture(64, 48, seed)
      .jpeg({ quality: 70 + seed, progressive: seed === 2 })
      .toBuffer(),
  ),
);
/** A segment that holds a whole JPEG, as the thumbnail of EXIF does. */
const thumbnail = (frame: Buffer, inside: Buffer) => {
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(2 + inside.length, 2);
  return Buffer.concat([frame.subarray(0, 2), head, inside, frame.subarray(2)]);
};
const header = Buffer.from('\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\n');

async function split(bytes: Buffer, pieceBytes: number, maxBytes = 1e6) {
  const found: (string | Buffer)[] = [];
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  for await (const { bytes: frame, error } of splitJpeg(pieces(), maxBytes)) {
    found.push(error ? error.code : Buffer.from(frame));
  }
  return found;
}

describe('raw motion JPEG', () => {
  const whole = Buffer.concat(frames);
  it.each([1, 7, 1000, whole.length])(
    'is cut into every frame, its bytes as they are, in pieces of %d bytes',
    async (size) => {
      expect(await split(whole, size)).toEqual(frames);
    },
  );

  it('may have padding or the headers of a stream between its frames, and thumbnails inside', async () => {
    const odd = [thumbnail(frames[0], frames[1]), frames[1], frames[2]];
    const bytes = Buffer.concat([header, odd[0], header, odd[1], Buffer.alloc(100), odd[2], header]);
    for (const size of [13, bytes.length]) expect(await split(bytes, size)).toEqual(odd);
  });

  it('may lack end marks: a frame then ends where the next begins, and the last with the file', async () => {
    const open = frames.map((frame) => frame.subarray(0, -2));
    expect(await split(Buffer.concat(open), 50)).toEqual(open);
    const cut = frames[2].subarray(0, 500);
    expect(await split(Buffer.concat([frames[0], cut]), 50)).toEqual([frames[0], cut]);
  });

  it('holds no more of a frame than an image may have', async () => {
    const [first] = frames;
    const large = thumbnail(first, Buffer.alloc(20_000));
    expect(await split(Buffer.concat([first, large, first]), 1000, 10_000)).toEqual([
      first,
      'STOPLINE_ERR_IMAGE_TOO_LARGE',
      first,
    ]);
  });

  it('gives a row for every frame, and one for a file without any', async () => {
    for (const name of ['clip.mjpeg', 'clip.mjpg']) writeFileSync(join(folder, name), whole);
    writeFileSync(join(folder, 'none.mjpeg'), 'no frames');
    const found: string[] = [];
    for await (const { name, read } of await openItems([join(folder, '*.mj*')], options)) {
      const what = await read?.().then(
        (bytes) => `${frames.findIndex((frame) => frame.equals(bytes))}`,
        ({ code }) => code,
      );
      found.push(`${name.replace(`${folder}/`, '')} ${what}`);
    }
    const all = (name: string) => [0, 1, 2].map((i) => `${name}/00000${i} ${i}`);
    expect(found).toEqual([...all('clip.mjpeg'), ...all('clip.mjpg'), 'none.mjpeg STOPLINE_ERR_INPUT_UNREADABLE']);
  });
});
