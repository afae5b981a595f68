/**
 * Fields of the kernels' result with their number of doubles: the same list, in the same order, as `STOPLINE_OUT` in
 * core.h. The loader compares the two, so that a stale build is refused instead of misread.
 */
const sizes = {
  pixels: 1,
  width: 1,
  height: 1,
  lumaHistogram: 256,
  sumR: 1,
  sumG: 1,
  sumB: 1,
  sumRg2: 1,
  sumYb2: 1,
  sumSaturation: 1,
  clippedLow: 1,
  clippedHigh: 1,
  grey: 1,
  darkSum: 1,
  darkBlocks: 1,
  interior: 1,
  sumLaplacian: 1,
  sumLaplacian2: 1,
  jxx: 1,
  jyy: 1,
  jxy: 1,
  residualHistogram: 2041,
  stepsX: 8,
  stepsY: 8,
  stepsPixelsX: 8,
  stepsPixelsY: 8,
  stepsY2: 1,
  movingX: 1,
  movingY: 1,
  impulses: 1,
  noiseEnergy: 1,
  noiseBlocks: 1,
  sharpRatio: 1,
  sharpBlocks: 1,
  flatResidual2: 1,
  flatPixels: 1,
  tileGradient2: 48,
  tileLuma: 48,
  tilePixels: 48,
  haarSquares: 12,
  haarCounts: 4,
  laplacianMoments: 12,
  haarDiagonal: 512,
  mscn: 24,
  mscnHalf: 24,
  latticeScore: 1,
  latticeQuality: 1,
  latticeCounts: 2560,
  latticePhases: 64,
  aloneBright: 1,
  aloneDark: 1,
  rowSigns: 2,
  columnSigns: 2,
  deadRows: 1,
  deadColumns: 1,
  rowBanding: 1,
  columnBanding: 1,
  blockHoles: 3,
  blockPeaks: 3,
  blockBright: 3,
  blockDark: 3,
  blocksCompared: 1,
  tintTop: 4,
  tintBottom: 4,
  tintProducts: 6,
  saturationHistogram: 16,
  residualPairs: 36,
  residualProducts: 16,
  residualColours: 3,
} as const;

export type Field = keyof typeof sizes;

const fields = Object.keys(sizes) as Field[];
let next = 0;

/** Index of the first double of each field. */
export const at = Object.fromEntries(
  fields.map((field) => {
    const first = next;
    next += sizes[field];
    return [field, first];
  }),
) as Readonly<Record<Field, number>>;

/** Number of doubles in a result. */
export const outSize: number = next;

/** What `stopline_layout()` of a matching build returns. */
export const layoutText: string = fields.map((field) => `${field}:${sizes[field]}`).join(',');

/** The doubles of one field, without copying. */
export function slice(out: Float64Array, field: Field): Float64Array {
  return out.subarray(at[field], at[field] + sizes[field]);
}
