import { StoplineError } from '../../errors.ts';
import { type MediaType, readMediaType, readParameters } from './mediatype.ts';
import { describeName, quoteWord } from './names.ts';
import { nextTurn, sliceBytes } from './turns.ts';

/** Bounds of a form: 256 images and some fields, and headers as clients write them. */
const multipartBounds = { parts: 300, headers: 16, headerBytes: 4096 };

/** One part of a form. */
export interface Part {
  /** Undefined where the part has no name. */
  name?: string;
  /** It came with a file name. */
  isFile: boolean;
  type: MediaType;
  /** The content is in base64, by a header of the part. */
  isBase64: boolean;
  content: Buffer;
}

function invalid(expected: string, received: string): StoplineError {
  return new StoplineError('REQUEST_INVALID', `Expected a form with ${expected} but received ${received}.`);
}

/**
 * The parts of a form, read strictly: whatever readers are known to take differently is refused, such as text before the first
 * part or behind the last, folded or doubled headers, and lines that end in two ways.
 * @param type that of the request
 * @throws {StoplineError} REQUEST_INVALID, REQUEST_TYPE, REQUEST_TOO_LARGE
 */
export async function readParts(body: Buffer, type: MediaType): Promise<Part[]> {
  const boundary = type.parameters.get('boundary');
  if (boundary === undefined || !/^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/.test(boundary)) {
    throw invalid('a boundary of 1 to 70 plain letters', boundary === undefined ? 'none' : 'another');
  }
  const edge = Buffer.from(`--${boundary}`);
  const first = body.subarray(0, 2).toString('latin1') === '\r\n' ? 2 : 0;
  if (!body.subarray(first, first + edge.length).equals(edge)) throw invalid('a boundary at its start', 'other text');
  const end = body[first + edge.length] === 0x0a ? '\n' : '\r\n';
  const parts: Part[] = [];
  let start = first + edge.length;
  for (;;) {
    if (body.subarray(start, start + 2).toString('latin1') === '--') break;
    if (body.subarray(start, start + end.length).toString('latin1') !== end)
      throw invalid('lines that end alike', 'others');
    if (parts.length === multipartBounds.parts) {
      throw new StoplineError(
        'REQUEST_TOO_LARGE',
        `Expected at most ${multipartBounds.parts} parts but received more.`,
      );
    }
    const next = await findEdge(body, edge, start);
    if (next < 0) throw invalid('an end', 'none');
    const before = body.subarray(next - 2, next).toString('latin1');
    if (!before.endsWith(end) || (end === '\n' && before === '\r\n')) throw invalid('lines that end alike', 'others');
    parts.push(readPart(body.subarray(start + end.length, Math.max(next - end.length, start + end.length)), end));
    start = next + edge.length;
  }
  const rest = body.subarray(start + 2).toString('latin1', 0, 3);
  if (rest !== '' && rest !== '\r\n' && rest !== '\n') throw invalid('nothing behind its end', 'more');
  return parts;
}

/** Where a boundary is, looked for in slices; -1 where it is not. */
async function findEdge(body: Buffer, edge: Buffer, from: number): Promise<number> {
  for (let at = from; at < body.length; at += sliceBytes) {
    const found = body.subarray(at, at + sliceBytes + edge.length - 1).indexOf(edge);
    if (found >= 0) return at + found;
    await nextTurn();
  }
  return -1;
}

function readPart(bytes: Buffer, end: string): Part {
  const isBare = bytes.subarray(0, end.length).toString('latin1') === end;
  const blank = isBare ? 0 : bytes.subarray(0, multipartBounds.headerBytes + 4).indexOf(end + end);
  if (blank < 0) {
    throw invalid(`at most ${multipartBounds.headerBytes} bytes of headers in a part`, 'more, or no end of them');
  }
  const headers = readHeaders(bytes.toString('utf8', 0, blank), end);
  const content = bytes.subarray(blank + (isBare ? end.length : 2 * end.length));
  const encoding = (headers.get('content-transfer-encoding') ?? 'binary').toLowerCase();
  if (!['binary', '7bit', '8bit', 'base64'].includes(encoding)) {
    throw invalid('parts in binary or base64', quoteWord(encoding));
  }
  const disposition = headers.get('content-disposition') ?? '';
  const [kind] = disposition.split(';', 1);
  const parameters = readParameters(disposition.slice(kind.length + 1));
  const name = parameters.get('name');
  return {
    ...(name !== undefined && { name }),
    isFile: parameters.has('filename') || parameters.has('filename*'),
    type: readMediaType(headers.get('content-type')),
    isBase64: encoding === 'base64',
    content,
  };
}

function readHeaders(text: string, end: string): Map<string, string> {
  const headers = new Map<string, string>();
  const lines = text === '' ? [] : text.split(end, multipartBounds.headers + 1);
  if (lines.length > multipartBounds.headers)
    throw invalid(`at most ${multipartBounds.headers} headers in a part`, 'more');
  for (const line of lines) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    const match = /^([\w-]+):[ \t]*([^\0-\x08\x0a-\x1f\x7f]*)$/.exec(line);
    if (!match) throw invalid('plain headers of parts', 'another line');
    const name = match[1].toLowerCase().replaceAll('_', '-');
    if (headers.has(name)) throw invalid('each header of a part once', `${describeName('header', name)} twice`);
    headers.set(name, match[2].trim());
  }
  return headers;
}
