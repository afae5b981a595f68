import type { Readable } from 'node:stream';
import { TextDecoder } from 'node:util';
import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';

/** Bytes that must be there before the encoding is decided. */
const sniffedBytes = 1024;
/** Longest line of JSON, which may hold an image as base64. */
const maxLineLength = 64 * 1024 * 1024;

/**
 * The text of a stream, piece by piece, in whatever Unicode it is: UTF-8 or UTF-16 by its mark, and UTF-16 without one by its
 * line ends. The mark itself is left out.
 */
export async function* decodeText(stream: Readable): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer | string>) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    if (decoder) {
      yield decoder.decode(bytes, { stream: true });
      continue;
    }
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
    if (held.length < sniffedBytes) continue;
    decoder = new TextDecoder(recogniseEncoding(held));
    yield decoder.decode(held, { stream: true });
  }
  if (decoder) yield decoder.decode();
  else yield new TextDecoder(recogniseEncoding(held)).decode(held);
}

/** A list that `find -print0` wrote holds zero bytes, too, but hardly any line ends of two bytes at even places. */
function recogniseEncoding(start: Buffer): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le';
  if (start[0] === 0xfe && start[1] === 0xff) return 'utf-16be';
  const zeros = [0, 0];
  for (let i = 0; i < start.length; i++) if (start[i] === 0) zeros[i % 2] += 1;
  const [even, odd] = zeros;
  // Paths are mostly ASCII: then one byte of each two is zero, and the other is not.
  if (odd > start.length * 0.4 && even === 0) return 'utf-16le';
  if (even > start.length * 0.4 && odd === 0) return 'utf-16be';
  return 'utf-8';
}

/**
 * The entries of a text of one a line, or of one ended by a NUL, as `find -print0` writes them. Empty ones are left out.
 * @param name what the text is called in errors
 * @throws {StoplineError} MANIFEST_INVALID for an entry longer than `maxLength`
 */
export async function* splitEntries(
  text: AsyncIterable<string>,
  { name, maxLength }: { name: string; maxLength: number },
): AsyncGenerator<string> {
  let separator: '\0' | '\n' | undefined;
  let held = '';
  for await (const piece of text) {
    held += piece;
    if (separator === undefined && held !== '') separator = recogniseSeparator(held);
    const parts = held.split(separator ?? '\n');
    held = parts.pop() as string;
    for (const part of parts) yield* cleanEntry(part, separator);
    if (held.length > maxLength) {
      throw new StoplineError(
        'MANIFEST_INVALID',
        `Expected one entry a line in ${quotePath(name)} but one has more than ${maxLength} characters.`,
      );
    }
  }
  yield* cleanEntry(held, separator);
}

/** A NUL that stands within a line is a mistake in that line; where NULs end the entries, line ends are rare. */
function recogniseSeparator(text: string): '\0' | '\n' {
  const count = (sign: string) => text.split(sign).length - 1;
  return count('\0') > count('\n') ? '\0' : '\n';
}

function* cleanEntry(entry: string, separator: '\0' | '\n' | undefined): Generator<string> {
  const text = separator === '\0' ? entry : entry.replace(/\r$/, '');
  if (text !== '') yield text;
}

/**
 * Lines with their empty ones, so that they can be counted. Within a JSON text, only a line feed ends a line.
 * @throws {StoplineError} MANIFEST_INVALID for a line that is longer than any should be
 */
export async function* splitLines(text: AsyncIterable<string>, file: string): AsyncGenerator<string> {
  let held = '';
  for await (const piece of text) {
    // Only what is new is looked through: a line of many pieces would be read once for each of them.
    const [end, ...lines] = piece.split('\n');
    held += end;
    if (lines.length > 0) {
      yield held;
      held = lines.pop() as string;
      yield* lines;
    }
    if (held.length > maxLineLength) {
      throw new StoplineError(
        'MANIFEST_INVALID',
        `Expected JSON lines in ${quotePath(file)} but one has more than ${maxLineLength} characters.`,
      );
    }
  }
  yield held;
}
