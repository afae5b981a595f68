import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';
import { brokenItem, fileVersion, type InputOptions, type Item } from './item.ts';
import { openRegular } from './regular.ts';

export function isMotionJpegName(name: string): boolean {
  return /\.mjpe?g$/i.test(name);
}

const marker = { soi: 0xd8, eoi: 0xd9, sos: 0xda } as const;

/**
 * Every frame of a raw motion JPEG: JPEG files one after the other, perhaps with the headers of a multipart stream between them.
 * A frame is its own bytes, so nothing is compressed again. Such a file holds no times; frames are numbered.
 * @param shown its name in rows
 */
export async function* listJpegFrames(shown: string, path: string, { maxBytes }: InputOptions): AsyncGenerator<Item> {
  const version = fileVersion(path);
  let number = 0;
  try {
    for await (const frame of splitJpeg(await openRegular(path, shown), maxBytes)) {
      const name = `${shown}/${String(number++).padStart(6, '0')}`;
      const { bytes, error } = frame;
      if (error) yield { ...brokenItem(name, error, shown), version: `${version} ${number}` };
      else yield { name, folder: shown, version: `${version} ${number}`, size: bytes.length, read: async () => bytes };
    }
  } catch (cause) {
    if (cause instanceof StoplineError) return yield brokenItem(shown, cause);
    const message = `${quotePath(shown)} cannot be read to its end: ${(cause as Error).message}.`;
    return yield brokenItem(shown, new StoplineError('INPUT_UNREADABLE', message, { cause }));
  }
  if (number === 0) {
    const error = new StoplineError('INPUT_UNREADABLE', `Expected JPEG frames in ${quotePath(shown)} but found none.`);
    yield brokenItem(shown, error);
  }
}

export type JpegFrame = { bytes: Uint8Array; error?: undefined } | { bytes?: undefined; error: StoplineError };

/**
 * Cuts a stream of JPEG files apart by their markers: the thumbnail that a segment may hold does not begin a frame. A frame without
 * its end mark ends where the next one begins, and a last one with the stream; both are handed on as they are. Of one that is
 * larger than any image, no more is held than that.
 */
export async function* splitJpeg(stream: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<JpegFrame> {
  let held: Buffer = Buffer.alloc(0);
  let frame: FrameWalk | undefined;
  for await (const chunk of stream) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (;;) {
      if (!frame) {
        const start = held.indexOf(Buffer.from([0xff, marker.soi]));
        held = held.subarray(start < 0 ? Math.max(0, held.length - 1) : start);
        if (start < 0) break;
        frame = new FrameWalk();
      }
      const end = frame.findEnd(held);
      const isTooLarge = (end ?? held.length) > maxBytes;
      if (end === undefined && !isTooLarge) break;
      yield isTooLarge ? { error: refuseSize(maxBytes) } : { bytes: new Uint8Array(held.subarray(0, end)) };
      held = held.subarray(end ?? held.length);
      frame = undefined;
    }
  }
  if (frame) yield { bytes: new Uint8Array(held) };
}

function refuseSize(maxBytes: number): StoplineError {
  return new StoplineError('IMAGE_TOO_LARGE', `Expected frames of at most ${maxBytes} bytes but one has more.`);
}

/** Goes along the markers of one frame, as far as its bytes have come. */
class FrameWalk {
  #at = 2;
  #isInScan = false;

  /** @returns where the frame ends; undefined where more bytes must tell */
  findEnd(bytes: Buffer): number | undefined {
    while (this.#at + 4 <= bytes.length || (this.#isInScan && this.#at < bytes.length)) {
      if (this.#isInScan && !this.#skipScan(bytes)) return undefined;
      const type = bytes[this.#at + 1];
      if (bytes[this.#at] !== 0xff) this.#isInScan = true;
      else if (type === marker.eoi) return this.#at + 2;
      else if (type === marker.soi) return this.#at;
      else if (type === 0xff) this.#at += 1;
      else if (isBare(type)) this.#at += 2;
      else if (this.#at + 4 > bytes.length) return undefined;
      else {
        this.#isInScan = type === marker.sos;
        this.#at += 2 + bytes.readUInt16BE(this.#at + 2);
      }
    }
    // The end mark is shorter than any other segment.
    const isEnd = bytes[this.#at] === 0xff && bytes[this.#at + 1] === marker.eoi;
    return isEnd ? this.#at + 2 : undefined;
  }

  /** To the next marker that is none of the scan data. @returns false where it has not come yet */
  #skipScan(bytes: Buffer): boolean {
    for (let at = bytes.indexOf(0xff, this.#at); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at + 1)) {
      const next = bytes[at + 1];
      if (next === 0 || next === 0xff || isBare(next)) continue;
      this.#at = at;
      this.#isInScan = false;
      return true;
    }
    this.#at = Math.max(this.#at, bytes.length - 1);
    return false;
  }
}

/** Markers without a length: restarts and TEM. */
function isBare(type: number): boolean {
  return type === 0x01 || (type >= 0xd0 && type <= 0xd7);
}
