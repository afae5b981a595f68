import { hash } from 'node:crypto';
import { StoplineError } from '../../errors.ts';
import type { Container } from './container.ts';
import { readOrientation } from './exif.ts';
import { estimateQuality, naturalOrder } from './quality.ts';

/** 512 EXIF segments of 64 KiB fill 32 MiB; a progressive file has about 20 segments. */
const maxSegments = 4096;
/** Each scan of a progressive file is a pass over all coefficients, so scans are a cost that size does not show. */
const maxScans = 64;

const marker = { soi: 0xd8, eoi: 0xd9, sos: 0xda, dqt: 0xdb, dht: 0xc4, jpg: 0xc8, dac: 0xcc, com: 0xfe } as const;

/** Frame types that libjpeg decodes: baseline, extended, progressive, and the last two with arithmetic coding. */
const decodable = new Set([0xc0, 0xc1, 0xc2, 0xc9, 0xca]);

/** SHA-256 (first 16 digits) of the four Huffman tables of ITU-T T.81 Annex K.3, each as class, id, 16 counts, values. */
const standardHuffman = new Set(['9fb04cb1a8076318', 'f27ce9b718f91cd4', 'af48d4f608dfb682', '8cf60aa835f8474b']);

interface Component {
  id: number;
  h: number;
  v: number;
  table: number;
}

interface Header {
  type: number;
  precision: number;
  width: number;
  height: number;
  components: Component[];
}

const corrupt = (message: string) => new StoplineError('IMAGE_CORRUPT', message);
const uint16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;

/**
 * Walks the markers of a JPEG; entropy-coded data is skipped, not decoded.
 * @throws {StoplineError} IMAGE_CORRUPT, IMAGE_TRUNCATED, IMAGE_TOO_COMPLEX, IMAGE_UNSUPPORTED
 */
