import { Base64Reader, dataUrl } from '../../image/base64.ts';
import { looksLikeImage, scatteredBeginnings } from './magic.ts';
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
// Each is tried only where a word begins: anywhere else long words would cost the square of their length.
const opaqueRun = new RegExp(`(?:^|[^\\x21-\\x7e])[\\x21-\\x7e]{${opaqueLength}}`);
/** As much in lines, as mails and files of keys have it. */
const opaqueLines = /(?:^|\s)(?:[\x21-\x7e]{32,}\s{1,4}){8}/;
/** As many bytes as numbers: `ff d8 ff`, `\xff\xd8`, `%ff%d8`, `[255, 216]`. */
const opaqueNumbers = (() => {
  const between = '[\\s,;:%\\\\x.|()[\\]{}"\'-]';
  return new RegExp(`(?:^|[g-wyz])${between}*(?:[0-9a-f]{1,8}${between}+){${opaqueLength / 2}}`, 'i');
})();
/** Letters of base64 that begin every image that can be told by them. */
const beginLength = 216;

/** Tells what a text is without decoding it whole. */
export async function sniffText(place: TextPlace): Promise<TextKind> {
  const { bytes, start, end } = place;
  const head = readHead(bytes.toString('latin1', start, Math.min(end, start + headLength)), place.isEscaped);
  if (isAddress(head)) return 'address';
  if (/^[\0-\x20]*data:/i.test(head) && !dataUrl.test(head.trimStart())) return 'opaque';
  const letters = head.trimStart().replace(dataUrl, '');
  const dense = letters.replace(/\s+/g, '');
  if (beginsAsImage(dense)) return 'image';
  if (/^\s*<(svg|\?xml)|^P[1-7fF]\s/.test(letters)) return 'opaque';
  if (end - start < opaqueLength) return 'other';
  return (await hidesImage(place)) ? 'opaque' : 'other';
}

/** Whether a text without white space is the base64 of an image by its beginning. */
export function beginsAsImage(dense: string): boolean {
  const begin = dense.slice(0, beginLength);
  return begin.length >= 16 && /^[\w+/=-]+$/.test(begin) && looksLikeImage(Buffer.from(begin, 'base64'));
}

/**
 * Whether a long text could be an image to a reader that skips what it does not know: base64 behind and among other signs, or
 * bytes as numbers.
 */
async function hidesImage(place: TextPlace): Promise<boolean> {
  let begin = '';
  let before = '';
  for (const piece of cutPieces(place, sliceBytes / 4)) {
    const added = readHead(piece, place.isEscaped);
    if (begin.length < beginLength) begin = (begin + added.replace(/[^\w+/-]+/g, '')).slice(0, beginLength);
    // With the end of what came before, because an image may begin there.
    const slice = before + added;
    before = slice.slice(-2 * opaqueLength);
    if ([opaqueRun, opaqueLines, opaqueNumbers, scatteredBeginnings].some((pattern) => pattern.test(slice)))
      return true;
    // Of short texts there may be many: who reads them lets others have the processor.
    if (piece.length > headLength) await nextTurn();
  }
  return beginsAsImage(begin);
}

/** The letters of a text in pieces that end within no escape. */
function* cutPieces({ bytes, start, end, isEscaped }: TextPlace, length: number): Generator<string> {
  for (let at = start; at < end; ) {
    let next = Math.min(end, at + length);
    // An escape has at most six letters.
    if (isEscaped && next < end) {
      const last = bytes.lastIndexOf(0x5c, next - 1);
      if (last > next - 6 && last > at) next = bytes[last - 1] === 0x5c && last - 1 > at ? last - 1 : last;
    }
    yield bytes.toString('latin1', at, next);
    at = next;
  }
}

/** Schemes that readers know also without slashes. */
const knownSchemes = /^(?:https?|ftps?|file|s3|gs|az|abfss?|wasbs?|gopher|rtsp|blob|jar):\S/i;

/** Whether a text is the address of something elsewhere, as the laxest readers of addresses take it. */
function isAddress(head: string): boolean {
  const text = head.slice(0, 300).replace(/^[\0-\x20"'<([{]*(?:ur[il]\s*[:=(]\s*)?[\0-\x20"'<([{]*/i, '');
  if (/^(?:[a-z][a-z0-9+.-]{0,20}:){1,4}[\\/]|^[\\/]{2}[^\s\\/]/i.test(text)) return true;
  return knownSchemes.test(text.replace(/[\t\n\r]+/g, ''));
}

/** The bytes of a text of base64, which may be a data URL; undefined where it is not base64. */
export async function decodeText({ bytes, start, end, isEscaped }: TextPlace): Promise<Buffer | undefined> {
  const prefix = dataUrl.exec(bytes.toString('latin1', start, Math.min(end, start + 256)))?.[0].length ?? 0;
  const reader = new Base64Reader(end - start - prefix);
  let rest = end - start - prefix;
  for (const piece of cutPieces({ bytes, start: start + prefix, end, isEscaped }, sliceBytes)) {
    const letters = isEscaped ? undoEscapes(piece) : piece;
    if (letters === undefined) return undefined;
    reader.push(letters);
    rest -= piece.length;
    if (rest > 0) await nextTurn();
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
