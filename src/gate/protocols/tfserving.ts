import type { Route } from '../../settings.ts';
import { decodeBase64, isObject, type JsonObject, parseObject } from './json.ts';
import type { FoundImages, ReadRequest } from './protocol.ts';
import { boundedImages, invalid, uninspected } from './tensor.ts';

/** The images of a TensorFlow Serving or KServe v1 request: `{"b64": ...}` anywhere in a row, or in the named field of it. */
export function tensorflowServing(request: ReadRequest, { input }: Pick<Route, 'input'>): FoundImages {
  const json = parseObject(request);
  const key = Array.isArray(json.instances) ? 'instances' : 'inputs';
  const rows = readRows(json[key], input);
  boundedImages(rows.length);
  const images = rows.map((row) => readRowImage(row, input));
  // Rows of one list can be left out; a column is one of several that belong together.
  const isRows = images.length > 1 && json[key] === rows;
  const without = (positions: ReadonlySet<number>) => ({
    body: Buffer.from(JSON.stringify({ ...json, [key]: rows.filter((_, i) => !positions.has(i)) })),
  });
  return { images, ...(isRows && { without }) };
}

/** Rows are a list; columns are an object of lists, of which the named one, or the first with images, is taken. */
function readRows(rows: unknown, input: string | undefined): unknown[] {
  if (Array.isArray(rows)) return rows;
  if (!isObject(rows)) throw invalid('"instances" or "inputs"');
  if (isEncoded(rows)) return [rows];
  const column = input === undefined ? Object.values(rows).find(holdsImage) : ownValue(rows, input);
  if (column === undefined) throw uninspected('no column of "inputs" holds images in base64');
  return Array.isArray(column) ? column : [column];
}

function holdsImage(value: unknown): boolean {
  return isEncoded(Array.isArray(value) ? value[0] : value);
}

function isEncoded(value: unknown): value is { b64: string } {
  return isObject(value) && typeof value.b64 === 'string';
}

function readRowImage(row: unknown, input: string | undefined): Buffer {
  const fields = isObject(row) && !isEncoded(row) ? row : undefined;
  const value = fields ? (input === undefined ? Object.values(fields).find(isEncoded) : ownValue(fields, input)) : row;
  if (!isEncoded(value)) throw uninspected('an instance holds none in base64 ({"b64": ...})');
  const bytes = decodeBase64(value.b64);
  if (!bytes) throw invalid('base64 in "b64"');
  return bytes;
}

function ownValue(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
