import { StoplineError } from '../../errors.ts';
import { readOrientation } from './exif.ts';
import { naturalOrder } from './quality.ts';
import { createRemarks, type Remark } from './remark.ts';

/** 512 EXIF segments of 64 KiB fill 32 MiB; a progressive file has about 20 segments. */
const maxSegments = 4096;
/** Most markers without a segment, such as restart markers, where segments are looked for: more are no accident. */
const maxAlone = 100_000;
/** Each scan of a progressive file is a pass over all coefficients, so scans are a cost that size does not show. */
const maxScans = 64;

const marker = { soi: 0xd8, eoi: 0xd9, sos: 0xda, dqt: 0xdb, dri: 0xdd, dht: 0xc4, jpg: 0xc8, dac: 0xcc } as const;

/** Frame types that libjpeg decodes: baseline, extended, progressive, and the last two with arithmetic coding. */
const decodable = new Set([0xc0, 0xc1, 0xc2, 0xc9, 0xca]);

/** One colour component of a frame. */
export interface JpegComponent {
  id: number;
  h: number;
  v: number;
  /** Id of its quantisation table. */
  table: number;
}

/** What the frame header says. */
export interface JpegFrame {
  type: number;
  precision: number;
  width: number;
  height: number;
  components: JpegComponent[];
}

/** Huffman tables as they lie in the file, each from its 16 counts on: four for DC, then four for AC. */
type HuffmanTables = readonly (Uint8Array | undefined)[];

/** How arithmetic coding groups what it learns, by table: bounds of small differences of means, and of low coefficients. */
interface Conditioning {
  mean: readonly (readonly [lower: number, upper: number])[];
  band: readonly number[];
}

/** One scan: which components and coefficients it codes, and where its coded data lie. */
export interface JpegScan {
  /** Positions among the components of the frame, with the Huffman tables that each uses. */
  components: { index: number; dc: number; ac: number }[];
  /** Spectral selection and successive approximation, as the header has them. */
  from: number;
  to: number;
  before: number;
  after: number;
  tables: HuffmanTables;
  conditioning: Conditioning;
  /** Units between restart markers; 0 for none. */
  interval: number;
  /** First byte of the coded data, and the first byte behind them. */
  start: number;
  end: number;
}

/** What the markers of a JPEG say. */
export interface JpegStructure {
  frame: JpegFrame;
  scans: JpegScan[];
  /** Quantisation tables by id, in natural order. */
  quantisation: number[][];
  hasJfif: boolean;
  adobeTransform?: number;
  orientation: number;
  /** Names of the segments ahead of the first scan, in their order. */
  segments: string[];
  /** Whether the end-of-image marker is there. */
  hasEnd: boolean;
  /** First byte behind the image: behind the end marker, or behind the last scan where there is none. */
  end: number;
  /** Oddities that lose no pixel. */
  remarks: Remark[];
}

const corrupt = (message: string) => new StoplineError('IMAGE_CORRUPT', message);
const uint16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;

/**
 * Walks the markers of a JPEG; entropy-coded data is skipped, not decoded. Behind a scan the walk ends at the first thing
 * that is no segment: whether the scans are whole is then for `walkScans` to tell.
 * @throws {StoplineError} IMAGE_CORRUPT, IMAGE_TRUNCATED, IMAGE_TOO_COMPLEX, IMAGE_UNSUPPORTED
 */
export function readMarkers(bytes: Uint8Array): JpegStructure {
  const reader = new MarkerReader(bytes);
  reader.readAll();
  return reader.finish();
}

class MarkerReader {
  readonly #bytes: Uint8Array;
  readonly #quantisation: number[][] = [];
  readonly #huffman: (Uint8Array | undefined)[] = Array(8).fill(undefined);
  readonly #segments: string[] = [];
  readonly #scans: JpegScan[] = [];
  readonly #remarks = createRemarks();
  #frame: JpegFrame | undefined;
  #hasJfif = false;
  #adobeTransform: number | undefined;
  #orientation = 1;
  // ITU-T T.81 F.1.4.4.1.4 and F.1.4.4.2.1: the values that apply where a file names none.
  readonly #conditioning = { mean: Array(16).fill([0, 1]), band: Array(16).fill(5) };
  #interval = 0;
  #hasEnd = false;
  #position = 2;
  #alone = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  readAll(): void {
    for (let count = 0; ; count++) {
      if (count === maxSegments) {
        throw new StoplineError(
          'IMAGE_TOO_COMPLEX',
          `Expected at most ${maxSegments} JPEG segments but received more.`,
        );
      }
      const at = this.#findMarker();
      if (at === undefined) return;
      const type = this.#bytes[at]!;
      if (type === marker.eoi) {
        this.#position = at + 1;
        this.#hasEnd = true;
        return;
      }
      const hasScan = this.#scans.length > 0;
      if (type === marker.soi) {
        // Behind a whole image another may begin; the walk over the scans tells whether it is whole.
        if (hasScan) return;
        throw corrupt('Expected one start of image in a JPEG but received two.');
      }
      const end = at + 3 > this.#bytes.length ? Number.POSITIVE_INFINITY : at + 1 + uint16(this.#bytes, at + 1);
      if (end > this.#bytes.length) {
        if (hasScan) return;
        throw truncated(this.#bytes.length);
      }
      if (end < at + 3) throw corrupt(`Expected a JPEG segment of at least 2 bytes but received ${end - at - 1}.`);
      this.#position = end;
      this.#readSegment(type, at + 3, end);
    }
  }

