import type { Route } from '../../settings.ts';
import { decodeBase64, isObject, type JsonObject, parseObject } from './json.ts';
import type { FoundImages, ReadRequest } from './protocol.ts';
import { boundedImages, flatten, invalid, makeFrames, readSizes, type Sizes, uninspected } from './tensor.ts';

/** One input tensor of a request, with its bytes where they come after the JSON. */
interface Input extends JsonObject {
  name: string;
  datatype: string;
  shape: number[];
  binary?: Buffer;
}

const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  UINT8: 1,
  INT8: 1,
  UINT16: 2,
  INT16: 2,
  FP16: 2,
  BF16: 2,
  UINT32: 4,
  INT32: 4,
  FP32: 4,
  UINT64: 8,
  INT64: 8,
  FP64: 8,
};

/** The images of an Open Inference Protocol request, with or without the binary tensor extension. */
export function openInference(request: ReadRequest, route: Pick<Route, 'input' | 'tensor'>): FoundImages {
  const { json, inputs } = parseInputs(request);
  const image = imageInput(inputs, route);
  const images = readImages(image, route);
  const id = typeof json.id === 'string' ? json.id.slice(0, 256) : undefined;
  const without = (positions: ReadonlySet<number>) => rebuild(json, inputs, images.length, positions);
  const isBatch = images.length > 1 && image.shape[0] === images.length;
  return { images, ...(id !== undefined && { id }), ...(isBatch && { without }) };
}

function parseInputs(request: ReadRequest): { json: JsonObject; inputs: Input[] } {
  const { body, headers } = request;
  const announced = headers['inference-header-content-length'];
  let text = body;
  let rest: Buffer | undefined;
  if (announced !== undefined && Buffer.isBuffer(body)) {
    const length = Number(announced);
    if (!/^\d{1,10}$/.test(String(announced)) || length > body.length) {
      throw invalid(`Inference-Header-Content-Length of at most ${body.length}`, String(announced).slice(0, 50));
    }
    text = body.subarray(0, length);
    rest = body.subarray(length);
  }
  const json = parseObject(request, text);
  if (!Array.isArray(json.inputs) || json.inputs.length === 0 || json.inputs.length > 256) {
    throw invalid('1 to 256 "inputs"');
  }
  let at = 0;
  const inputs = json.inputs.map((input: unknown): Input => {
    if (!isObject(input)) throw invalid('objects as "inputs"');
    const { name, datatype, shape, parameters } = input;
    const isShape =
      Array.isArray(shape) && shape.length <= 8 && shape.every((side) => Number.isSafeInteger(side) && side >= 0);
    if (typeof name !== 'string' || typeof datatype !== 'string' || !isShape) {
      throw invalid('inputs with a name, a datatype and a shape of whole numbers');
    }
    const size = isObject(parameters) ? parameters.binary_data_size : undefined;
    if (size === undefined) return { ...input, name, datatype, shape };
    if (!rest || !Number.isSafeInteger(size) || (size as number) < 0 || at + (size as number) > rest.length) {
      throw invalid(
        `a binary_data_size within the ${rest?.length ?? 0} bytes after the JSON`,
        String(size).slice(0, 50),
      );
    }
    at += size as number;
    return { ...input, name, datatype, shape, binary: rest.subarray(at - (size as number), at) };
  });
  if (rest && at !== rest.length) throw invalid(`${rest.length} bytes of binary tensors`, `a sum of ${at}`);
  return { json, inputs };
}

/** The input that the configuration names, or the first that can be images. */
function imageInput(inputs: readonly Input[], { input: wanted, tensor }: Pick<Route, 'input' | 'tensor'>): Input {
  const received = inputs.map(({ name, datatype, shape }) => `${name} ${datatype} ${shape.join('x')}`).join(', ');
  if (wanted !== undefined) {
    const named = inputs.find(({ name }) => name === wanted);
    if (!named) throw uninspected(`there is no input "${wanted}" among ${received.slice(0, 300)}`);
    return named;
  }
  const canBeImages = ({ datatype, shape }: Input) =>
    datatype === 'BYTES' ||
    ((datatype === 'UINT8' || (datatype === 'FP32' && tensor !== undefined)) && readSizes(shape, tensor) !== undefined);
  const found = inputs.find(canBeImages);
  if (found) return found;
  throw uninspected(
    `the inputs are ${received.slice(0, 300)}; a UINT8 tensor of images or BYTES are inspected, FP32 where the route has "tensor"`,
  );
}

