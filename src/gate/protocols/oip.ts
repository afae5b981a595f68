import type { TextPlace } from '../bodies/encodedtext.ts';
import {
  type JsonDocument,
  type JsonValue,
  NumberReader,
  readCount,
  readFields,
  readJson,
  readString,
} from '../bodies/json.ts';
import { checkJsonType } from '../bodies/mediatype.ts';
import { describeName, quoteWord } from '../bodies/names.ts';
import type { FoundImages, ReadRequest, Where } from './protocol.ts';
import { type Edit, spliceBytes } from './rebuild.ts';
import { Search } from './search.ts';
import { elementBytes, invalid } from './tensor.ts';
import { type CountedNumbers, lookIntoInputs, splitBytes, type TensorInput } from './tensors.ts';

/** One input tensor of a request, with its bytes where they come after the JSON. */
interface Input extends TensorInput {
  fields: Map<string, JsonValue>;
  data: JsonValue | undefined;
}

/** The images of an Open Inference Protocol request, with or without the binary tensor extension. */
export async function openInference(request: ReadRequest, where: Where): Promise<FoundImages> {
  checkJsonType(request.headers['content-type']);
  // Triton takes a length of 0 to say that the body is the one input, without any JSON.
  if (request.headers[headLengthHeader] === '0') return { images: [request.body] };
  const { document, rest } = await readHead(request);
  return findInTensors(document, rest, where);
}

/** The header that says how long the JSON before binary tensors is. */
export const headLengthHeader = 'inference-header-content-length';

/** JSON, and what stands behind it where a header says how long it is. */
async function readHead({ body, headers }: ReadRequest): Promise<{ document: JsonDocument; rest?: Buffer }> {
  const announced = headers[headLengthHeader];
  if (announced === undefined) return { document: await readJson(body) };
  const length = Number(announced);
  if (!/^\d{1,10}$/.test(String(announced)) || length > body.length) {
    throw invalid(
      `Inference-Header-Content-Length of at most ${body.length}`,
      /^\d{1,20}$/.test(String(announced)) ? String(announced) : 'another text',
    );
  }
  return { document: await readJson(body.subarray(0, length)), rest: body.subarray(length) };
}

/** The images of a document with a list of tensors. */
export async function findInTensors(
  document: JsonDocument,
  rest: Buffer | undefined,
  where: Where,
): Promise<FoundImages> {
  const search = new Search(where);
  const inputs = readInputs(document, rest);
  await lookBeside(search, document);
  const image = await lookIntoInputs(search, inputs);
  const id = readString(document, readFields(document.root)?.get('id'), 300);
  const count = search.images.length;
  const isBatch = count > 1 && image?.shape[0] === count && inputs.every(isRebuildable);
  return search.finish({
    ...(id !== undefined && { id: id.slice(0, 256) }),
    ...(isBatch && { without: (positions) => rebuild(document, inputs, count, positions) }),
  });
}

/** Most numbers as JSON in a request that goes on without some of its images: they are taken apart in one go. */
const maxRebuilt = 100_000;

function isRebuildable({ data }: Input): boolean {
  return data?.kind !== 'numbers' || data.count <= maxRebuilt;
}

/** Images that stand anywhere but in the data of the inputs. */
async function lookBeside(search: Search, document: JsonDocument): Promise<void> {
  const fields = new Map(readFields(document.root));
  const { inputs } = Object.fromEntries(fields) as { inputs?: JsonValue };
  fields.delete('inputs');
  const items = inputs?.kind === 'array' ? inputs.items : [];
  items.forEach((input, i) => {
    const beside = new Map(readFields(input));
    for (const name of ['name', 'datatype', 'shape', 'data']) beside.delete(name);
    fields.set(`inputs ${i}`, { kind: 'object', fields: beside, start: 0, end: 0 });
  });
  await search.lookIntoJson(document, { kind: 'object', fields, start: 0, end: 0 }, new Set());
}

function readInputs(document: JsonDocument, rest: Buffer | undefined): Input[] {
  const list = readFields(document.root)?.get('inputs');
  if (!readFields(document.root)) throw invalid('a JSON object');
  if (list?.kind !== 'array' || list.items.length === 0 || list.items.length > 256) throw invalid('1 to 256 "inputs"');
  let at = 0;
  const inputs = list.items.map((item): Input => {
    const fields = readFields(item);
    if (!fields) throw invalid('objects as "inputs"');
    const name = readString(document, fields.get('name'));
    const datatype = readString(document, fields.get('datatype'), 50);
    const shape = readShape(document, fields.get('shape'));
    if (name === undefined || datatype === undefined || !shape) {
      throw invalid('inputs with a name, a datatype and a shape of whole numbers');
    }
    const data = fields.get('data');
    const parameters = readFields(fields.get('parameters'));
    const isElsewhere = !data && (parameters?.has('shared_memory_region') ?? false);
    const input: Input = { name, datatype, shape, fields, data, isElsewhere };
    input.texts = () => readTexts(document, input);
    input.numbers = () => readNumbers(document, input);
    const given = parameters?.get('binary_data_size');
    if (given === undefined) return input;
    const size = readCount(document, given);
    if (!rest || size === undefined || at + size > rest.length) {
      const received = size === undefined ? 'another value' : String(size);
      throw invalid(`a binary_data_size within the ${rest?.length ?? 0} bytes after the JSON`, received);
    }
    if (input.data) throw invalid(`the data of ${describeName('input', name)} as JSON or as bytes`, 'both');
    at += size;
    return { ...input, isElsewhere: false, binary: rest.subarray(at - size, at) };
  });
  if (rest && at !== rest.length) throw invalid(`${rest.length} bytes of binary tensors`, `a sum of ${at}`);
  return inputs;
}

