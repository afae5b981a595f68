import { openWorkspace } from '../../core/workspace.ts';
import type { Pixels } from './filter.ts';
import type { Random } from './random.ts';
import { blend, smoothstep } from './texture.ts';

/** Share of the rows. */
const stuckShare = [0.005, 0.012, 0.03, 0.06, 0.12] as const;
/** Share of the pixels. */
const deadShare = [0.0004, 0.001, 0.0025, 0.006, 0.015] as const;
const hotShare = [0.0004, 0.001, 0.0025, 0.006, 0.015] as const;
/** Shift of one field against the other as a share of the width; at least one pixel for each severity. */
const fieldShift = [0.002, 0.005, 0.01, 0.02, 0.035] as const;
/** Standard deviation of the gain of the columns. */
const columnDeviation = [0.012, 0.025, 0.05, 0.09, 0.15] as const;
/** Share of the frame that is hidden. */
const hiddenShare = [0.03, 0.07, 0.13, 0.22, 0.35] as const;
/** Share of the rows that never arrive. */
const frozenShare = [0.1, 0.22, 0.38, 0.58, 0.8] as const;

/** Rows that deliver one value or repeat the row above. */
export function stuckRows({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const out = data.slice();
  const stride = width * 3;
  const count = Math.max(severity, Math.round(stuckShare[severity - 1] * height));
  for (let n = 0; n < count; n++) {
    const y = random.integer(height);
    const kind = random.integer(3);
    if (kind === 2 && y > 0) out.copyWithin(y * stride, (y - 1) * stride, y * stride);
    else out.fill(kind === 1 ? 255 : 0, y * stride, (y + 1) * stride);
  }
  return out;
}

/** Visits a share of the pixels, at least `severity` of them. */
function scatter(
  { width, height }: Pixels,
  share: number,
  severity: number,
  random: Random,
  visit: (x: number, y: number) => void,
) {
  const count = Math.max(severity, Math.round(share * width * height));
  const words = random.words(2 * count);
  for (let n = 0; n < count; n++) visit(words[2 * n] % width, words[2 * n + 1] % height);
}

/** Photosites that see nothing; half of them have dimmed a neighbour through the demosaicing. */
export function deadPixels(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { data, width } = pixels;
  const out = data.slice();
  scatter(pixels, deadShare[severity - 1], severity, random, (x, y) => {
    const i = (y * width + x) * 3;
    out.fill(0, i, i + 3);
    if (x + 1 < width && (x ^ y) & 1) for (let c = i + 3; c < i + 6; c++) out[c] >>= 1;
  });
  return out;
}

/** Photosites that shine: one colour of the Bayer mosaic saturates and spills over its four neighbours when demosaiced. */
export function hotPixels(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { data, width, height } = pixels;
  const out = data.slice();
  scatter(pixels, hotShare[severity - 1], severity, random, (x, y) => {
    // RGGB: red on even rows and columns, blue on odd ones, green elsewhere.
    const channel = x & 1 ? (y & 1 ? 2 : 1) : y & 1 ? 1 : 0;
    const lift = (nx: number, ny: number, share: number) => {
      if (nx < 0 || ny < 0 || nx >= width || ny >= height) return;
      const i = (ny * width + nx) * 3 + channel;
      out[i] += share * (255 - out[i]);
    };
    lift(x, y, 1);
    lift(x - 1, y, 0.4);
    lift(x + 1, y, 0.4);
    lift(x, y - 1, 0.4);
    lift(x, y + 1, 0.4);
  });
  return out;
}

/** The odd field was taken later than the even one, while the camera panned: combs on every vertical edge. */
export function interlaceTearing({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const out = data.slice();
  const shift = random.sign() * Math.max(severity, Math.round(fieldShift[severity - 1] * width));
  for (let y = 1; y < height; y += 2) {
    const row = y * width;
    for (let x = 0; x < width; x++) {
      const from = 3 * (row + Math.min(width - 1, Math.max(0, x + shift)));
      const to = 3 * (row + x);
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return out;
}

/** Column amplifiers that disagree: a gain of its own for each column, one third of it shared by broad stripes. */
export function verticalBanding({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const deviation = columnDeviation[severity - 1];
  const fine = random.normals(width, 0, deviation);
  const stripes = random.normals(24, 0, deviation);
  const gains = fine.map((v, x) => 1 + 0.8 * v + 0.6 * stripes[Math.floor((x * 24) / width)]);
  const space = openWorkspace();
  const at = space.write(data);
  // Of each channel.
  const tripled = Float32Array.from({ length: 3 * width }, (_, i) => gains[Math.floor(i / 3)]);
  const [factors, offsets] = [space.write(tripled), space.write(tripled.map((gain) => 40 * (gain - 1)))];
  space.kernels.stopline_gains(at, 3 * width, height, factors, offsets);
  return space.readBytes(at, data.length);
}

/** Something dark and out of focus in front of the lens (a leaf, a wiper, a finger), reaching in from one side. */
export function occlusion({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const share = hiddenShare[severity - 1];
  const side = random.integer(4);
  const along = random.uniform(0.2, 0.8);
  const cx = side === 0 ? 0 : side === 1 ? width : along * width;
  const cy = side === 2 ? 0 : side === 3 ? height : along * height;
  // Half an ellipse centred on the border: area = pi a b / 2.
  const ratio = random.uniform(0.7, 1.4);
  const a = Math.sqrt((2 * share * width * height * ratio) / Math.PI);
  const b = a / ratio;
  const lobes = random.integer(3) + 3;
  const phase = random.uniform(0, 2 * Math.PI);
  const space = openWorkspace();
  const placed = space.zeros(width * height);
  const mask = space.floats(placed, width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const dx = (x - cx) / a;
      const dy = (y - cy) / b;
      const r = Math.sqrt(dx * dx + dy * dy);
      // The outline is within a tenth of 1, and its soft edge 0.07 wide: beyond both nothing depends on it.
      if (r > 1.18) continue;
      if (r < 0.83) {
        mask[y * width + x] = 1;
        continue;
      }
      const outline = 1 + 0.1 * Math.sin(lobes * Math.atan2(dy, dx) + phase);
      mask[y * width + x] = 1 - smoothstep(0.93, 1.07, r / outline);
    }
  }
  const base = random.uniform(18, 60);
  return blend(space, data, placed, [base * 1.1, base, base * random.uniform(0.7, 1)]);
}

/** The readout or the decoder stops part of the way down and the last row that came is shown again and again. */
export function frozenFrame({ data, width, height }: Pixels, severity: number): Uint8Array {
  const out = data.slice();
  const stride = width * 3;
  const last = Math.max(0, Math.round(height * (1 - frozenShare[severity - 1])) - 1);
  for (let y = last + 1; y < height; y++) out.copyWithin(y * stride, last * stride, (last + 1) * stride);
  return out;
}

/** What "no signal" looks like: black, grey, blue, and the green of an all-zero YCbCr buffer. */
const blanks = [
  [0, 0, 0],
  [128, 128, 128],
  [16, 32, 200],
  [0, 135, 0],
] as const;

/** One colour everywhere, from the mean of the frame at severity 1 to one of the colours of "no signal" at 5. */
export function blankFrame({ data }: Pixels, severity: number, random: Random): Uint8Array {
  const target = blanks[random.integer(blanks.length)];
  const out = new Uint8Array(data.length);
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i += 3) {
    sums[0] += data[i];
    sums[1] += data[i + 1];
    sums[2] += data[i + 2];
  }
  const share = (severity - 1) / 4;
  const colour = target.map((v, c) => ((1 - share) * 3 * sums[c]) / data.length + share * v + 0.5);
  out.set(colour);
  // What is filled doubles.
  for (let done = 3; done < out.length; done *= 2) out.copyWithin(done, 0, done);
  return out;
}
