import type { IncomingHttpHeaders } from 'node:http';
import type { Route } from '../../settings.ts';
import { placeText } from '../bodies/encodedtext.ts';
import { readJson } from '../bodies/json.ts';
import { describeName } from '../bodies/names.ts';
import { beginsAsJson } from './find.ts';
import type { FoundImages } from './protocol.ts';
import { protocols } from './protocols.ts';
import { Search } from './search.ts';
import { invalid } from './tensor.ts';

/** What a parser has made of a body. */
export interface ParsedBody {
  /** Bytes, text, JSON, or the parts of a form by their names. */
  parsed?: unknown;
  /** Files that a parser of forms keeps beside the body: one, a list, or lists by name. */
  files?: unknown;
  headers: IncomingHttpHeaders;
  /** Whether the parser has left the Content-Encoding as it came; most take it away. */
  isPacked?: boolean;
}

/** Whether a parser has left anything to look into. */
export function hasContent({ parsed, files }: Pick<ParsedBody, 'parsed' | 'files'>): boolean {
  return parsed !== undefined || listFiles(files).length > 0;
}

/** The images of a body that the application has parsed: all that its handlers see of it. */
export async function findInParsed(body: ParsedBody, route: Route): Promise<FoundImages> {
  const { parsed, files, headers, isPacked = false } = body;
  const { find } = protocols[route.protocol];
  const kept = listFiles(files);
  const { 'content-encoding': _, ...others } = headers;
  const described = isPacked ? headers : others;
  if (kept.length === 0) {
    if (parsed instanceof Uint8Array) return find({ body: toBuffer(parsed), headers: described }, route);
    if (typeof parsed === 'string') return find({ body: Buffer.from(parsed), headers: described }, route);
    if (typeof parsed !== 'object' || parsed === null) throw invalid('a body of bytes or JSON', typeof parsed);
  }
  const parts = Object.entries(parsed ?? {}).flatMap(([name, value]) => [value].flat().map((part) => ({ name, part })));
  if (kept.length === 0 && !parts.some(({ part }) => isPart(part))) {
    // What the application has read from JSON is all that its handlers see; so it is written again and looked into.
    return find({ body: Buffer.from(writeJson(parsed)), headers: { 'content-type': 'application/json' } }, route);
  }
  const search = new Search(route);
  for (const { name, part } of [...parts, ...kept]) if (search.wants(name)) await lookIntoPart(search, name, part);
  return search.finish();
}

async function lookIntoPart(search: Search, name: string, part: unknown): Promise<void> {
  const place = describeName('field', name);
  if (part instanceof Uint8Array) return search.add(part);
  if (isFile(part)) return search.add(await part.toBuffer());
  if (hasBytes(part)) return search.add(part.buffer);
  if (isStored(part) && !isField(part)) return search.leave(`${place} is a file that a parser has put elsewhere`);
  if (!isField(part)) return lookIntoValue(search, name, part);
  const { value, ...others } = part;
  await lookIntoValue(search, name, value);
  // JSON of a client may look like a field of a form. Those of a parser know each other, which JSON cannot hold.
  const beside = tryJson(others);
  if (beside !== undefined) await lookIntoText(search, name, beside);
}

async function lookIntoValue(search: Search, name: string, value: unknown): Promise<void> {
  await lookIntoText(search, name, typeof value === 'object' && value !== null ? writeJson(value) : String(value));
}

async function lookIntoText(search: Search, name: string, written: string): Promise<void> {
  const text = Buffer.from(written);
  // Parsers make objects of names with brackets, and handlers of texts that are JSON.
  if (beginsAsJson(text)) {
    const document = await readJson(text);
    return search.lookIntoJson(document, document.root, new Set(['b64']));
  }
  await search.lookIntoText(placeText(text), describeName('field', name), search.where.input !== undefined);
}

/** Undefined for what JSON cannot hold. */
function tryJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/** @throws {StoplineError} REQUEST_INVALID for what JSON cannot hold */
function writeJson(value: unknown): string {
  const text = tryJson(value);
  if (text === undefined) throw invalid('a body that JSON can hold', 'another');
  return text;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The files of `multer` and parsers like it, with the names of their fields. */
function listFiles(files: unknown): { name: string; part: unknown }[] {
  if (typeof files !== 'object' || files === null) return [];
  if (isStored(files)) return [{ name: String(files.fieldname ?? ''), part: files }];
  return Object.entries(files).flatMap(([name, value]) =>
    [value]
      .flat()
      .filter(isStored)
      .map((part) => ({ name: String(part.fieldname ?? name), part })),
  );
}

/** A file as a parser keeps it, in memory or elsewhere. */
function isStored(part: unknown): part is { fieldname?: unknown } {
  return typeof part === 'object' && part !== null && ('mimetype' in part || 'filepath' in part);
}

function hasBytes(part: unknown): part is { buffer: Uint8Array } {
  return isStored(part) && 'buffer' in part && part.buffer instanceof Uint8Array;
}

/** A file of a form, as @fastify/multipart puts it into the body. */
interface FilePart {
  type: 'file';
  toBuffer(): Promise<Buffer>;
}

function isFile(part: unknown): part is FilePart {
  return typeof part === 'object' && part !== null && 'toBuffer' in part && typeof part.toBuffer === 'function';
}

/** Whether a value of a body is a part of a form: with `attachFieldsToBody` an object, with `keyValues` bytes. */
function isPart(part: unknown): boolean {
  return part instanceof Uint8Array || isFile(part) || isStored(part);
}

/** A field of a form that is no file, as @fastify/multipart puts it into the body. */
function isField(part: unknown): part is { value?: unknown } {
  return typeof part === 'object' && part !== null && 'fieldname' in part && 'mimetype' in part && 'value' in part;
}
