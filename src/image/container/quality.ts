import type { Container } from './container.ts';

/** Natural (row-major) position of each zigzag position, ITU-T T.81 figure A.6. */
export const naturalOrder: readonly number[] = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47,
  55, 62, 63,
];

/** ITU-T T.81 tables K.1 and K.2, row-major: what libjpeg scales by its quality. */
const baseLuma = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
  87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
  72, 92, 95, 98, 112, 100, 103, 99,
];
const baseChroma = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99,
];

/**
 * The quantisation table that the Independent JPEG Group's library writes (jcparam.c, jpeg_set_quality).
 * @param kind which base table
 * @param quality 1 to 100
 * @param largest 255 where the file must be baseline (the default of every encoder known to us), 32767 where not
 * @returns 64 entries in natural order
 */
export function standardTable(kind: 'luma' | 'chroma', quality: number, largest = 255): number[] {
  const scale = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
  const base = kind === 'luma' ? baseLuma : baseChroma;
  return base.map((entry) => Math.min(largest, Math.max(1, Math.floor((entry * scale + 50) / 100))));
}

/** All luma tables that libjpeg can write: as baseline (8 bit) and extended (16 bit) JPEG. */
const candidates = Array.from({ length: 100 }, (_, i) => i + 1).flatMap((quality) =>
  [255, 32767].map((largest) => ({ quality, largest, table: standardTable('luma', quality, largest) })),
);

/**
 * Inverts the quality scaling of libjpeg.
 * Exact where the table of the first component is an IJG table: all 100 are distinct. Otherwise the quality whose
 * luma table is nearest in least squares. Chroma never decides: its tables for 1, 2 and 3 are the same.
 * @param used the quantisation table of each component, natural order
 * @returns `standardTables`: every component carries the IJG table of that one quality
 */
export function estimateQuality(used: number[][], colour: Container['colour']): EstimatedQuality {
  const isKnown =
    known?.colour === colour &&
    known.used.length === used.length &&
    known.used.every((table, i) => isSame(table, used[i]!));
  if (!isKnown) known = { used: used.map((table) => [...table]), colour, ...searchQuality(used, colour) };
  const { quality, standardTables } = known!;
  return { quality, standardTables };
}

interface EstimatedQuality {
  quality: number;
  standardTables: boolean;
}

/** Of the tables that came last: a camera has one quality. */
let known: (EstimatedQuality & { used: number[][]; colour: Container['colour'] }) | undefined;

function isSame(a: number[], b: number[]): boolean {
  for (let i = 0; i < 64; i++) if (a[i] !== b[i]) return false;
  return true;
}

function searchQuality(used: number[][], colour: Container['colour']): EstimatedQuality {
  const luma = used[0]!;
  let nearest = candidates[0]!;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = squaredDistance(luma, candidate.table, least);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
    // No two tables are the same, but of 8 and 16 bits, of which the first is named.
    if (least === 0) break;
  }
  const { quality, largest } = nearest;
  const chroma = standardTable('chroma', quality, largest);
  const hasChroma = colour === 'ycbcr' || colour === 'ycck';
  const standardTables = used.every((table, component) => {
    const isChroma = hasChroma && (component === 1 || component === 2);
    return squaredDistance(table, isChroma ? chroma : nearest.table) === 0;
  });
  return { quality, standardTables };
}

/** @param enough from here on it does not matter by how much they differ */
function squaredDistance(a: number[], b: number[], enough = Number.POSITIVE_INFINITY): number {
  let sum = 0;
  for (let i = 0; i < 64 && sum < enough; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}
