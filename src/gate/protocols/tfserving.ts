import { type JsonValue, readFields, readJson } from '../bodies/json.ts';
import { checkJsonType } from '../bodies/mediatype.ts';
import { unpack } from './find.ts';
import type { FoundImages, ReadRequest, Where } from './protocol.ts';
import { spliceBytes } from './rebuild.ts';
import { Search } from './search.ts';
import { boundedImages, invalid, uninspected } from './tensor.ts';

const imageFields: ReadonlySet<string> = new Set(['b64']);

/** The images of a TensorFlow Serving or KServe v1 request, wherever they stand in its rows or columns. */
export async function tensorflowServing(request: ReadRequest, where: Where): Promise<FoundImages> {
  checkJsonType(request.headers['content-type']);
  const document = await readJson((await unpack(request)).body);
  const fields = readFields(document.root);
  const rows = fields?.get('instances') ?? fields?.get('inputs');
  if (!fields || !rows || rows.kind === 'number' || rows.kind === 'word') throw invalid('"instances" or "inputs"');
  if (rows.kind === 'array') {
    boundedImages(rows.items.length);
    if (rows.items.length === 0) throw uninspected('the request holds none');
  }
  const search = new Search(where);
  const counts: number[] = [];
  if (rows.kind === 'array' && fields.has('instances')) {
    // One row after the other, to know which images stand in which.
    for (const row of rows.items) {
      const before = search.images.length;
      await search.lookIntoJson(document, row, imageFields);
      counts.push(search.images.length - before);
    }
    await search.lookIntoJson(document, withoutField(document.root, 'instances'), imageFields);
  } else await search.lookIntoJson(document, document.root, imageFields);
  const isRows = counts.length > 1 && counts.length === search.images.length && counts.every((count) => count === 1);
  const without = (positions: ReadonlySet<number>) => {
    const items = rows.kind === 'array' ? rows.items.filter((_, i) => !positions.has(i)) : [];
    const text = items.map(({ start, end }) => document.bytes.toString('utf8', start, end)).join(',');
    return { body: spliceBytes(document.bytes, [{ start: rows.start, end: rows.end, text: `[${text}]` }]) };
  };
  return search.finish(isRows ? { without } : {});
}

function withoutField(value: JsonValue, name: string): JsonValue {
  const fields = new Map(readFields(value));
  fields.delete(name);
  return { kind: 'object', start: value.start, end: value.end, fields };
}
