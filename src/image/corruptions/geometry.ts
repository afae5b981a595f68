import { openWorkspace } from '../../core/workspace.ts';
import { blurInPlace, type Pixels, reflect, warp } from './filter.ts';
import type { Random } from './random.ts';

/** Degrees. */
const rotationDegrees = [1, 2.5, 5, 10, 20] as const;
/** Enlargement of the centre. */
const zoomFactor = [1.05, 1.12, 1.25, 1.5, 2] as const;
/** Horizontal skew from top to bottom as a share of the width, and the amplitude of the wobble. */
const shutterSkew = [0.015, 0.035, 0.07, 0.12, 0.2] as const;
/** Order of the channels: three wrong pairs, then the two cyclic orders. A swap has no degrees, so severities are kinds. */
const orders = [
  [1, 0, 2],
  [0, 2, 1],
  [2, 1, 0],
  [1, 2, 0],
  [2, 0, 1],
] as const;
/** ImageNet-C `elastic_transform` as shares of the frame's shorter side: strength, smoothness, affine jitter. */
const elasticity = [
  [2, 0.7, 0.1],
  [2, 0.08, 0.2],
  [0.05, 0.01, 0.02],
  [0.07, 0.01, 0.02],
  [0.12, 0.01, 0.02],
] as const;

/** A camera that hangs askew, either way by the seed; enlarged just enough to leave no empty corners. */
export function rotation(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const angle = (random.sign() * rotationDegrees[severity - 1] * Math.PI) / 180;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const scale = cos + Math.abs(sin) * Math.max(width / height, height / width);
  const cx = (width - 1) / 2;
  const cy = (height - 1) / 2;
  const across = Float64Array.from({ length: width }, (_, x) => (x - cx) / scale);
  const down = Float64Array.from({ length: height }, (_, y) => (y - cy) / scale);
  return warp(pixels, {
    columns: { x: across.map((dx) => cx + cos * dx), y: across.map((dx) => cy + sin * dx) },
    rows: { x: down.map((dy) => -(sin * dy)), y: down.map((dy) => cos * dy) },
  });
}

/** Another lens or a crop upstream: the centre, off by up to a fifth of the margin, enlarged. */
export function cropZoom(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const zoom = zoomFactor[severity - 1];
  const cx = ((width - 1) / 2) * (1 + (1 - 1 / zoom) * random.uniform(-0.2, 0.2));
  const cy = ((height - 1) / 2) * (1 + (1 - 1 / zoom) * random.uniform(-0.2, 0.2));
  return warp(pixels, {
    columns: {
      x: Float64Array.from({ length: width }, (_, x) => cx + (x - (width - 1) / 2) / zoom),
      y: new Float64Array(width),
    },
    rows: {
      x: new Float64Array(height),
      y: Float64Array.from({ length: height }, (_, y) => cy + (y - (height - 1) / 2) / zoom),
    },
  });
}

/** Rows read one after the other while the camera pans (skew) and shakes (wobble); what was never seen is mirrored in. */
export function rollingShutter(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const skew = random.sign() * shutterSkew[severity - 1] * width;
  const wobble = 0.12 * skew;
  const phase = random.uniform(0, 2 * Math.PI);
  const turns = random.uniform(1.5, 3);
  const shift = Float64Array.from(
    { length: height },
    (_, y) => skew * (y / height - 0.5) + wobble * Math.sin(phase + (2 * Math.PI * turns * y) / height),
  );
  return warp(pixels, {
    columns: { x: Float64Array.from({ length: width }, (_, x) => x), y: new Float64Array(width) },
    rows: { x: shift, y: Float64Array.from({ length: height }, (_, y) => y) },
  });
}

/** Channels in the wrong order; severity 3 is BGR read as RGB, the usual mistake. */
export function channelSwap({ data }: Pixels, severity: number): Uint8Array {
  const [red, green, blue] = orders[severity - 1];
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    out[i] = data[i + red];
    out[i + 1] = data[i + green];
    out[i + 2] = data[i + blue];
  }
  return out;
}

/**
 * Shown the wrong way round. It has no degrees, so severities are kinds, those of EXIF orientation: mirrored (1), mirrored upside down
 * (2), upside down (3), turned a quarter either way by the seed (4), the same mirrored (5). A quarter turn keeps the size of the
 * frame: what it does not fill is mirrored in, and what it would enlarge is cut.
 */
export function orientation({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const out = new Uint8Array(data.length);
  const isTurned = severity >= 4;
  const isMirrored = severity === 1 || severity === 5;
  const turn = isTurned ? random.sign() : 1;
  const [cx, cy] = [(width - 1) >> 1, (height - 1) >> 1];
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const right = isMirrored || severity === 3 ? width - 1 - x : x;
      const down = severity === 2 || severity === 3 ? height - 1 - y : y;
      const sx = isTurned ? reflect(cx + turn * (down - cy), width) : right;
      const sy = isTurned ? reflect(cy - turn * (right - cx), height) : down;
      const from = 3 * (sy * width + sx);
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return out;
}

/** A smooth random displacement on top of a small affine one: a warped windscreen. */
export function elastic(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { width, height } = pixels;
  const side = Math.min(width, height);
  const [strength, smoothness, jitter] = elasticity[severity - 1];
  const space = openWorkspace();
  const displacement = () => {
    const at = space.reserve(4 * width * height);
    random.drawIn(space, (state) => space.kernels.stopline_even(state, width * height, at));
    blurInPlace(space, { at, width, height, channels: 1 }, smoothness * side);
    space.kernels.stopline_scale(at, width * height, strength * side);
    return at;
  };
  const moved = { x: displacement(), y: displacement() };
  // ImageNet-C moves three points of a square of a third of the side by up to `jitter`: the same spread of affine maps.
  const slope = () => (random.uniform(-1, 1) * jitter) / (2 / 3);
  const [xx, xy, yx, yy] = [1 + slope(), slope(), slope(), 1 + slope()];
  const cx = width / 2;
  const cy = height / 2;
  const across = Float64Array.from({ length: width }, (_, x) => x - cx);
  const down = Float64Array.from({ length: height }, (_, y) => y - cy);
  const columns = { x: across.map((x) => cx + xx * x), y: across.map((x) => cy + yx * x) };
  const rows = { x: down.map((y) => xy * y), y: down.map((y) => yy * y) };
  return warp(pixels, { columns, rows, moved }, space);
}