  finish(): JpegStructure {
    const frame = this.#frame;
    if (frame === undefined || this.#scans.length === 0) {
      throw corrupt('Expected a frame header and a scan in a JPEG but received neither.');
    }
    const { components } = frame;
    if (isOddTransform(components.length, this.#hasJfif, this.#adobeTransform)) {
      this.#remarks.add('oddAdobeTransform', `its Adobe segment names the colour transform ${this.#adobeTransform}`);
    }
    const missing = findMissing(frame, this.#scans);
    if (this.#hasEnd && missing.component !== undefined) {
      throw corrupt(`Expected a scan for every JPEG component but none brings component ${missing.component}.`);
    }
    if (this.#hasEnd && missing.isDetail) this.#remarks.add('scansMissing', 'its scans end before all detail is sent');
    // Encoders drop zeros at the end of such data.
    const unsure = isArithmetic(frame) ? ', and arithmetic coding does not tell whether its last byte is there' : '';
    if (!this.#hasEnd) this.#remarks.add('endMissing', `its end-of-image marker is missing${unsure}`);
    const left = this.#bytes.length - this.#position;
    if (this.#hasEnd && left > 0) this.#remarks.add('trailingBytes', `${left} bytes follow its end`);
    return {
      frame,
      scans: this.#scans,
      quantisation: Array.from(this.#quantisation, (table) => table ?? []),
      hasJfif: this.#hasJfif,
      ...(this.#adobeTransform !== undefined && { adobeTransform: this.#adobeTransform }),
      orientation: this.#orientation,
      segments: this.#segments,
      hasEnd: this.#hasEnd,
      end: this.#position,
      remarks: this.#remarks.list(),
    };
  }

  /** Position of the next marker byte, skipping what lies between segments as libjpeg does; undefined behind the last scan. */
  #findMarker(): number | undefined {
    const bytes = this.#bytes;
    const hasScan = this.#scans.length > 0;
    let at = this.#position;
    let skipped = 0;
    for (;;) {
      const found = bytes.indexOf(0xff, at);
      if (found >= 0) {
        skipped += found - at;
        at = found;
        while (bytes[at] === 0xff) at++;
      }
      if (found < 0 || at >= bytes.length) {
        if (hasScan) return undefined;
        throw truncated(bytes.length);
      }
      const type = bytes[at]!;
      if (type === 0) skipped += 2;
      const isAlone = type === 0 || type === 1 || (type >= 0xd0 && type <= 0xd7);
      if (!isAlone) break;
      this.#alone += 1;
      if (this.#alone > maxAlone) {
        throw new StoplineError(
          'IMAGE_TOO_COMPLEX',
          `Expected at most ${maxAlone} markers without a segment in a JPEG but received more.`,
        );
      }
      at++;
    }
    if (skipped > 0) this.#remarks.add('extraneousBytes', 'bytes that belong to nothing lie between its segments');
    return at;
  }

  #readSegment(type: number, data: number, end: number): void {
    const bytes = this.#bytes;
    const isFirst = this.#scans.length === 0;
    if (isFirst) this.#segments.push(nameSegment(bytes, type, data, end));
    if (isFrameHeader(type)) {
      if (this.#frame !== undefined) throw corrupt('Expected one frame header in a JPEG but received two.');
      this.#frame = readFrame(bytes, type, data, end);
    } else if (type === marker.dqt) {
      readQuantisation(bytes, data, end, !isFirst, this.#quantisation);
    } else if (type === marker.dht) {
      readHuffman(bytes, data, end, this.#huffman);
    } else if (type === marker.dac) {
      readConditioning(bytes, data, end, this.#conditioning);
    } else if (type === marker.dri && end - data >= 2) {
      this.#interval = uint16(bytes, data);
    } else if (type === 0xe0 && startsWith(bytes, data, end, 'JFIF\0')) {
      this.#hasJfif = true;
      const [major, minor] = [bytes[data + 5] ?? 0, bytes[data + 6] ?? 0];
      if (end - data >= 14 && major !== 1) {
        this.#remarks.add('oddJfifVersion', `it names the JFIF version ${major}.${String(minor).padStart(2, '0')}`);
      }
    } else if (type === 0xe1 && this.#orientation === 1 && startsWith(bytes, data, end, 'Exif\0\0')) {
      this.#orientation = readOrientation(bytes, data + 6, end);
    } else if (type === 0xee && end - data >= 12 && startsWith(bytes, data, end, 'Adobe')) {
      this.#adobeTransform = bytes[data + 11];
    } else if (type === marker.sos) {
      this.#readScan(data, end);
    }
  }

  #readScan(data: number, end: number): void {
    const bytes = this.#bytes;
    const frame = this.#frame;
    if (frame === undefined)
      throw corrupt('Expected a frame header before the first scan of a JPEG but received none.');
    if (this.#scans.length === maxScans) {
      throw new StoplineError('IMAGE_TOO_COMPLEX', `Expected at most ${maxScans} JPEG scans but received more.`);
    }
    const count = bytes[data] ?? 0;
    const components: JpegScan['components'] = [];
    for (let i = 0; i < count && data + 2 + 2 * i < end; i++) {
      const id = bytes[data + 1 + 2 * i]!;
      const tables = bytes[data + 2 + 2 * i]!;
      components.push({
        index: frame.components.findIndex((component) => component.id === id),
        dc: tables >> 4,
        ac: tables & 15,
      });
    }
    const [from, to, approximation] = [bytes[end - 3]!, bytes[end - 2]!, bytes[end - 1]!];
    if (!isProgressive(frame) && (from !== 0 || to !== 63 || approximation !== 0)) {
      this.#remarks.add('oddScanHeader', 'a scan header names coefficients that such a scan does not have');
    }
    const stop = skipEntropyCoded(bytes, end);
    this.#scans.push({
      components,
      from,
      to,
      before: approximation >> 4,
      after: approximation & 15,
      tables: [...this.#huffman],
      conditioning: { mean: [...this.#conditioning.mean], band: [...this.#conditioning.band] },
      interval: this.#interval,
      start: end,
      end: stop,
    });
    this.#position = stop;
  }
}

/** First byte after entropy-coded data: a 0xFF that neither is stuffed, nor starts a restart marker, nor fills; or the end. */
function skipEntropyCoded(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    // A short loop before each search keeps data full of 0xFF 00 pairs as cheap as ordinary data.
    const near = Math.min(at + 8, bytes.length);
    while (at < near && bytes[at] !== 0xff) at++;
    if (at === near) at = bytes.indexOf(0xff, at);
    if (at < 0 || at >= bytes.length) return bytes.length;
    const next = bytes[at + 1];
    if (next === undefined) return at;
    if (next === 0 || (next >= 0xd0 && next <= 0xd7)) at += 2;
    else if (next === 0xff) at++;
    else return at;
  }
}

/** SOF0 to SOF15 without DHT, JPG and DAC, which share their range. */
function isFrameHeader(type: number): boolean {
  return type >= 0xc0 && type <= 0xcf && type !== marker.dht && type !== marker.jpg && type !== marker.dac;
}

function readFrame(bytes: Uint8Array, type: number, data: number, end: number): JpegFrame {
  if (!decodable.has(type)) {
    const wanted = 'a baseline, extended or progressive JPEG';
    throw new StoplineError(
      'IMAGE_UNSUPPORTED',
      `Expected ${wanted} but received frame type ${type.toString(16)} (lossless or hierarchical).`,
    );
  }
  const count = end - data >= 6 ? bytes[data + 5]! : 0;
  if (count === 0 || end - data !== 6 + 3 * count) {
    throw corrupt('Expected a JPEG frame header with its components but received another length.');
  }
  const height = uint16(bytes, data + 1);
  const width = uint16(bytes, data + 3);
  if (width === 0 || height === 0) throw corrupt(`Expected JPEG sides of at least 1 but received ${width}x${height}.`);
  const components: JpegComponent[] = [];
  for (let i = 0; i < count; i++) {
    const at = data + 6 + 3 * i;
    const component = { id: bytes[at]!, h: bytes[at + 1]! >> 4, v: bytes[at + 1]! & 15, table: bytes[at + 2]! };
    if (component.h < 1 || component.h > 4 || component.v < 1 || component.v > 4 || component.table > 3) {
      throw corrupt(
        `Expected JPEG sampling factors from 1 to 4 and a table from 0 to 3 but received ${JSON.stringify(component)}.`,
      );
    }
    components.push(component);
  }
  return { type, precision: bytes[data]!, width, height, components };
}

/** Reads DQT: 8 or 16 bit entries in zigzag order. After the first scan only tables that are still missing are taken. */
function readQuantisation(bytes: Uint8Array, data: number, end: number, isLate: boolean, tables: number[][]): void {
  let at = data;
  while (at < end) {
    const wide = bytes[at]! >> 4;
    const id = bytes[at]! & 15;
    const length = wide === 0 ? 64 : 128;
    if (wide > 1 || id > 3 || at + 1 + length > end) {
      throw corrupt(
        `Expected JPEG quantisation tables of 64 entries with ids 0 to 3 but received id ${id} in ${end - at} bytes.`,
      );
    }
    const table = new Array<number>(64);
    for (let i = 0; i < 64; i++) {
      table[naturalOrder[i]!] = wide === 0 ? bytes[at + 1 + i]! : uint16(bytes, at + 1 + 2 * i);
    }
    // ITU-T T.81 B.2.4.1: a step is at least 1. Decoders take 0 and lose the frequency, and a lattice of steps of 0 is none.
    if (table.includes(0)) throw corrupt('Expected JPEG quantisation steps of at least 1 but received 0.');
    if (!isLate || tables[id] === undefined) tables[id] = table;
    at += 1 + length;
  }
}

/** Keeps each table of a DHT segment as it lies there; one that is broken is noticed when a scan needs it. */
function readHuffman(bytes: Uint8Array, data: number, end: number, tables: (Uint8Array | undefined)[]): void {
  let at = data;
  while (at + 17 <= end) {
    let values = 0;
    for (let i = 1; i <= 16; i++) values += bytes[at + i]!;
    const place = ((bytes[at]! >> 4) & 1) * 4 + (bytes[at]! & 3);
    tables[place] = bytes.subarray(at + 1, Math.min(end, at + 17 + values));
    at += 17 + values;
  }
}

/** Reads DAC (ITU-T T.81 B.2.4.3). */
function readConditioning(
  bytes: Uint8Array,
  data: number,
  end: number,
  { mean, band }: { mean: [number, number][]; band: number[] },
): void {
  for (let at = data; at + 2 <= end; at += 2) {
    const [place, value] = [bytes[at]!, bytes[at + 1]!];
    const [lower, upper] = [value & 15, value >> 4];
    if (place >= 32 || (place < 16 && lower > upper)) {
      throw corrupt(`Expected JPEG conditioning of tables 0 to 31 but received ${value} for ${place}.`);
    }
    if (place < 16) mean[place] = [lower, upper];
    else band[place - 16] = value;
  }
}

/** What a segment is called: application segments by the name that they begin with. */
function nameSegment(bytes: Uint8Array, type: number, data: number, end: number): string {
  if (isFrameHeader(type)) return 'SOF';
  if (type >= 0xe0 && type <= 0xef) {
    const [name = ''] =
      /^[A-Za-z][\w .-]*/.exec(String.fromCharCode(...bytes.subarray(data, Math.min(end, data + 12)))) ?? [];
    return `APP${type - 0xe0}${name === '' ? '' : ` ${name.trim()}`}`;
  }
  const names: Record<number, string> = {
    [marker.dqt]: 'DQT',
    [marker.dht]: 'DHT',
    [marker.dri]: 'DRI',
    [marker.sos]: 'SOS',
    [marker.dac]: 'DAC',
    254: 'COM',
  };
  return names[type] ?? type.toString(16);
}

/** What no scan brings: a component (counted from 1), or the last bits of some coefficients. */
export function findMissing(
  frame: JpegFrame,
  scans: readonly JpegScan[],
): { component: number | undefined; isDetail: boolean } {
  // The bits that are still to come, for each coefficient of each component.
  const left = frame.components.map(() => new Int8Array(64).fill(-1));
  for (const { components, from, to, after } of scans) {
    const [first, last, bits] = isProgressive(frame) ? [from, to, after] : [0, 63, 0];
    for (const { index } of components) left[index]?.fill(bits, first, last + 1);
  }
  const component = left.findIndex((bits) => bits[0] === -1);
  return {
    component: component < 0 ? undefined : component + 1,
    isDetail: left.some((bits) => bits.some((count) => count !== 0)),
  };
}

export const isProgressive = ({ type }: Pick<JpegFrame, 'type'>) => type === 0xc2 || type === 0xca;
export const isArithmetic = ({ type }: Pick<JpegFrame, 'type'>) => type >= 0xc9;

/** Where libjpeg warns about an Adobe transform and goes on with YCbCr or YCCK (jdapimin.c, default_decompress_parms). */
function isOddTransform(components: number, hasJfif: boolean, adobe: number | undefined): boolean {
  if (adobe === undefined || adobe === 0) return false;
  return (components === 3 && !hasJfif && adobe !== 1) || (components === 4 && adobe !== 2);
}

function startsWith(bytes: Uint8Array, at: number, end: number, text: string): boolean {
  if (end - at < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function truncated(length: number): StoplineError {
  return new StoplineError(
    'IMAGE_TRUNCATED',
    `Expected a JPEG with its picture but its ${length} bytes end before the picture begins.`,
  );
}
