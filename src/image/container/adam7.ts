/** First column and row of each pass of an interlaced PNG, and the steps between its pixels (PNG third edition, 8.2). */
export const adam7: ReadonlyArray<readonly [column: number, row: number, across: number, down: number]> = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];
