import { describe, expect, it } from 'vitest';
import { openWorkspace } from '../../src/core/workspace.ts';
import { warp } from '../../src/image/corruptions/filter.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { drawLine } from '../../src/image/corruptions/texture.ts';

const drawBytes = (count: number, seed: number) =>
  Uint8Array.from(new Random(seed).words(count), (word) => word >>> 24);

/** The plain loop that `warp` is to the bit. */
function warpPlainly(data: Uint8Array, width: number, height: number, place: (x: number, y: number) => number[]) {
  const mirror = (value: number, limit: number) => {
    if (value >= 0 && value <= limit - 1) return value;
    const v = limit === 1 ? 0 : Math.abs(value) % (2 * (limit - 1));
    return v < limit ? v : 2 * (limit - 1) - v;
  };
  const out = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const [sx, sy] = place(x, y).map((value, axis) => mirror(value, axis === 0 ? width : height));
      const [left, top] = [Math.floor(sx), Math.floor(sy)];
      const [u, v] = [sx - left, sy - top];
      const read = (i: number, j: number, c: number) =>
        data[(Math.min(height - 1, top + j) * width + Math.min(width - 1, left + i)) * 3 + c];
      const both = u * v;
      for (let c = 0; c < 3; c++) {
        const above = (1 - u - v + both) * read(0, 0, c) + (u - both) * read(1, 0, c);
        out[to + c] = above + (v - both) * read(0, 1, c) + both * read(1, 1, c) + 0.5;
      }
    }
  }
  return out;
}

describe('warp', () => {
  it.each([
    [23, 17],
    [1, 5],
    [2, 2],
  ])('of %i x %i reads between neighbours, and mirrors what is outside', (width, height) => {
    const data = drawBytes(width * height * 3, width);
    const random = new Random(height);
    const axis = (count: number, size: number) =>
      Float64Array.from({ length: count }, () => random.uniform(-size, 1.5 * size));
    const columns = { x: axis(width, width), y: axis(width, height) };
    const rows = { x: axis(height, width), y: axis(height, height) };
    expect(warp({ data, width, height }, { columns, rows })).toEqual(
      warpPlainly(data, width, height, (x, y) => [columns.x[x] + rows.x[y], columns.y[x] + rows.y[y]]),
    );
    const [dx, dy] = [random.normals(width * height, 0, 9), random.normals(width * height, 0, 9)];
    const space = openWorkspace();
    const moved = { x: space.write(dx), y: space.write(dy) };
    expect(warp({ data, width, height }, { columns, rows, moved }, space)).toEqual(
      warpPlainly(data, width, height, (x, y) => {
        const p = y * width + x;
        return [columns.x[x] + rows.x[y] + dx[p], columns.y[x] + rows.y[y] + dy[p]];
      }),
    );
  });
});

describe('drawLine', () => {
  it.each([
    [3.2, 4.1, 30.7, 11.3],
    [30.7, 25.3, 3.2, 4.1],
    [-8, 12, 60, 12],
    [9.5, -20, 9.5, 50],
    [12, 9, 12, 9],
    [-30, -30, -5, -5],
  ])('from %d %d to %d %d covers what lies within its radius', (x0, y0, x1, y1) => {
    const [width, height] = [40, 29];
    const space = openWorkspace();
    const at = space.zeros(width * height);
    const mask = { at, width, height, channels: 1 };
    drawLine(space, mask, [x0, y0, x1, y1], { radius: 1.4, alpha: 0.7, radiusEnd: 0.3 });
    const drawn = space.readFloats(at, width * height);
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length2 = dx * dx + dy * dy || 1e-6;
    const expected = Float32Array.from(drawn, (_, p) => {
      const [x, y] = [p % width, Math.floor(p / width)];
      const t = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / length2));
      const [ex, ey] = [x - x0 - t * dx, y - y0 - t * dy];
      const cover = 1.4 + t * (0.3 - 1.4) + 0.5 - Math.sqrt(ex * ex + ey * ey);
      return cover <= 0 ? 0 : 0.7 * Math.min(1, cover);
    });
    expect(drawn).toEqual(expected);
  });
});

describe('a workspace', () => {
  it('gives room that was scratch again, and keeps what lies before it when it grows', () => {
    const space = openWorkspace();
    const kept = space.write(Float32Array.of(1.25, -2));
    let first = 0;
    space.scratch(() => {
      first = space.reserve(1000);
    });
    expect(space.reserve(64 * 1024 * 1024)).toBe(first);
    expect(space.readFloats(kept, 2)).toEqual(Float32Array.of(1.25, -2));
  });
});
