import { sha256 } from '../sha256.ts';
import { isProgressive, type JpegStructure, readMarkers } from './jpegmarkers.ts';
import { naturalOrder } from './quality.ts';
import { isSameTable, standardHuffman } from './standardhuffman.ts';

/**
 * Until version 0.1 a fingerprint also named metadata, the order of segments and the Huffman tables. Profiles of that time
 * hold such fingerprints, so images that are judged by them are given theirs.
 */
const metadata = /^(e[0-9a-f]|fe)$/;

/** Runs of metadata that cameras and libraries write ahead of the tables. */
const usualHeads = ['', 'e0', 'e1', 'e0 e1', 'e1 e0', 'e0 e2', 'e1 e2', 'e0 e1 e2', 'e0 fe', 'e0 e1 fe', 'e0 ee', 'ee'];

/**
 * The old fingerprint of an image that a Profile knows: its own, or that of the same picture with metadata, Huffman tables
 * and restart markers as other files of the same encoder have them.
 * @param known the old fingerprints of the reference
 * @returns the image's own where the Profile knows none of them
 */
export function findOldFingerprint(bytes: Uint8Array, known: Readonly<Record<string, number>>): string {
  let own: string | undefined;
  for (const text of listOldTexts(bytes)) {
    const fingerprint = sha256(text).slice(0, 16);
    if (Object.hasOwn(known, fingerprint)) return fingerprint;
    own ??= fingerprint;
  }
  return own as string;
}

/** What old fingerprints were made of, the image's own first. */
function listOldTexts(bytes: Uint8Array): Iterable<string> {
  if (bytes[0] === 0xff) return listJpegTexts(bytes);
  return bytes[0] === 0x89 ? listPngTexts(bytes) : listWebpTexts(bytes);
}

function* listJpegTexts(bytes: Uint8Array): Generator<string> {
  const structure = readMarkers(bytes);
  const { frame, scans } = structure;
  const traces = readTraces(bytes, structure);
  const kind = isProgressive(frame) ? 'progressive' : scans.length;
  const huffman = readHuffmanKind(structure);
  yield `jpeg ${frame.precision} ${huffman} ${kind} ${traces.join(' ')}`;
  const bare = traces.filter((trace) => !metadata.test(trace) && trace !== 'dd').join(' ');
  const joined = bare.replace(/(?<== ?\S+) db (?=\d\d=)/, ' ');
  for (const body of new Set([bare, joined])) {
    for (const restarts of ['', 'dd ']) {
      for (const tables of ['own', 'standard', 'none']) {
        const text = `${(tables === 'none' ? body.replace(/ c4(?= |$)/g, '') : body).replace(/da$/, '')}${restarts}da`;
        for (const head of usualHeads) {
          yield `jpeg ${frame.precision} ${tables} ${kind} ${head}${head === '' ? '' : ' '}${text}`;
        }
      }
    }
  }
}

/** Names of the segments up to the first scan, runs of metadata and of Huffman tables as one, with what is in the tables. */
function readTraces(bytes: Uint8Array, { frame, scans }: JpegStructure): string[] {
  const traces: string[] = [];
  const end = scans[0]!.start;
  for (let at = 2; at < end; ) {
    while (bytes[at] !== 0xff) at++;
    while (bytes[at] === 0xff) at++;
    const type = bytes[at]!;
    if (type === 0 || type === 1 || (type >= 0xd0 && type <= 0xd7)) {
      at++;
      continue;
    }
    const next = at + 1 + ((bytes[at + 1]! << 8) | bytes[at + 2]!);
    const name = type.toString(16);
    const isCollapsed = (metadata.test(name) || type === 0xc4) && traces.at(-1) === name;
    if (!isCollapsed) traces.push(name);
    if (type === frame.type) traces.push(...frame.components.map(({ id, h, v, table }) => `${id}:${h}x${v}:${table}`));
    else if (type === 0xdb) traces.push(...readTables(bytes, at + 3, next));
    at = next;
  }
  return traces;
}

function readTables(bytes: Uint8Array, start: number, end: number): string[] {
  const texts: string[] = [];
  for (let at = start; at < end; ) {
    const wide = bytes[at]! >> 4;
    const table = new Array<number>(64);
    for (let i = 0; i < 64; i++) {
      const place = at + 1 + (wide === 0 ? i : 2 * i);
      table[naturalOrder[i]!] = wide === 0 ? bytes[place]! : (bytes[place]! << 8) | bytes[place + 1]!;
    }
    texts.push(`${wide}${bytes[at]! & 15}=${table.join(',')}`);
    at += wide === 0 ? 65 : 129;
  }
  return texts;
}

function readHuffmanKind({ scans }: JpegStructure): 'none' | 'standard' | 'own' {
  const stored = scans[0]!.tables.filter((table) => table !== undefined);
  if (stored.length === 0) return 'none';
  const isStandard = (table: Uint8Array) => standardHuffman.some((standard) => isSameTable(table, standard));
  return stored.every(isStandard) ? 'standard' : 'own';
}

function* listPngTexts(bytes: Uint8Array): Generator<string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const order: string[] = [];
  let level = -1;
  for (let at = 8; at + 12 <= bytes.length && order.at(-1) !== 'IEND'; at += 12 + view.getUint32(at)) {
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (type === 'IDAT' && level < 0 && view.getUint32(at) >= 2) level = bytes[at + 9]! >> 6;
    if (order.at(-1) !== type) order.push(type);
  }
  const [bitDepth, colourType, interlace] = [bytes[24], bytes[25], bytes[28]];
  yield `png ${bitDepth} ${colourType} ${interlace === 1} ${level} ${order.join(' ')}`;
  const palette = order.includes('PLTE') ? 'PLTE ' : '';
  for (const other of [0, 1, 2, 3]) {
    for (const extra of ['', 'pHYs ', 'sRGB ', 'gAMA ', 'sRGB gAMA pHYs ']) {
      yield `png ${bitDepth} ${colourType} ${interlace === 1} ${other} IHDR ${extra}${palette}IDAT IEND`;
    }
  }
}

function* listWebpTexts(bytes: Uint8Array): Generator<string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = Math.min(bytes.length, 8 + view.getUint32(4, true));
  const order: string[] = [];
  for (let at = 12; at + 8 <= end; ) {
    const type = String.fromCharCode(...bytes.subarray(at, at + 4));
    if (order.at(-1) !== type) order.push(type);
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length & 1);
  }
  yield `webp ${order.join(' ')}`;
  yield `webp ${order.includes('VP8L') ? 'VP8L' : 'VP8 '}`;
}
