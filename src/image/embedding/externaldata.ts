import { StoplineError } from '../../errors.ts';
import { type ModelBounds, modelLimits, readModelBounds } from './graph.ts';
import { encodeField, type Field, ProtobufReader } from './protobuf.ts';

/** Where a tensor's numbers lie. */
interface Place {
  location: string;
  offset: number;
  length: number | undefined;
}

const refuse = (what: string) =>
  new StoplineError('MODEL_EXTERNAL_DATA', `Expected weights in the model or in a file beside it but ${what}.`);

/**
 * The same ONNX model with the weights of its initialisers within it, where they lie in files beside it, as PyTorch writes
 * them (`model.onnx.data`). What is hashed, checked and loaded is one file all the same.
 * @param read reads a file beside the model, by its plain name, of a bounded size
 * @returns the bytes as they were where nothing lies elsewhere
 * @throws {StoplineError} MODEL_EXTERNAL_DATA for a place outside, MODEL_TRUNCATED for a file that is too short,
 *   MODEL_TOO_LARGE, and what `read` throws
 */
export function inlineExternalData(
  bytes: Uint8Array,
  read: (name: string, maxBytes: number) => Uint8Array,
  bounds: ModelBounds = readModelBounds(),
): Uint8Array {
  const reader = new ProtobufReader(bytes, modelLimits.fields);
  const files = new Map<string, Uint8Array>();
  let left = bounds.bytes - bytes.length;
  const open = (name: string): Uint8Array => {
    if (!/^[\w-][\w.-]*$/.test(name)) throw refuse(`a tensor names ${JSON.stringify(name.slice(0, 60))}`);
    const kept = files.get(name) ?? read(name, bounds.bytes);
    files.set(name, kept);
    return kept;
  };
  const take = ({ location, offset, length }: Place): Uint8Array => {
    const file = open(location);
    const size = length ?? file.length - offset;
    if (offset + size > file.length || size < 0)
      throw new StoplineError(
        'MODEL_TRUNCATED',
        `Expected ${size} bytes at ${offset} of ${JSON.stringify(location)} but the file has ${file.length}.`,
      );
    left -= size;
    if (left < 0)
      throw new StoplineError(
        'MODEL_TOO_LARGE',
        `Expected a model of at most ${bounds.bytes} bytes with its weights (setting maxModelBytes).`,
      );
    return file.subarray(offset, offset + size);
  };
  let isChanged = false;
  const parts: Uint8Array[] = [];
  reader.each(0, bytes.length, (field) => {
    if (field.number !== 7 || field.wire !== 2) return void parts.push(bytes.subarray(field.start, field.to));
    const inner: Uint8Array[] = [];
    reader.each(field.from, field.to, (part) => {
      const place = part.number === 5 && part.wire === 2 ? findPlace(reader, part) : undefined;
      if (place === undefined) return void inner.push(bytes.subarray(part.start, part.to));
      isChanged = true;
      inner.push(encodeField(5, holdData(reader, part, take(place))));
    });
    parts.push(encodeField(7, Buffer.concat(inner)));
  });
  return isChanged ? Buffer.concat(parts) : bytes;
}

/** TensorProto: external_data 13 of key 1 and value 2, data_location 14 of which 1 is EXTERNAL. */
function findPlace(reader: ProtobufReader, tensor: Field): Place | undefined {
  const entries = new Map<string, string>();
  let isExternal = false;
  reader.each(tensor.from, tensor.to, (field) => {
    if (field.number === 14 && field.wire === 0) isExternal = field.value === 1;
    if (field.number !== 13 || field.wire !== 2) return;
    let key = '';
    reader.each(field.from, field.to, (part) => {
      if (part.number === 1) key = reader.text(part);
      else if (part.number === 2) entries.set(key, reader.text(part));
    });
  });
  if (!isExternal) return undefined;
  const location = entries.get('location');
  if (location === undefined) throw refuse('a tensor names no file');
  const whole = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    if (!/^\d{1,15}$/.test(text)) throw refuse(`the ${key} of a tensor is ${JSON.stringify(text.slice(0, 60))}`);
    return Number(text);
  };
  return { location, offset: whole('offset') ?? 0, length: whole('length') };
}

/** A TensorProto without its place and with its numbers, as raw_data 9. */
function holdData(reader: ProtobufReader, tensor: Field, data: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  reader.each(tensor.from, tensor.to, (field) => {
    if (field.number === 9) throw refuse('a tensor has numbers within the model as well');
    if (field.number !== 13 && field.number !== 14) kept.push(reader.bytes.subarray(field.start, field.to));
  });
  return Buffer.concat([...kept, encodeField(9, data)]);
}