function readShape({ bytes }: JsonDocument, value: JsonValue | undefined): number[] | undefined {
  if (value?.kind === 'array' && value.items.length === 0) return [];
  if (value?.kind !== 'numbers' || value.shape?.length !== 1 || value.count > 8 || value.end - value.start > 200)
    return undefined;
  const shape: unknown[] = JSON.parse(bytes.toString('latin1', value.start, value.end));
  return shape.every((side) => Number.isSafeInteger(side) && (side as number) >= 0) ? (shape as number[]) : undefined;
}

function readNumbers(document: JsonDocument, { datatype, data, name }: Input): CountedNumbers {
  if (data?.kind === 'array' && data.items.length === 0) return { source: { read: () => 0 }, length: 0 };
  if (data?.kind !== 'numbers') throw invalid(`an array of numbers as the data of ${describeName('input', name)}`);
  if (datatype === 'UINT8' && !data.isBytes)
    throw invalid(`numbers from 0 to 255 as the data of ${describeName('input', name)}`);
  return { source: new NumberReader(document, data), length: data.count };
}

function readTexts({ bytes }: JsonDocument, { name, data }: Input): TextPlace[] {
  return (data ? flattenTexts(data) : []).map((text) => {
    if (text.kind !== 'text') throw invalid(`images in base64 as the data of ${describeName('input', name)}`);
    return { bytes, start: text.start + 1, end: text.end - 1, isEscaped: text.isEscaped };
  });
}

function flattenTexts(value: JsonValue, depth = 0): JsonValue[] {
  if (value.kind !== 'array' || depth > 8) return [value];
  return value.items.flatMap((item) => flattenTexts(item, depth + 1));
}

/** The same request without some images: every input with as many rows as there are images loses those rows. */
function rebuild(document: JsonDocument, inputs: readonly Input[], images: number, dropped: ReadonlySet<number>) {
  const keep = Array.from({ length: images }, (_, i) => i).filter((i) => !dropped.has(i));
  const edits: Edit[] = [];
  const binaries: Buffer[] = [];
  for (const input of inputs) {
    const { shape, datatype, binary, data, fields } = input;
    const isBatched = shape[0] === images;
    const rowLength = shape.slice(1).reduce((product, side) => product * side, 1);
    const place = fields.get('shape') as JsonValue;
    if (isBatched) edits.push({ ...place, text: JSON.stringify([keep.length, ...shape.slice(1)]) });
    if (binary) {
      const kept = isBatched ? keepRows(binary, { datatype, rowLength, keep }) : binary;
      binaries.push(kept);
      const size = readFields(fields.get('parameters'))?.get('binary_data_size') as JsonValue;
      edits.push({ ...size, text: String(kept.length) });
    } else if (isBatched && data) edits.push(keepItems(document, data, { rowLength, keep }));
  }
  const head = spliceBytes(document.bytes, edits);
  if (binaries.length === 0) return { body: head };
  return { body: Buffer.concat([head, ...binaries]), headers: { [headLengthHeader]: String(head.length) } };
}

function keepItems(
  { bytes }: JsonDocument,
  data: JsonValue,
  rows: { rowLength: number; keep: readonly number[] },
): Edit {
  const { rowLength, keep } = rows;
  const items =
    data.kind === 'numbers'
      ? bytes
          .toString('latin1', data.start, data.end)
          .replace(/[[\]\s]+/g, '')
          .split(',')
      : flattenTexts(data).map(({ start, end }) => bytes.toString('utf8', start, end));
  const kept = keep.flatMap((i) => items.slice(i * rowLength, (i + 1) * rowLength));
  return { start: data.start, end: data.end, text: `[${kept.join(',')}]` };
}

function keepRows(
  binary: Buffer,
  { datatype, rowLength, keep }: { datatype: string; rowLength: number; keep: readonly number[] },
): Buffer {
  if (datatype === 'BYTES') {
    const elements = splitBytes(binary);
    const rows = keep.flatMap((i) => elements.slice(i * rowLength, (i + 1) * rowLength));
    return Buffer.concat(
      rows.flatMap((element) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(element.length);
        return [length, element];
      }),
    );
  }
  const size = rowLength * (elementBytes[datatype] ?? 0);
  if (size === 0) throw invalid('a known datatype', quoteWord(datatype));
  return Buffer.concat(keep.map((i) => binary.subarray(i * size, (i + 1) * size)));
}
