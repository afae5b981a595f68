import type { Tiles } from '../../image/tiles.ts';
import type { LabelRow } from './labelrow.ts';

/** What the person who labels decides: is the image as it should be? `profile accept` reads the first of the two back. */
export const decisions = ['accept', 'reject'] as const;
export const verdicts = ['pass', 'warn', 'block'] as const;
export const evidenceKinds = ['blur', 'noise', 'clipping', 'occlusion'] as const;

/** A part of an image with evidence in it, in pixels of the image as it is inspected, orientation applied. */
export interface EvidenceBox {
  kind: (typeof evidenceKinds)[number];
  left: number;
  top: number;
  width: number;
  height: number;
}

/** One image with all that a tool is told of it. */
export interface LabelImage {
  row: LabelRow;
  /** What the tool calls the image: relative to a folder it knows, or an address. */
  name: string;
  /** Where it lies on this machine, or its URL. */
  location: string;
  boxes: EvidenceBox[];
  tags: string[];
}

/** Probability from which on a simulated cause is a tag. */
const taggedFrom = 0.2;

/** Short words to filter by: verdict, what is seen, probable causes, camera, and where evidence lies. */
export function listTags(row: LabelRow, boxes: readonly EvidenceBox[]): string[] {
  const seen = row.reasons.flatMap(({ group }) => (group === undefined ? [] : [`seen:${group}`]));
  const causes = (row.causes ?? [])
    .filter(({ probability }) => row.verdict !== 'pass' && probability >= taggedFrom)
    .map(({ cause }) => `cause:${cause}`);
  const source = row.source === undefined ? [] : [`source:${row.source}`];
  const tiles = boxes.map(({ kind }) => `tile:${kind}`);
  return [...new Set([row.verdict, ...seen, ...causes, ...source, ...tiles])];
}

/** How far a tile lies from the middle tile of its image to be marked, in the unit of its map; clipping is a share by itself. */
const marked = { blur: 3, occlusion: 3, noise: 4, clipping: 0.25 };

/**
 * The tiles of an image that stand out from the rest of it.
 *
 * A Profile says nothing of single tiles, so they are held against the median tile: edges eight times as weak (3 on a scale of log2),
 * noise 4 levels above, a quarter of the pixels without light or saturated. An image that is bad all over has no marked tile.
 */
export function markTiles({ columns, rows, maps }: Tiles, size: { width: number; height: number }): EvidenceBox[] {
  return maps.flatMap(({ kind, bad, values }) => {
    const middle = kind === 'clipping' ? 0 : [...values].sort((a, b) => a - b)[values.length >> 1];
    return values.flatMap((value, i) => {
      const beyond = bad === 'high' ? value - middle : middle - value;
      if (!(beyond >= marked[kind])) return [];
      const [column, row] = [i % columns, Math.floor(i / columns)];
      const edge = (at: number, of: number, length: number) => Math.floor((at * length) / of);
      const [left, top] = [edge(column, columns, size.width), edge(row, rows, size.height)];
      const width = edge(column + 1, columns, size.width) - left;
      return [{ kind, left, top, width, height: edge(row + 1, rows, size.height) - top }];
    });
  });
}

/** The cause in words: the probable one, else the strongest reason. */
export function describeCause({ cause, reasons }: LabelRow): string {
  return cause?.text ?? reasons[0]?.text ?? '';
}
