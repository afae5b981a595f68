import { StoplineError } from '../errors.ts';
import { decode } from './decode.ts';
import { readImage } from './file.ts';
import { defaultLimits, type Frame } from './frame.ts';
import { encodeMask, type Mask, type MaskedArea, type MaskedPolygon, maskAreas } from './mask.ts';

/** Cells along a side of a mask that is kept: a finer one is made coarser, and hides what any of its pixels hid. */
const mostCells = 1000;
/** Runs of a mask at most: beside every image it goes to the process that judges, and a Profile takes twice as many. */
const mostRuns = 50_000;
/** From this value on a pixel of a mask is white. */
const white = 128;
const number = '\\d*\\.?\\d+';
const area = new RegExp(`^${number}(,${number}){3,399}$`);

/**
 * A mask as it is given: an image of any size in which white counts and black does not, or areas that do not count, each
 * `left,top,right,bottom` in shares of the sides (`0,0.9,0.4,1` is the lower left strip) or a polygon `x,y,x,y,x,y...` of three
 * corners and more, joined by `;`.
 * @throws {StoplineError} OPTION_INVALID, and what reading and decoding an image throw
 */
export async function readMask(given: string): Promise<Mask> {
  const parts = given.split(';').map((part) => part.trim());
  if (parts.every((part) => area.test(part))) return maskAreas(parts.map(readArea));
  const { frame } = await decode(readImage(given, defaultLimits.maxBytes), { minSide: 1 });
  // A picture of dots or noise is hidden in larger and larger cells, until it is a mask that can be kept and sent along.
  for (let cells = mostCells; ; cells = Math.floor(cells / 2)) {
    const mask = coarsen(frame, cells, given);
    if (mask.runs.length <= mostRuns) return mask;
  }
}

/** @throws {StoplineError} OPTION_INVALID where everything is hidden */
function coarsen({ data, width: pixels, height: rows, channels }: Frame, cells: number, given: string): Mask {
  const factor = Math.max(1, Math.ceil(Math.max(pixels, rows) / cells));
  const [width, height] = [Math.ceil(pixels / factor), Math.ceil(rows / factor)];
  const isHidden = new Uint8Array(width * height);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < pixels; x++) {
      const at = (y * pixels + x) * channels;
      const isBlack = data[at] < white && data[at + 1] < white && data[at + 2] < white;
      if (isBlack) isHidden[Math.floor(y / factor) * width + Math.floor(x / factor)] = 1;
    }
  }
  if (!isHidden.every((hides) => hides === 1)) return encodeMask(isHidden, width, height);
  throw new StoplineError(
    'OPTION_INVALID',
    `Expected a mask in which white counts and black does not, but "${given}" has no white, or only specks of it.`,
  );
}

function readArea(text: string): MaskedArea | MaskedPolygon {
  const numbers = text.split(',').map(Number);
  if (numbers.length === 4) {
    const [left, top, right, bottom] = numbers;
    return { left, top, right, bottom };
  }
  if (numbers.length % 2 === 1) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected areas of a mask as left,top,right,bottom or as x,y of three corners and more, but received ${numbers.length} numbers: ${text.slice(0, 100)}.`,
    );
  }
  return {
    points: Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]] as const),
  };
}
