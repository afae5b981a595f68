import type { StoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';
import { decodeText, sniffText, type TextPlace } from '../bodies/encodedtext.ts';
import { type JsonDocument, type JsonNumbers, type JsonValue, NumberReader } from '../bodies/json.ts';
import { looksLikeImage } from '../bodies/magic.ts';
import { describeName, foldName } from '../bodies/names.ts';
import { nextTurn, sliceBytes } from '../bodies/turns.ts';
import type { FoundImages, Where } from './protocol.ts';
import { boundedImages, invalid, makeFrames, maxImages, readSizes, uninspected } from './tensor.ts';

/** Numbers, or bytes of no known kind, that could be an image: 16 by 16 pixels in three colours. */
export const smallestImage = 768;

/** Longer texts give turns to others while they are read. */
const shortText = 4096;

/**
 * Collects the images of one request, and remembers what could be one and is not judged, so that a closed gate refuses it.
 * Whoever names an input in the configuration has said that nothing else is an image.
 */
export class Search {
  readonly images: (Uint8Array | Frame)[] = [];
  readonly where: Where;
  #unjudged: StoplineError | undefined;
  /** Letters of texts since others had the processor, and a few for each text. */
  #looked = 0;
  /** Numbers that are too few where they stand to be an image. */
  #loose = 0;

  constructor(where: Where) {
    this.where = where;
  }

  add(...images: readonly (Uint8Array | Frame)[]): void {
    if (images.length === 0) return;
    boundedImages(this.images.length + images.length);
    this.images.push(...images);
  }

  /** Whether there is no image, and nothing that could be one. */
  get isEmpty(): boolean {
    return this.images.length === 0 && this.#unjudged === undefined && this.#loose < smallestImage;
  }

  /** Something could be an image, and is not judged. */
  leave(reason: string): void {
    this.#unjudged ??= uninspected(reason);
  }

  /** Takes over what another search could not judge. */
  take(other: Search): void {
    this.#unjudged ??= other.#unjudged;
  }

  /** Another reader could find other images. */
  doubt(error: StoplineError | undefined): void {
    this.#unjudged = error ?? this.#unjudged;
  }

  /** @throws {StoplineError} UNINSPECTED or why nothing can be judged, where there is no image */
  finish(more: Omit<FoundImages, 'images' | 'unjudged'> = {}): FoundImages {
    if (this.#loose >= smallestImage) this.leave(`${this.#loose} numbers stand in it, in small pieces`);
    if (this.images.length === 0) throw this.#unjudged ?? uninspected('the request holds none');
    return { images: this.images, ...(this.#unjudged && { unjudged: this.#unjudged }), ...more };
  }

  /** Whether a field is one that the configuration says holds images; where it says nothing, all may. */
  wants(name: string | undefined): boolean {
    const { input } = this.where;
    if (input === undefined) return true;
    // What mail readers decode may be any name.
    return name !== undefined && (/^\s*=\?/.test(name) || foldName(name) === foldName(input));
  }

  /** Looks for images in a text. @param isImage whether it has to be one */
  async lookIntoText(place: TextPlace, name: string, isImage: boolean): Promise<void> {
    this.#looked += 64 + Math.min(place.end - place.start, shortText);
    if (this.#looked > sliceBytes / 4) {
      this.#looked = 0;
      await nextTurn();
    }
    if (!isImage) {
      const kind = await sniffText(place);
      if (kind === 'other') return;
      if (kind === 'address') return this.leave(`${name} names one elsewhere, which is not in the request`);
      if (kind === 'opaque') return this.leave(`${name} holds much text that could hide one`);
    }
    if (this.images.length === maxImages) boundedImages(maxImages + 1);
    const bytes = await decodeText(place);
    if (!bytes) throw invalid(`base64 in ${name}`, 'other text');
    this.add(bytes);
  }

  /** Looks for images in every value of a JSON document. @param forced names of fields that hold nothing but images */
  async lookIntoJson(document: JsonDocument, value: JsonValue, forced: ReadonlySet<string>): Promise<void> {
    this.doubt(document.ambiguity);
    await this.#walk(document, value, { name: undefined, isWanted: this.where.input === undefined, forced });
  }

  async #walk(document: JsonDocument, value: JsonValue, at: Walk): Promise<void> {
    if (value.kind === 'object') {
      for (const [key, field] of value.fields) {
        const [name] = key.split('\0', 1);
        await this.#walk(document, field, { ...at, name, isWanted: at.isWanted || this.wants(name) });
      }
    } else if (value.kind === 'array') {
      for (const item of value.items) if (!isShort(item)) await this.#walk(document, item, at);
    } else if (at.isWanted && value.kind === 'number') this.#loose += 1;
    else if (at.isWanted && value.kind === 'text') {
      const { start, end, isEscaped } = value;
      const isImage = at.forced.has(at.name ?? '') || (this.where.input !== undefined && this.wants(at.name));
      const place = { bytes: document.bytes, start: start + 1, end: end - 1, isEscaped };
      await this.lookIntoText(place, describeField(at.name), isImage);
    } else if (at.isWanted && value.kind === 'numbers') await this.lookIntoNumbers(document, value, at.name);
  }

  /** Looks for pixels, or for the bytes of an image, in numbers of a JSON document. */
  async lookIntoNumbers(document: JsonDocument, numbers: JsonNumbers, name: string | undefined): Promise<void> {
    const { count, shape = [], isBytes } = numbers;
    const { tensor } = this.where;
    if (isBytes && shape.length <= 2 && count >= 16) {
      const head = new Float64Array(160);
      const length = new NumberReader(document, numbers).read(head);
      if (looksLikeImage(Uint8Array.from(head.subarray(0, length)))) {
        return this.add(await readBytes(new NumberReader(document, numbers), count));
      }
    }
    const sizes = readSizes(shape, tensor);
    const isPixels = sizes !== undefined && (isBytes || tensor !== undefined);
    if (isPixels && (count >= smallestImage || this.where.input !== undefined)) {
      boundedImages(this.images.length + sizes.images);
      this.add(...(await makeFrames(new NumberReader(document, numbers), count, sizes, tensor, !isBytes)));
    } else if (count >= smallestImage) {
      this.leave(`${describeField(name)} holds ${count} numbers, and no "tensor" says how they became of pixels`);
    } else this.#loose += count;
  }
}

interface Walk {
  name: string | undefined;
  isWanted: boolean;
  forced: ReadonlySet<string>;
}

function isShort({ kind, start, end }: JsonValue): boolean {
  return kind === 'number' || kind === 'word' || (kind === 'text' && end - start < 10);
}

function describeField(name: string | undefined): string {
  return name === undefined ? 'the body' : describeName('field', name);
}

/** Numbers from 0 to 255 as bytes. */
export async function readBytes(source: { read(into: Float64Array): number }, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  const numbers = new Float64Array(32_768);
  let at = 0;
  for (let length = source.read(numbers); length > 0; length = source.read(numbers)) {
    bytes.set(numbers.subarray(0, length), at);
    at += length;
    await nextTurn();
  }
  return bytes;
}

/** Whether bytes are text by their first ones. */
export function isPlainText(bytes: Buffer): boolean {
  const head = bytes.subarray(0, 4096);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they tell bytes from text
  return !/[\0-\x08\x0e-\x1f]/.test(head.toString('latin1')) && !head.toString('utf8').slice(0, -3).includes('\ufffd');
}
