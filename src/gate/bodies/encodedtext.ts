import { Base64Reader, dataUrl } from '../../image/base64.ts';
import { base64Beginnings, looksLikeImage } from './magic.ts';
import { nextTurn, sliceBytes } from './turns.ts';

/** A text within the bytes of a body. */
export interface TextPlace {
  bytes: Buffer;
  /** Where its letters begin, without quotation marks. */
  start: number;
  end: number;
  /** It holds escapes of JSON. */
  isEscaped: boolean;
}

/** A text that is all of some bytes. */
export function placeText(bytes: Buffer): TextPlace {
  return { bytes, start: 0, end: bytes.length, isEscaped: false };
}

/** What a text seems to be. */
export type TextKind =
  /** An image in base64. */
  | 'image'
  /** Much that could hide an image from this reader but not from another. */
  | 'opaque'
  /** The address of something elsewhere. */
  | 'address'
  /** Words. */
  | 'other';

/** Letters that are looked at to tell what a text is. */
const headLength = 4096;
/** Letters without a space that could be an image in base64, base85 or numbers: about 190 bytes. No words are so long. */
const opaqueLength = 256;
const opaqueRun = new RegExp(`[\\x21-\\x7e]{${opaqueLength}}`);

/** Tells what a text is without decoding it whole. */
export async function sniffText(place: TextPlace): Promise<TextKind> {
  const { bytes, start, end } = place;
  const head = readHead(bytes.toString('latin1', start, Math.min(end, start + headLength)), place.isEscaped);
  if (/^\s*[a-z][a-z0-9+.-]{0,20}:\/\//i.test(head)) return 'address';
  if (/^\s*data:/i.test(head) && !dataUrl.test(head.trimStart())) return 'opaque';
  const letters = head.trimStart().replace(dataUrl, '');
  const dense = letters.replace(/\s+/g, '');
  if (dense.length < 16) return 'other';
  if (looksLikeImage(Buffer.from(dense.slice(0, 216), 'base64')) && /^[\w+/=-]+$/.test(dense.slice(0, 216)))
    return 'image';
  if (/^\s*<(svg|\?xml)|^P[1-7fF]\s/.test(letters)) return 'opaque';
  if (end - start < opaqueLength) return 'other';
  // Some readers skip what is not base64, so it may stand in front of and among the letters of an image.
  if (base64Beginnings.test(head.replace(/[^A-Za-z0-9+/_-]+/g, ''))) return 'opaque';
  for (let at = start; at < end; at += sliceBytes) {
    if (opaqueRun.test(bytes.toString('latin1', at, Math.min(end, at + sliceBytes + opaqueLength)))) return 'opaque';
    if (end - start > sliceBytes) await nextTurn();
  }
  return 'other';
}

/** The bytes of a text of base64, which may be a data URL; undefined where it is not base64. */
export async function decodeText({ bytes, start, end, isEscaped }: TextPlace): Promise<Buffer | undefined> {
  const prefix = dataUrl.exec(bytes.toString('latin1', start, Math.min(end, start + 256)))?.[0].length ?? 0;
  const reader = new Base64Reader(end - start - prefix);
  let at = start + prefix;
  while (at < end) {
    let next = Math.min(end, at + sliceBytes);
    // Not within an escape, which has at most six letters.
    if (isEscaped && next < end) {
      const last = bytes.lastIndexOf(0x5c, next - 1);
      if (last > next - 6 && last > at) next = bytes[last - 1] === 0x5c && last - 1 > at ? last - 1 : last;
    }
    const piece = bytes.toString('latin1', at, next);
    const letters = isEscaped ? undoEscapes(piece) : piece;
    if (letters === undefined) return undefined;
    reader.push(letters);
    at = next;
    if (at < end) await nextTurn();
  }
  return reader.end();
}

/** A piece of a text without its escapes; undefined where one of them does not exist, or is cut. */
function undoEscapes(text: string): string | undefined {
  try {
    // Control characters may not stand in JSON, and mean nothing in base64.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
    return JSON.parse(`"${text.replace(/[\0-\x1f]+/g, '')}"`);
  } catch {
    return undefined;
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

/** The same for the start of a text, which may be cut within an escape. */
function readHead(text: string, isEscaped: boolean): string {
  if (!isEscaped) return text;
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_, code: string | undefined, letter: string) =>
    code === undefined ? (escapes[letter] ?? letter) : String.fromCharCode(Number.parseInt(code, 16)),
  );
}
