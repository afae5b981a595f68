import sharp from 'sharp';
import { StoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';

/**
 * Glyphs of ASCII 33 to 126: five columns of eight pixels, lowest bit on top, in hexadecimal. Text is set here and not by
 * libvips because decoding shuts its SVG loader for the whole process.
 */
const glyphs =
  '00005f0000 0007000700 147f147f14 242a7f2a12 2313086462 3649562050 0000070000 001c224100 0041221c00 2a1c7f1c2a ' +
  '08083e0808 0080600000 0808080808 0060600000 2010080402 3e5149453e 00427f4000 7249494946 2141494d33 1814127f10 ' +
  '2745454539 3c4a494931 4121110907 3649494936 464949291e 0036360000 0080760000 0008142241 1414141414 4122140800 ' +
  '0201590906 3e415d594e 7c1211127c 7f49494936 3e41414122 7f4141413e 7f49494941 7f09090901 3e41415173 7f0808087f ' +
  '00417f4100 2040413f01 7f08142241 7f40404040 7f021c027f 7f0408107f 3e4141413e 7f09090906 3e4151215e 7f09192946 ' +
  '2649494932 01017f0101 3f4040403f 1f2040201f 3f4038403f 6314081463 0304780403 6151494543 007f414100 0204081020 ' +
  '0041417f00 0402010204 4040404040 0001020400 2054545478 7f48444438 3844444428 384444487f 3854545418 00087e0902 ' +
  '18a4a4a47c 7f08040478 00447d4000 0080807d00 7f10284400 00417f4000 7c04780478 7c08040478 3844444438 fc24242418 ' +
  '18242424fc 7c08040408 4854545424 04043f4424 3c4040207c 1c2040201c 3c4030403c 4428102844 1ca0a0a07c 4464544c44 ' +
  '0008364100 0000770000 0041360800 0201020402';

/** Columns of each glyph without the blank ones at its sides: letters are set proportionally. */
const font: readonly number[][] = glyphs.split(' ').map((hex) => {
  const columns = [0, 2, 4, 6, 8].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
  while (columns[0] === 0) columns.shift();
  while (columns.at(-1) === 0) columns.pop();
  return columns;
});
const blank = [0, 0];
const lineHeight = 8;

type Colour = readonly [number, number, number];
const paper: Colour = [250, 250, 248];
const ink: Colour = [32, 34, 37];
const tones = { pass: [38, 142, 80], warn: [222, 146, 20], block: [200, 44, 44] } as const satisfies Record<
  string,
  Colour
>;

export interface SheetCell {
  /** Three channels; frames of one sheet may differ in size. */
  frame: Frame;
  /** ASCII; up to two lines are shown, other characters become "?". */
  label: string;
  /** Coloured frame around the thumbnail: what the gate decided. */
  tone?: 'pass' | 'warn' | 'block';
}

export interface Sheet {
  title: string;
  columns: number;
  /** Row by row. */
  cells: SheetCell[];
  /** Pixels. */
  thumbnailWidth: number;
}

interface Canvas {
  data: Uint8Array;
  width: number;
  height: number;
}

function measureColumns(character: string): number[] {
  if (character === ' ') return blank;
  return font[character.charCodeAt(0) - 33] ?? font['?'.charCodeAt(0) - 33];
}

/** Width in pixels at scale 1, with one blank column after each letter. */
function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += measureColumns(character).length + 1;
  return width;
}

function fill({ data, width, height }: Canvas, x: number, y: number, w: number, h: number, colour: Colour): void {
  for (let j = Math.max(0, y); j < Math.min(height, y + h); j++) {
    for (let i = Math.max(0, x); i < Math.min(width, x + w); i++) data.set(colour, (j * width + i) * 3);
  }
}

function drawText(canvas: Canvas, text: string, x: number, y: number, scale: number, colour: Colour): void {
  let left = x;
  for (const character of text) {
    const columns = measureColumns(character);
    columns.forEach((bits, i) => {
      for (let j = 0; j < lineHeight; j++) {
        if ((bits >> j) & 1) fill(canvas, left + i * scale, y + j * scale, scale, scale, colour);
      }
    });
    left += (columns.length + 1) * scale;
  }
}

function shorten(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = text;
  while (kept.length > 0 && textWidth(`${kept}...`) > width) kept = kept.slice(0, -1);
  return `${kept.trimEnd()}...`;
}

