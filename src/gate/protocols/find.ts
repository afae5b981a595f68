import { defaultLimits } from '../../image/frame.ts';
import { placeText, sniffText } from '../bodies/encodedtext.ts';
import { unpackBody } from '../bodies/encoding.ts';
import { readFields, readJson } from '../bodies/json.ts';
import { looksLikeImage } from '../bodies/magic.ts';
import { checkCharset, type MediaType, readMediaType } from '../bodies/mediatype.ts';
import { readParts } from '../bodies/multipart.ts';
import { describeName } from '../bodies/names.ts';
import { readPairs } from '../bodies/urlencoded.ts';
import { findInTensors, headLengthHeader, openInference } from './oip.ts';
import type { FoundImages, ReadRequest, Where } from './protocol.ts';
import { isPlainText, Search, smallestImage } from './search.ts';
import { invalid } from './tensor.ts';

const urlencoded = 'application/x-www-form-urlencoded';
/** Fields that hold nothing but images. */
const imageFields: ReadonlySet<string> = new Set(['b64']);
const ownImageFields: ReadonlySet<string> = new Set(['b64', 'image']);

/** Whatever in a request can be an image, in each form that model servers are known to take. */
export async function findImages(request: ReadRequest, where: Where): Promise<FoundImages> {
  return lookInto(await unpack(request), where, false);
}

/** The same for a path that is known to carry images: a body of no other kind is one, and so is the field `image`. */
export async function findKnownImages(request: ReadRequest, where: Where): Promise<FoundImages> {
  return lookInto(await unpack(request), where, true);
}

/** A request without its Content-Encoding. */
export async function unpack(request: ReadRequest): Promise<ReadRequest> {
  const { body, headers, bodyLimit = defaultLimits.maxBytes, hold } = request;
  const unpacked = await unpackBody(body, headers['content-encoding'], bodyLimit);
  if (unpacked !== body) hold?.(unpacked.length);
  return { ...request, body: unpacked };
}

async function lookInto(request: ReadRequest, where: Where, isKnown: boolean): Promise<FoundImages> {
  const { body, headers } = request;
  const type = readMediaType(headers['content-type']);
  if (headers[headLengthHeader] !== undefined) {
    if (type.name === urlencoded) throw invalid('tensors under the type of bytes', 'a form');
    return openInference(request, where);
  }
  const search = new Search(where);
  if (isJson(type)) return lookIntoJson(body, type, where, isKnown);
  if (/^application\/(x-)?(jsonlines|jsonl|ndjson|json-lines)$/.test(type.name)) {
    checkCharset(type);
    for (const line of splitLines(body)) await lookIntoLine(search, line, isKnown);
    return search.finish();
  }
  if (type.name.startsWith('multipart/')) await lookIntoForm(search, body, type, isKnown);
  else if (type.name === urlencoded) {
    // Some send base64 and no form under this type.
    if (where.input === undefined && (await sniffText(placeText(body))) === 'image') {
      await search.lookIntoText(placeText(body), 'the body', true);
      return search.finish();
    }
    for (const { name, place } of readPairs(body)) {
      if (search.wants(name)) await search.lookIntoText(place, describeName('field', name), where.input !== undefined);
    }
  } else if (beginsAsJson(body) && !type.name.startsWith('image/')) return lookIntoJson(body, type, where, isKnown);
  else await lookIntoBytes(search, body, type, isKnown);
  return search.finish();
}

function isJson({ name }: MediaType): boolean {
  return /^(application|text)\/([\w.-]+\+)?json$/.test(name);
}

/** Most documents in a body of one on each line. */
const maxLines = 1000;

function splitLines(body: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const feed = body.indexOf('\n', at);
    const end = feed < 0 ? body.length : feed;
    if (lines.length === maxLines) throw invalid(`at most ${maxLines} lines of JSON`, 'more');
    if (body.toString('latin1', at, end).trim() !== '') lines.push(body.subarray(at, end));
    at = end + 1;
  }
  return lines;
}

async function lookIntoLine(search: Search, line: Buffer, isKnown: boolean): Promise<void> {
  const document = await readJson(line);
  await search.lookIntoJson(document, document.root, isKnown ? ownImageFields : imageFields);
}

/** Whether bytes begin as a JSON document of more than one value does, or one text. */
export function beginsAsJson(body: Buffer): boolean {
  return /^\s*[[{"]/.test(body.toString('latin1', 0, 32));
}

async function lookIntoJson(body: Buffer, type: MediaType, where: Where, isKnown: boolean): Promise<FoundImages> {
  checkCharset(type);
  const document = await readJson(body);
  const inputs = readFields(document.root)?.get('inputs');
  const isTensor = (value: Map<string, unknown> | undefined) => value?.has('datatype') && value.has('shape');
  if (inputs?.kind === 'array' && inputs.items.some((item) => isTensor(readFields(item)))) {
    return findInTensors(document, undefined, where);
  }
  const search = new Search(where);
  await search.lookIntoJson(document, document.root, isKnown ? ownImageFields : imageFields);
  return search.finish();
}

/** A body, or a part of a form, that is neither JSON nor a form. */
async function lookIntoBytes(search: Search, bytes: Buffer, type: MediaType, isImage: boolean): Promise<void> {
  if (looksLikeImage(bytes) || type.name.startsWith('image/')) return search.add(bytes);
  if (type.name === 'text/plain' || !isImage) {
    const images = search.images.length;
    await search.lookIntoText(placeText(bytes), 'the body', false);
    if (search.images.length > images || type.name === 'text/plain') return;
  }
  if (isImage) return search.add(bytes);
  if (bytes.length >= smallestImage && !isPlainText(bytes)) search.leave('it holds bytes of no known kind');
}

async function lookIntoForm(search: Search, body: Buffer, type: MediaType, isKnown: boolean): Promise<void> {
  const { input } = search.where;
  for (const part of await readParts(body, type)) {
    const name = part.name === undefined ? 'a part without a name' : describeName('part', part.name);
    if (!search.wants(part.name) && !(part.name === undefined && input === undefined)) continue;
    const { content } = part;
    const place = placeText(content);
    if (part.type.name.startsWith('multipart/')) search.leave(`${name} is a form in a form`);
    else if (isJson(part.type) || (!part.isFile && beginsAsJson(content))) {
      checkCharset(part.type);
      const document = await readJson(content);
      await search.lookIntoJson(document, document.root, isKnown ? ownImageFields : imageFields);
    } else if (part.isBase64) await search.lookIntoText(place, name, true);
    else await lookIntoBytes(search, content, part.type, part.isFile || input !== undefined);
  }
}
