import { StoplineError } from '../../errors.ts';
import { maskedCrc32c } from './crc32c.ts';
import { ProtobufReader } from './protobuf.ts';
import { type PlainTensor, unpackTensor } from './tensors.ts';

/** Where one tensor lies: BundleEntryProto of tensorflow/core/protobuf/tensor_bundle.proto. */
interface Entry {
  type: number;
  shape: number[];
  shard: number;
  offset: number;
  size: number;
  crc: number | undefined;
  isSliced: boolean;
}

const what = 'the variables of a SavedModel';
const invalid = (but: string) => new StoplineError('MODEL_INVALID', `Expected ${what} but ${but}.`);
const truncated = (but: string) => new StoplineError('MODEL_TRUNCATED', `Expected ${what} but ${but}.`);

/** Bytes at the end of the index: two places of blocks, zeros, and a mark. */
const footerBytes = 48;
const mark = 0xdb4775248b80fb57n;
/** Behind each block: how it is compressed, and a checksum. */
const trailerBytes = 5;
/** Tensors of one bundle, at most. */
const maxEntries = 100_000;
const maxFields = 4_000_000;
const maxKey = 4096;
/** Bytes of all names together, at most. */
const maxKeyBytes = 32 * 1024 * 1024;

/** Reads a block of the index, whose bytes are not trusted. */
class BlockReader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** A whole number of at most 53 bits, seven to a byte. */
  varint(): number {
    let value = 0;
    for (let i = 0; i < 8; i++) {
      if (this.at >= this.bytes.length) throw invalid('its index is damaged: a number reaches beyond its block');
      const byte = this.bytes[this.at++];
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    throw invalid('its index is damaged: a number is too long');
  }

  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw invalid('its index is damaged: an entry reaches beyond its block');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}

/**
 * The variables of a SavedModel: `variables.index`, a sorted table of LevelDB, says where in the files of data each tensor
 * lies. Every checksum that is there is checked, of the index when it is read and of a tensor when it is.
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */
export class TensorBundle {
  readonly #entries = new Map<string, Entry>();
  readonly #shards: readonly Uint8Array[];
  readonly #index: Uint8Array;