/** Breaks between words into at most two lines of `width` pixels; what does not fit ends in "...". */
function wrap(text: string, width: number): string[] {
  const words = text.split(/\s+/).filter(Boolean);
  let first = words.shift() ?? '';
  while (words.length > 0 && textWidth(`${first} ${words[0]}`) <= width) first += ` ${words.shift()}`;
  const lines = [shorten(first, width)];
  if (words.length > 0) lines.push(shorten(words.join(' '), width));
  return lines;
}

async function thumbnail({ data, width, height }: Frame, w: number, h: number): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .resize(w, h, { fit: 'fill' })
    .raw()
    .toBuffer();
}

/**
 * A labelled grid of thumbnails.
 *
 * @returns an encoded PNG, 8-bit RGB
 * @throws {StoplineError} OPTION_INVALID when there are no cells or the grid is not a grid, FRAME_INVALID for other than three channels
 * @example
 * const png = await drawSheet({ title: 'Fog', columns: 3, thumbnailWidth: 240, cells: [{ frame, label: 'severity 1' }] });
 */
export async function drawSheet({ title, columns, cells, thumbnailWidth }: Sheet): Promise<Buffer> {
  if (cells.length === 0)
    throw new StoplineError('OPTION_INVALID', 'Expected at least one cell for the sheet but received 0');
  if (!Number.isInteger(columns) || columns < 1) {
    throw new StoplineError('OPTION_INVALID', `Expected a positive whole number for columns but received ${columns}`);
  }
  if (!Number.isInteger(thumbnailWidth) || thumbnailWidth < 16) {
    throw new StoplineError('OPTION_INVALID', `Expected thumbnailWidth of at least 16 but received ${thumbnailWidth}`);
  }
  for (const { frame } of cells) {
    if (frame.channels !== 3 || frame.data.length !== frame.width * frame.height * 3) {
      throw new StoplineError(
        'FRAME_INVALID',
        `Expected frames of three channels for the sheet but received ${frame.data.length} bytes for ${frame.width}x${frame.height}x${frame.channels}`,
      );
    }
  }
  const scale = thumbnailWidth >= 180 ? 2 : 1;
  const gap = 6 * scale;
  const border = 1 + 2 * scale;
  const labels = cells.map(({ label }) => wrap(label, Math.floor(thumbnailWidth / scale)));
  const across = Math.min(columns, cells.length);
  const cellWidth = thumbnailWidth + 2 * gap;
  const heights = cells.map(({ frame }) => Math.max(1, Math.round((frame.height * thumbnailWidth) / frame.width)));
  const linePitch = (lineHeight + 2) * scale;
  const rowTops: number[] = [];
  const titleScale = scale + 1;
  const titleLine = shorten(title, Math.floor((across * cellWidth - 2 * gap) / titleScale));
  let top = title ? 2 * gap + lineHeight * titleScale : gap;
  for (let start = 0; start < cells.length; start += across) {
    rowTops.push(top);
    const tallest = Math.max(...heights.slice(start, start + across));
    const lines = Math.max(...labels.slice(start, start + across).map((l) => l.length));
    top += tallest + border + 2 * scale + lines * linePitch + 2 * gap;
  }
  const canvas: Canvas = { data: new Uint8Array(across * cellWidth * top * 3), width: across * cellWidth, height: top };
  fill(canvas, 0, 0, canvas.width, canvas.height, paper);
  drawText(canvas, titleLine, gap, gap, titleScale, ink);
  for (const [n, { frame, tone }] of cells.entries()) {
    const x = (n % across) * cellWidth + gap;
    const y = rowTops[Math.floor(n / across)] + border;
    const height = heights[n];
    if (tone) fill(canvas, x - border, y - border, thumbnailWidth + 2 * border, height + 2 * border, tones[tone]);
    const small = await thumbnail(frame, thumbnailWidth, height);
    const stride = thumbnailWidth * 3;
    for (let j = 0; j < height; j++) {
      canvas.data.set(small.subarray(j * stride, (j + 1) * stride), ((y + j) * canvas.width + x) * 3);
    }
    const below = y + height + border + 2 * scale;
    labels[n].forEach((line, k) => {
      drawText(canvas, line, x, below + k * linePitch, scale, tone ? tones[tone] : ink);
    });
  }
  return sharp(canvas.data, { raw: { width: canvas.width, height: canvas.height, channels: 3 } })
    .png()
    .toBuffer();
}