export function readJpeg(bytes: Uint8Array): Container {
  const tables: number[][] = [];
  const traces: string[] = [];
  let header: Header | undefined;
  let huffman: 'none' | 'standard' | 'own' = 'none';
  let hasJfif = false;
  let adobeTransform: number | undefined;
  let oddScan = false;
  let orientation = 1;
  let scans = 0;
  let position = 2;
  for (let segments = 0; ; segments++) {
    if (segments === maxSegments) {
      throw new StoplineError('IMAGE_TOO_COMPLEX', `Expected at most ${maxSegments} JPEG segments but received more.`);
    }
    const at = nextMarker(bytes, position);
    const type = bytes[at]!;
    if (type === marker.eoi) {
      position = at + 1;
      break;
    }
    if (type === marker.soi) throw corrupt('Expected one start of image in a JPEG but received two.');
    if (at + 3 > bytes.length) throw truncated(bytes.length);
    const data = at + 3;
    const end = at + 1 + uint16(bytes, at + 1);
    if (end < data) throw corrupt(`Expected a JPEG segment of at least 2 bytes but received ${end - at - 1}.`);
    if (end > bytes.length) throw truncated(bytes.length);
    position = end;
    // Runs of application and comment segments count once: how many it takes depends on how much metadata there is.
    const name = type.toString(16);
    const metadata = (type >= 0xe0 && type <= 0xef) || type === marker.com;
    const collapsed = (metadata || type === marker.dht) && traces.at(-1) === name;
    if (scans === 0 && !collapsed) traces.push(name);

    if (isFrameHeader(type)) {
      if (header !== undefined) throw corrupt('Expected one frame header in a JPEG but received two.');
      header = readHeader(bytes, type, data, end);
      traces.push(...header.components.map((c) => `${c.id}:${c.h}x${c.v}:${c.table}`));
    } else if (type === marker.dqt) {
      readTables(bytes, data, end, scans > 0, tables, traces);
    } else if (type === marker.dht) {
      if (scans === 0 && huffman !== 'own') huffman = isStandardHuffman(bytes, data, end) ? 'standard' : 'own';
    } else if (type === 0xe0) {
      hasJfif ||= startsWith(bytes, data, end, 'JFIF\0');
    } else if (type === 0xe1 && orientation === 1 && startsWith(bytes, data, end, 'Exif\0\0')) {
      orientation = readOrientation(bytes, data + 6, end);
    } else if (type === 0xee && end - data >= 12 && startsWith(bytes, data, end, 'Adobe')) {
      adobeTransform = bytes[data + 11];
    } else if (type === marker.sos) {
      if (header === undefined)
        throw corrupt('Expected a frame header before the first scan of a JPEG but received none.');
      if (++scans > maxScans) {
        throw new StoplineError('IMAGE_TOO_COMPLEX', `Expected at most ${maxScans} JPEG scans but received more.`);
      }
      oddScan ||= !isProgressive(header) && !isWholeSpectrum(bytes, end);
      position = skipEntropyCoded(bytes, end);
    }
  }
  if (header === undefined || scans === 0)
    throw corrupt('Expected a frame header and a scan in a JPEG but received neither.');

  const { width, height, precision, components } = header;
  const progressive = isProgressive(header);
  const colour = detectColour(components, hasJfif, adobeTransform);
  const used = components.map((component) => tables[component.table]);
  const complete = used.every((table) => table !== undefined && table.length === 64);
  if (!complete) throw corrupt('Expected a quantisation table for every JPEG component but received fewer.');
  // The scan script of a progressive file is left out: mozjpeg chooses it by the content of each image.
  const setting = `jpeg ${precision} ${huffman} ${progressive ? 'progressive' : scans} ${traces.join(' ')}`;
  return {
    format: 'jpeg',
    width,
    height,
    bitDepth: precision,
    channels: components.length,
    colour,
    hasAlpha: false,
    progressive,
    frames: 1,
    scans,
    orientation,
    trailingBytes: bytes.length - position,
    bytes: bytes.length,
    bytesPerPixel: bytes.length / (width * height),
    fingerprint: hash('sha256', setting).slice(0, 16),
    jpeg: {
      tables: Array.from(tables, (table) => table ?? []),
      ...estimateQuality(used as number[][], colour),
      chromaSubsampling: subsampling(components),
      arithmetic: header.type >= 0xc9,
      oddHeader: oddScan || isOddTransform(components, hasJfif, adobeTransform),
    },
  };
}

/** Position of the next marker byte, skipping what lies between segments as libjpeg does. */
function nextMarker(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    at = bytes.indexOf(0xff, at);
    if (at < 0) throw truncated(bytes.length);
    while (bytes[at] === 0xff) at++;
    if (at >= bytes.length) throw truncated(bytes.length);
    const type = bytes[at]!;
    const standalone = type === 0 || type === 1 || (type >= 0xd0 && type <= 0xd7);
    if (!standalone) return at;
  }
}

/** First byte after entropy-coded data: a 0xFF that neither is stuffed, nor starts a restart marker, nor fills. */
function skipEntropyCoded(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    // A short loop before each search keeps data full of 0xFF 00 pairs as cheap as ordinary data.
    const near = Math.min(at + 8, bytes.length);
    while (at < near && bytes[at] !== 0xff) at++;
    if (at === near) at = bytes.indexOf(0xff, at);
    if (at < 0 || at + 1 >= bytes.length) throw truncated(bytes.length);
    const next = bytes[at + 1]!;
    if (next === 0 || (next >= 0xd0 && next <= 0xd7)) at += 2;
    else if (next === 0xff) at++;
    else return at;
  }
}

/** SOF0 to SOF15 without DHT, JPG and DAC, which share their range. */
function isFrameHeader(type: number): boolean {
  return type >= 0xc0 && type <= 0xcf && type !== marker.dht && type !== marker.jpg && type !== marker.dac;
}

