import { StoplineError } from '../../errors.ts';
import { sha256 } from '../sha256.ts';
import type { Container } from './container.ts';
import { isArithmetic, isProgressive, type JpegComponent, type JpegStructure, readMarkers } from './jpegmarkers.ts';
import { estimateQuality } from './quality.ts';
import { isSameTable, standardHuffman } from './standardhuffman.ts';

const corrupt = (message: string) => new StoplineError('IMAGE_CORRUPT', message);

/**
 * What the headers of a JPEG say; entropy-coded data is skipped, not decoded. Where the end-of-image marker is missing that
 * is a remark here: `decode` looks whether every block is there.
 * @throws {StoplineError} IMAGE_CORRUPT, IMAGE_TRUNCATED, IMAGE_TOO_COMPLEX, IMAGE_UNSUPPORTED
 */
export function readJpeg(bytes: Uint8Array): Container {
  const structure = readMarkers(bytes);
  const { frame, scans, quantisation, orientation, remarks } = structure;
  const { width, height, precision, components } = frame;
  const colour = readColour(structure);
  const used = components.map((component) => quantisation[component.table]);
  const isComplete = used.every((table) => table !== undefined && table.length === 64);
  if (!isComplete) throw corrupt('Expected a quantisation table for every JPEG component but received fewer.');
  return {
    format: 'jpeg',
    width,
    height,
    bitDepth: precision,
    channels: components.length,
    colour,
    hasAlpha: false,
    progressive: isProgressive(frame),
    frames: 1,
    scans: scans.length,
    orientation,
    trailingBytes: bytes.length - structure.end,
    bytes: bytes.length,
    bytesPerPixel: bytes.length / (width * height),
    codedBytes: scans.reduce((sum, { start, end }) => sum + end - start, 0),
    fingerprint: nameEncoder(structure, used as number[][]),
    wrapping: describeWrapping(structure),
    remarks,
    jpeg: {
      tables: quantisation,
      ...estimateQuality(used as number[][], colour),
      chromaSubsampling: nameSubsampling(components),
      arithmetic: isArithmetic(frame),
    },
  };
}

/** A hash of what an encoder does to pixels: process, precision, sampling, and the quantisation table of each component. */
function nameEncoder({ frame }: JpegStructure, used: readonly number[][]): string {
  const process = `${isProgressive(frame) ? 'progressive' : 'sequential'}${isArithmetic(frame) ? ' arithmetic' : ''}`;
  const components = frame.components.map(({ h, v }, i) => `${h}x${v}:${used[i]!.join(',')}`);
  return sha256(`jpeg ${process} ${frame.precision} ${components.join(' ')}`).slice(0, 16);
}

/** What else tells files of one encoder from those of another, in words; none of it reaches the pixels. */
function describeWrapping({ frame, scans, segments, hasEnd }: JpegStructure): string[] {
  const parts = segments.filter((name, i) => name !== segments[i - 1] && !/^(SOF|SOS|DQT|DHT|DRI)$/.test(name));
  const order = segments.filter((name) => /^(SOF|DQT|DHT)$/.test(name)).join(' ');
  const [{ tables, interval }] = scans as [JpegStructure['scans'][number]];
  const stored = tables.filter((table) => table !== undefined);
  const isStandard = stored.every((table) => standardHuffman.some((standard) => isSameTable(table, standard)));
  const huffman = stored.length === 0 ? 'no' : isStandard ? 'usual' : 'own';
  return [
    ...parts,
    `tables in the order ${order.replace(/(\w+)( \1)+/g, '$1')}`,
    `${huffman} Huffman tables`,
    ...(interval > 0 ? ['restart markers'] : []),
    // The scan script of a progressive file is left out: mozjpeg chooses it by the content of each image.
    ...(isProgressive(frame) || scans.length === 1 ? [] : [`${scans.length} scans`]),
    ...(hasEnd ? [] : ['no end marker']),
  ];
}

/** The rules of libjpeg (jdapimin.c, default_decompress_parms): JFIF first, then Adobe, then component ids. */
function readColour({ frame: { components }, hasJfif, adobeTransform }: JpegStructure): Container['colour'] {
  if (components.length === 1) return 'grey';
  if (components.length === 4) return adobeTransform === undefined || adobeTransform === 0 ? 'cmyk' : 'ycck';
  if (components.length !== 3) {
    throw new StoplineError(
      'IMAGE_UNSUPPORTED',
      `Expected a JPEG of 1, 3 or 4 components but received ${components.length}.`,
    );
  }
  if (hasJfif) return 'ycbcr';
  if (adobeTransform !== undefined) return adobeTransform === 0 ? 'rgb' : 'ycbcr';
  return String.fromCharCode(...components.map((component) => component.id)) === 'RGB' ? 'rgb' : 'ycbcr';
}

/** Names by the ratio of the first component to the second and third, by width and height. */
const subsamplingNames: Record<string, string> = {
  '1x1': '4:4:4',
  '2x1': '4:2:2',
  '2x2': '4:2:0',
  '1x2': '4:4:0',
  '4x1': '4:1:1',
};

function nameSubsampling(components: JpegComponent[]): string {
  const [luma, blue, red] = components;
  if (blue === undefined || red === undefined) return 'grey';
  const isSame = blue.h === red.h && blue.v === red.v;
  const name = isSame ? subsamplingNames[`${luma!.h / blue.h}x${luma!.v / blue.v}`] : undefined;
  return name ?? components.map((component) => `${component.h}x${component.v}`).join(',');
}