function readImages(input: Input, { tensor }: Pick<Route, 'tensor'>): FoundImages['images'] {
  const { datatype, shape, binary, data } = input;
  const count = shape.reduce((product, side) => product * side, 1);
  if (datatype === 'BYTES') {
    boundedImages(count);
    const images = binary ? splitBytes(binary) : readStrings(data);
    if (images.length !== count) throw invalid(`${count} elements in the input "${input.name}"`, `${images.length}`);
    return images;
  }
  const sizes = readSizes(shape, tensor);
  const isFloat = datatype === 'FP32';
  if (!sizes || (datatype !== 'UINT8' && !isFloat) || (isFloat && tensor === undefined)) {
    throw uninspected(
      `the input "${input.name}" is ${datatype} ${shape.join('x')}${isFloat ? ' and the route has no "tensor" to undo its preprocessing' : ''}`,
    );
  }
  boundedImages(sizes.images);
  return makeFrames(readNumbers(input, sizes), sizes, tensor, isFloat);
}

function readNumbers(
  { binary, datatype, data, name }: Input,
  { images, width, height, channels }: Sizes,
): ArrayLike<number> {
  const length = images * width * height * channels;
  if (!binary) return flatten(data, length);
  if (datatype === 'UINT8') return binary;
  if (binary.length % 4 !== 0)
    throw invalid(`whole numbers of four bytes in the input "${name}"`, `${binary.length} bytes`);
  // A copy, because the bytes may start anywhere.
  return new Float32Array(new Uint8Array(binary).buffer);
}

/** Elements of a binary BYTES tensor: each its length in four bytes, little-endian, and then itself. */
export function splitBytes(binary: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  let at = 0;
  while (at < binary.length) {
    const end = at + 4 <= binary.length ? at + 4 + binary.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    if (end > binary.length) throw invalid('elements of BYTES that end within the tensor', 'one that does not');
    elements.push(binary.subarray(at + 4, end));
    at = end;
  }
  return elements;
}

function readStrings(data: unknown): Buffer[] {
  const strings = Array.isArray(data) ? data.flat(8) : [];
  return strings.map((text) => {
    const bytes = typeof text === 'string' ? decodeBase64(text) : undefined;
    if (!bytes) throw invalid('images in base64 as the data of BYTES');
    return bytes;
  });
}

/** The same request without some images: every input with as many rows as there are images loses those rows. */
function rebuild(json: JsonObject, inputs: readonly Input[], images: number, dropped: ReadonlySet<number>) {
  const keep = Array.from({ length: images }, (_, i) => i).filter((i) => !dropped.has(i));
  const binaries: Buffer[] = [];
  const rebuilt = inputs.map(({ binary, ...input }) => {
    const { shape, datatype, data } = input;
    const isBatched = shape[0] === images;
    const rowLength = shape.slice(1).reduce((product, side) => product * side, 1);
    const next: JsonObject = { ...input, shape: isBatched ? [keep.length, ...shape.slice(1)] : shape };
    if (binary) {
      const kept = isBatched ? keepRows(binary, { datatype, rowLength, keep }) : binary;
      binaries.push(kept);
      next.parameters = { ...(input.parameters as JsonObject), binary_data_size: kept.length };
    } else if (isBatched && Array.isArray(data)) {
      next.data =
        data.length === images
          ? keep.map((i) => data[i])
          : keep.flatMap((i) => data.slice(i * rowLength, (i + 1) * rowLength));
    }
    return next;
  });
  const head = Buffer.from(JSON.stringify({ ...json, inputs: rebuilt }));
  if (binaries.length === 0) return { body: head };
  return {
    body: Buffer.concat([head, ...binaries]),
    headers: { 'inference-header-content-length': String(head.length) },
  };
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
  if (size === 0) throw invalid('a known datatype', datatype.slice(0, 50));
  return Buffer.concat(keep.map((i) => binary.subarray(i * size, (i + 1) * size)));
}