function readHeader(bytes: Uint8Array, type: number, data: number, end: number): Header {
  if (!decodable.has(type)) {
    const wanted = 'a baseline, extended or progressive JPEG';
    throw new StoplineError(
      'IMAGE_UNSUPPORTED',
      `Expected ${wanted} but received frame type ${type.toString(16)} (lossless or hierarchical).`,
    );
  }
  const count = end - data >= 6 ? bytes[data + 5]! : 0;
  if (count === 0 || end - data !== 6 + 3 * count)
    throw corrupt('Expected a JPEG frame header with its components but received another length.');
  const height = uint16(bytes, data + 1);
  const width = uint16(bytes, data + 3);
  if (width === 0 || height === 0) throw corrupt(`Expected JPEG sides of at least 1 but received ${width}x${height}.`);
  const components: Component[] = [];
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
function readTables(bytes: Uint8Array, data: number, end: number, late: boolean, tables: number[][], traces: string[]) {
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
    if (!late || tables[id] === undefined) tables[id] = table;
    traces.push(`${wide}${id}=${table.join(',')}`);
    at += 1 + length;
  }
}

function isStandardHuffman(bytes: Uint8Array, data: number, end: number): boolean {
  let at = data;
  while (at + 17 <= end) {
    let values = 0;
    for (let i = 1; i <= 16; i++) values += bytes[at + i]!;
    const next = at + 17 + values;
    if (next > end || !standardHuffman.has(hash('sha256', bytes.subarray(at, next)).slice(0, 16))) return false;
    at = next;
  }
  return at === end;
}

/** The rules of libjpeg (jdapimin.c, default_decompress_parms): JFIF first, then Adobe, then component ids. */
function detectColour(components: Component[], hasJfif: boolean, adobe: number | undefined): Container['colour'] {
  if (components.length === 1) return 'grey';
  if (components.length === 4) return adobe === undefined || adobe === 0 ? 'cmyk' : 'ycck';
  if (components.length !== 3) {
    throw new StoplineError(
      'IMAGE_UNSUPPORTED',
      `Expected a JPEG of 1, 3 or 4 components but received ${components.length}.`,
    );
  }
  if (hasJfif) return 'ycbcr';
  if (adobe !== undefined) return adobe === 0 ? 'rgb' : 'ycbcr';
  return String.fromCharCode(...components.map((component) => component.id)) === 'RGB' ? 'rgb' : 'ycbcr';
}

const isProgressive = ({ type }: Header) => type === 0xc2 || type === 0xca;

/** The last three bytes of a scan header are 0, 63, 0 where the scan is not one pass of a progressive file (T.81 B.2.3). */
function isWholeSpectrum(bytes: Uint8Array, end: number): boolean {
  return bytes[end - 3] === 0 && bytes[end - 2] === 63 && bytes[end - 1] === 0;
}

/** Where libjpeg warns about an Adobe transform and goes on with YCbCr or YCCK (jdapimin.c, default_decompress_parms). */
function isOddTransform(components: Component[], hasJfif: boolean, adobe: number | undefined): boolean {
  if (adobe === undefined || adobe === 0) return false;
  return (components.length === 3 && !hasJfif && adobe !== 1) || (components.length === 4 && adobe !== 2);
}

/** Names by the ratio of the first component to the second and third, by width and height. */
const subsamplingNames: Record<string, string> = {
  '1x1': '4:4:4',
  '2x1': '4:2:2',
  '2x2': '4:2:0',
  '1x2': '4:4:0',
  '4x1': '4:1:1',
};

function subsampling(components: Component[]): string {
  const [luma, blue, red] = components;
  if (blue === undefined || red === undefined) return 'grey';
  const same = blue.h === red.h && blue.v === red.v;
  const name = same ? subsamplingNames[`${luma!.h / blue.h}x${luma!.v / blue.v}`] : undefined;
  return name ?? components.map((component) => `${component.h}x${component.v}`).join(',');
}

function startsWith(bytes: Uint8Array, at: number, end: number, text: string): boolean {
  if (end - at < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function truncated(length: number): StoplineError {
  return new StoplineError(
    'IMAGE_TRUNCATED',
    `Expected a JPEG that ends with its end-of-image marker but its ${length} bytes end before.`,
  );
}
