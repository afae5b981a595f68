import type { Core } from '../core/core.ts';
import { cutFrame, type Frame } from './frame.ts';
import { measureStatistics, statistics } from './statistics/statistics.ts';

/** One kind of evidence over the image: a number for each tile, row by row. */
export interface TileMap {
  kind: 'blur' | 'noise' | 'clipping' | 'occlusion';
  unit: string;
  /** What a number means. */
  meaning: string;
  /** Which end of the scale is bad. */
  bad: 'high' | 'low';
  values: number[];
}

/** Where in one image the evidence lies. */
export interface Tiles {
  columns: number;
  rows: number;
  maps: TileMap[];
}

/** As the kernels divide an image for `tileFlatShare`; smaller images have fewer tiles. */
const most = { columns: 8, rows: 6 };
/** Below this many pixels a side the statistics of a tile mean little. */
const leastSide = 24;
/** Added to edge strengths, so that two flat tiles compare as equal. */
const floor = 1;

/**
 * Measures every tile as if it were an image. It takes as long as the whole image once more, so it is done only when asked for.
 * @example
 * const { maps } = measureTiles(core, frame);
 */
export function measureTiles(core: Core, frame: Frame): Tiles {
  const columns = Math.max(1, Math.min(most.columns, Math.floor(frame.width / leastSide)));
  const rows = Math.max(1, Math.min(most.rows, Math.floor(frame.height / leastSide)));
  const measured = Array.from({ length: columns * rows }, (_, i) =>
    measureStatistics(core, cutTile(frame, { columns, rows, column: i % columns, row: Math.floor(i / columns) })),
  );
  const column = (name: string) => {
    const position = statistics.findIndex((row) => row.name === name);
    return measured.map((vector) => (Number.isFinite(vector[position]) ? vector[position] : 0));
  };
  const edges = column('tenengrad').map((value) => Math.log2(value + floor));
  const [dark, bright] = [column('clippedLow'), column('clippedHigh')];
  const tidy = (values: number[]) => values.map((value) => Number(value.toPrecision(4)));
  return {
    columns,
    rows,
    maps: [
      {
        kind: 'blur',
        unit: 'log2 DN^2',
        meaning: 'Edge strength: low where it is blurred, or empty.',
        bad: 'low',
        values: tidy(edges),
      },
      {
        kind: 'noise',
        unit: 'DN',
        meaning: 'Noise in the quietest blocks.',
        bad: 'high',
        values: tidy(column('noiseSigma')),
      },
      {
        kind: 'clipping',
        unit: 'share',
        meaning: 'Pixels without light, or saturated.',
        bad: 'high',
        values: tidy(dark.map((share, i) => share + bright[i])),
      },
      {
        kind: 'occlusion',
        unit: 'log2 ratio',
        meaning: 'Edge strength against the tiles around: low where something covers the view.',
        bad: 'low',
        values: tidy(edges.map((own, i) => own - median(around(i, columns, rows).map((other) => edges[other])))),
      },
    ],
  };
}

/** One tile of the frame. */
function cutTile(frame: Frame, at: { columns: number; rows: number; column: number; row: number }): Frame {
  const { width, height } = frame;
  const left = Math.floor((at.column * width) / at.columns);
  const right = Math.floor(((at.column + 1) * width) / at.columns);
  const top = Math.floor((at.row * height) / at.rows);
  const bottom = Math.floor(((at.row + 1) * height) / at.rows);
  return cutFrame(frame, { left, top, width: right - left, height: bottom - top });
}

/** The up to eight tiles that touch one; itself where there are no others. */
function around(tile: number, columns: number, rows: number): number[] {
  const [x, y] = [tile % columns, Math.floor(tile / columns)];
  const near: number[] = [];
  for (let row = Math.max(0, y - 1); row <= Math.min(rows - 1, y + 1); row++) {
    for (let column = Math.max(0, x - 1); column <= Math.min(columns - 1, x + 1); column++) {
      if (row !== y || column !== x) near.push(row * columns + column);
    }
  }
  return near.length > 0 ? near : [tile];
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