  /** @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED, MODEL_TOO_LARGE */
  constructor(index: Uint8Array, shards: readonly Uint8Array[]) {
    this.#index = index;
    this.#shards = shards;
    if (index.length < footerBytes) throw truncated(`its index ends at byte ${index.length}`);
    const footer = index.subarray(index.length - footerBytes);
    const view = new DataView(footer.buffer, footer.byteOffset, footerBytes);
    if (view.getBigUint64(footerBytes - 8, true) !== mark)
      throw truncated('its index does not end as one does: it was cut short or is something else');
    const places = new BlockReader(footer);
    places.varint();
    places.varint(); // the block of filters, which TensorFlow leaves empty
    const blocks = this.#readBlock(places.varint(), places.varint());
    let end = 0;
    let [count, keyBytes] = [0, 0];
    for (const [, place] of listEntries(blocks)) {
      const where = new BlockReader(place);
      const [offset, size] = [where.varint(), where.varint()];
      // One that is named again and again would be read as often.
      if (offset < end) throw invalid('its index is damaged: its blocks lie over each other');
      end = offset + size;
      for (const [key, value] of listEntries(this.#readBlock(offset, size))) {
        count += 1;
        keyBytes += key.length;
        if (count > maxEntries || keyBytes > maxKeyBytes)
          throw new StoplineError(
            'MODEL_TOO_LARGE',
            `Expected a model of at most ${maxEntries} variables and ${maxKeyBytes} bytes of their names.`,
          );
        if (this.#entries.has(key)) throw invalid('its index is damaged: a name stands in it twice');
        if (key === '') this.#checkHeader(value);
        else this.#entries.set(key, readEntry(value));
      }
    }
  }

  #readBlock(offset: number, size: number): Uint8Array {
    const end = offset + size;
    if (end + trailerBytes > this.#index.length - footerBytes)
      throw truncated(`its index has a block of ${size} bytes at ${offset} that is not there`);
    const [compression] = this.#index.subarray(end, end + 1);
    if (compression !== 0) throw invalid('its index is compressed, which TensorFlow does not do');
    const stored = new DataView(this.#index.buffer, this.#index.byteOffset + end + 1, 4).getUint32(0, true);
    if (maskedCrc32c(this.#index.subarray(offset, end + 1)) !== stored)
      throw invalid(`its index is damaged: the checksum of the block at byte ${offset} differs`);
    return this.#index.subarray(offset, end);
  }

  /** BundleHeaderProto: num_shards 1, endianness 2. */
  #checkHeader(bytes: Uint8Array): void {
    const reader = new ProtobufReader(bytes, maxFields, what);
    reader.each(0, bytes.length, ({ number, value }) => {
      if (number === 1 && value !== this.#shards.length)
        throw truncated(`it has ${this.#shards.length} of ${value} files of data`);
      if (number === 2 && value !== 0) throw invalid('it was written by a machine of the other byte order');
    });
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /**
   * Reads one tensor.
   * @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED
   */
  read(key: string): PlainTensor {
    const entry = this.#entries.get(key);
    const label = JSON.stringify(key.slice(0, 120));
    if (entry === undefined) throw invalid(`there is no ${label}`);
    const { shard, offset, size, shape, type } = entry;
    if (entry.isSliced) throw invalid(`${label} lies there in slices: save the model without partitioned variables`);
    const data = this.#shards[shard];
    if (data === undefined) throw truncated(`${label} lies in file ${shard} of data, of ${this.#shards.length}`);
    if (offset + size > data.length)
      throw truncated(`${label} ends at byte ${offset + size} of a file of ${data.length}`);
    const bytes = data.subarray(offset, offset + size);
    if (entry.crc !== undefined && maskedCrc32c(bytes) !== entry.crc)
      throw invalid(`${label} is damaged: its checksum differs`);
    return unpackTensor(key, type, shape, bytes);
  }
}

/** The entries of a block: keys share beginnings with the one before; at the end stand places to start from. */
function* listEntries(block: Uint8Array): Generator<[key: string, value: Uint8Array]> {
  if (block.length < 4) throw invalid('its index is damaged: a block is too short');
  const restarts = new DataView(block.buffer, block.byteOffset + block.length - 4, 4).getUint32(0, true);
  const end = block.length - 4 - 4 * restarts;
  if (end < 0) throw invalid('its index is damaged: a block has more restarts than bytes');
  const reader = new BlockReader(block.subarray(0, end));
  const decoder = new TextDecoder();
  let key = Buffer.alloc(0);
  while (reader.at < end) {
    const [shared, unshared, length] = [reader.varint(), reader.varint(), reader.varint()];
    if (shared > key.length || shared + unshared > maxKey) throw invalid('its index is damaged: a key is too long');
    key = Buffer.concat([key.subarray(0, shared), reader.take(unshared)]);
    yield [decoder.decode(key), reader.take(length)];
  }
}

/** BundleEntryProto: dtype 1, shape 2, shard_id 3, offset 4, size 5, crc32c 6 (fixed), slices 7. */
function readEntry(bytes: Uint8Array): Entry {
  const reader = new ProtobufReader(bytes, maxFields, what);
  const entry: Entry = { type: 0, shape: [], shard: 0, offset: 0, size: 0, crc: undefined, isSliced: false };
  reader.each(0, bytes.length, (field) => {
    const { number, value } = field;
    if (number === 1) entry.type = value;
    else if (number === 2)
      reader.each(field.from, field.to, (dimension) => {
        if (dimension.number !== 2) return;
        let side = 0;
        reader.each(dimension.from, dimension.to, (part) => {
          if (part.number === 1) side = part.value;
        });
        entry.shape.push(side);
      });
    else if (number === 3) entry.shard = value;
    else if (number === 4) entry.offset = value;
    else if (number === 5) entry.size = value;
    else if (number === 6 && field.wire === 5)
      entry.crc = new DataView(bytes.buffer, bytes.byteOffset + field.from, 4).getUint32(0, true);
    else if (number === 7) entry.isSliced = true;
  });
  const numbers = [...entry.shape, entry.shard, entry.offset, entry.size];
  if (numbers.some((value) => !(value >= 0))) throw invalid('its index has a negative size or place');
  return entry;
}
