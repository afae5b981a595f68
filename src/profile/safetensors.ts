import { StoplineError } from '../errors.ts';
import { recogniseAny } from '../image/container/recognise.ts';

/** A tensor of 64-bit floats. */
export interface Tensor {
  shape: number[];
  data: Float64Array;
  /** Stored as 32-bit floats: every number is one already (`Math.fround`). */
  isSingle?: true;
}

const maxHeaderBytes = 64 * 1024 * 1024;

/**
 * Writes the safetensors layout: 8-byte little-endian header length, JSON header padded to 8 bytes, raw tensors.
 * Opens in Python with `safetensors.numpy.load_file`. Tensors are laid out in the order of their names.
 */
export function encodeTensors(metadata: Record<string, string>, tensors: Record<string, Tensor>): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  const names = Object.keys(tensors).sort();
  for (const name of names) {
    const { shape, data, isSingle } = tensors[name];
    const length = data.length * (isSingle ? 4 : 8);
    header[name] = { dtype: isSingle ? 'F32' : 'F64', shape, data_offsets: [offset, offset + length] };
    offset += length;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerLength + offset).fill(0x20, 8, 8 + headerLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(json, 8);
  let at = 8 + headerLength;
  for (const name of names) {
    const { data, isSingle } = tensors[name];
    const stored = isSingle ? Float32Array.from(data) : data;
    bytes.set(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), at);
    at += stored.byteLength;
  }
  return bytes;
}

/**
 * Reads what `encodeTensors` wrote; every length is checked before it is used.
 * @throws {StoplineError} PROFILE_INVALID, PROFILE_TRUNCATED
 */
export function decodeTensors(file: Uint8Array): {
  metadata: Record<string, string>;
  tensors: Record<string, Tensor>;
} {
  // A plain view: `slice` of a Buffer would share its memory instead of copying.
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length);
  const invalid = (what: string) => new StoplineError('PROFILE_INVALID', `Expected a Stopline profile but ${what}.`);
  const other = (what: string) =>
    new StoplineError(
      'PROFILE_INVALID',
      `Expected a Stopline profile but received ${what}. Make one: stopline fit <folder> --out FILE`,
    );
  if (bytes.length < 8) throw other(`a file of only ${bytes.length} bytes`);
  const declared = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (declared > BigInt(maxHeaderBytes)) throw other(recogniseAny(bytes));
  const headerLength = Number(declared);
  if (8 + headerLength > bytes.length) {
    throw new StoplineError(
      'PROFILE_TRUNCATED',
      `Expected a profile header of ${headerLength} bytes but the file ends after ${bytes.length - 8}.`,
    );
  }
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + headerLength)));
  } catch {
    throw invalid('its header is not JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw invalid('its header is not an object');
  const { __metadata__: metadata, ...entries } = header;
  if (!isStringRecord(metadata)) throw invalid('its header has no metadata');
  const body = bytes.subarray(8 + headerLength);
  // Without a prototype: a tensor may be called anything.
  const tensors: Record<string, Tensor> = Object.create(null);
  for (const [name, entry] of Object.entries(entries)) {
    const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
    const [begin, end] = Array.isArray(offsets) ? offsets : [];
    const isSingle = dtype === 'F32';
    if ((dtype !== 'F64' && !isSingle) || !isSizeArray(shape) || !isSizeArray([begin, end]) || end < begin) {
      throw invalid(`its tensor "${name}" is not described as 64-bit or 32-bit floats`);
    }
    if (shape.reduce((product, size) => product * size, isSingle ? 4 : 8) !== end - begin) {
      throw invalid(`the shape of its tensor "${name}" does not match its length`);
    }
    if (end > body.length) {
      throw new StoplineError(
        'PROFILE_TRUNCATED',
        `Expected ${end} bytes of tensors but the file ends after ${body.length}.`,
      );
    }
    // A copy: the tensors must be aligned to 8 bytes and must not keep a larger buffer alive.
    const { buffer } = body.slice(begin, end);
    tensors[name] = isSingle
      ? { shape, data: Float64Array.from(new Float32Array(buffer)), isSingle }
      : { shape, data: new Float64Array(buffer) };
  }
  return { metadata, tensors };
}

function isStringRecord(value: unknown): value is Record<string, string> {
  return typeof value === 'object' && value !== null && Object.values(value).every((item) => typeof item === 'string');
}

function isSizeArray(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
