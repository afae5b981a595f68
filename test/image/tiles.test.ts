import { describe, expect, it } from 'vitest';
import { loadCore } from '../../src/core/index.ts';
import { measureTiles, type TileMap } from '../../src/image/tiles.ts';
import { gaussian, grey, random } from '../fixtures/frames.ts';

const core = loadCore();
const side = 40;
/** Eight columns and six rows of tiles. */
const size = { width: 8 * side, height: 6 * side };
/** A ramp in every tile, so that its edge strength is that of one slope: the mean square of the slope. */
const ramp = (slope: number) => (x: number) => 40 + slope * (x % side);
const strength = (slope: number) => Number(Math.log2(slope ** 2 + 1).toPrecision(4));

function maps(frame: Parameters<typeof measureTiles>[1]): Record<TileMap['kind'], number[]> {
  const { maps: measured } = measureTiles(core, frame);
  return Object.fromEntries(measured.map(({ kind, values }) => [kind, values])) as Record<TileMap['kind'], number[]>;
}

const column = (tile: number) => tile % 8;
const row = (tile: number) => Math.floor(tile / 8);

describe('the tile map', () => {
  it('has weak edges in the half that is blurred', () => {
    const { blur, noise, clipping } = maps(grey(size.width, size.height, (x) => ramp(x < size.width / 2 ? 1 : 4)(x)));
    expect(blur).toEqual(blur.map((_, tile) => strength(column(tile) < 4 ? 1 : 4)));
    expect(new Set([...noise, ...clipping])).toEqual(new Set([0]));
  });

  it('has the share of clipped pixels where they are, dark ones and bright ones together', () => {
    const { clipping } = maps(
      grey(size.width, size.height, (x, y) => {
        if (x < side && y < side) return x < side / 2 ? 0 : 255;
        return x >= 7 * side + 30 && y >= 5 * side + 20 ? 255 : 128;
      }),
    );
    const expected = new Array(48).fill(0);
    expected[0] = 1;
    expected[47] = (10 * 20) / side ** 2;
    expect(clipping).toEqual(expected);
  });

  it('has noise in the tiles that are noisy', () => {
    const normal = gaussian(1);
    const { noise } = maps(
      grey(size.width, size.height, (x, y) => 128 + (x < 2 * side && y >= 3 * side ? 6 * normal() : 0)),
    );
    for (const [tile, sigma] of noise.entries()) {
      if (column(tile) < 2 && row(tile) >= 3) expect(sigma, `tile ${tile}`).toBeCloseTo(6, -0.5);
      else expect(sigma, `tile ${tile}`).toBe(0);
    }
  });

  it('is low against its neighbours where something covers the view, and even elsewhere', () => {
    const covered = 2 * 8 + 3;
    const { occlusion, blur } = maps(
      grey(size.width, size.height, (x, y) =>
        Math.floor(x / side) === column(covered) && Math.floor(y / side) === row(covered) ? 90 : ramp(2)(x),
      ),
    );
    expect(blur[covered]).toBe(0);
    expect(occlusion).toEqual(occlusion.map((_, tile) => (tile === covered ? -strength(2) : 0)));
  });

  it('leaves no pixel out and counts none twice where tiles are of unequal size', () => {
    const uniform = random(2);
    const frame = grey(203, 101, () => (uniform() < 0.3 ? 255 : 128));
    const { columns, rows, maps: measured } = measureTiles(core, frame);
    expect({ columns, rows }).toEqual({ columns: 8, rows: 4 });
    const edges = (length: number, parts: number) =>
      Array.from(
        { length: parts },
        (_, i) => Math.floor(((i + 1) * length) / parts) - Math.floor((i * length) / parts),
      );
    const areas = edges(101, 4).flatMap((tall) => edges(203, 8).map((wide) => wide * tall));
    const clipped = measured[2].values.reduce((sum, share, tile) => sum + share * areas[tile], 0);
    expect(clipped / frame.data.filter((value) => value === 255).length).toBeCloseTo(1, 3);
  });

  it('has fewer tiles of a small image, and one of a tiny one', () => {
    const grid = (width: number, height: number) => {
      const {
        columns,
        rows,
        maps: measured,
      } = measureTiles(
        core,
        grey(width, height, () => 9),
      );
      return [columns, rows, measured[0].values.length];
    };
    expect([grid(50, 30), grid(20, 20)]).toEqual([
      [2, 1, 2],
      [1, 1, 1],
    ]);
    expect(maps(grey(20, 20, (x) => 5 * x)).occlusion).toEqual([0]);
  });
});
