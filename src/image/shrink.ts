import type { Frame } from './frame.ts';

/**
 * Shrinks a frame by a power of two as `decodeRule` has it and libvips does it: means of boxes for every halving but the last, then a
 * linear reduction (1 3 3 1), all of it down and then all of it across, each rounded to 8 bits. A side that the factor does not divide loses its last pixels, where
 * libvips would stretch the rest by less than a pixel.
 * @param factor 1, 2, 4, ...
 */
export function shrinkFrame(frame: Frame, factor: number): Frame {
  if (factor === 1) return frame;
  const side = factor / 2;
  const low = reduceDown(averageRuns(frame, side, 'down'));
  return reduceAcross(averageRuns(low, side, 'across'));
}

/** Means of so many pixels next to each other, in one direction, rounded. */
function averageRuns({ data, width, height, channels }: Frame, side: number, direction: 'down' | 'across'): Frame {
  if (side === 1) return { data, width, height, channels };
  const isDown = direction === 'down';
  const [columns, rows] = isDown ? [width, Math.floor(height / side)] : [Math.floor(width / side), height];
  const out = new Uint8Array(columns * rows * channels);
  const step = isDown ? width * channels : channels;
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const start = ((isDown ? y * side : y) * width + (isDown ? x : x * side)) * channels;
      for (let c = 0; c < channels; c++, to++) {
        let sum = side >> 1;
        for (let i = 0; i < side; i++) sum += data[start + c + i * step];
        out[to] = Math.floor(sum / side);
      }
    }
  }
  return { data: out, width: columns, height: rows, channels };
}

function reduceDown({ data, width, height, channels }: Frame): Frame {
  const rows = height >> 1;
  const stride = width * channels;
  const out = new Uint8Array(stride * rows);
  for (let y = 0, to = 0; y < rows; y++) {
    const at = [2 * y - 1, 2 * y, 2 * y + 1, 2 * y + 2].map((row) => Math.max(0, Math.min(height - 1, row)) * stride);
    for (let x = 0; x < stride; x++, to++) {
      out[to] = (data[at[0] + x] + 3 * data[at[1] + x] + 3 * data[at[2] + x] + data[at[3] + x] + 4) >> 3;
    }
  }
  return { data: out, width, height: rows, channels };
}

function reduceAcross({ data, width, height, channels }: Frame): Frame {
  const columns = width >> 1;
  const out = new Uint8Array(columns * height * channels);
  for (let y = 0, to = 0; y < height; y++) {
    const base = y * width * channels;
    for (let x = 0; x < columns; x++) {
      const before = base + Math.max(0, 2 * x - 1) * channels;
      const at = base + 2 * x * channels;
      const after = base + Math.min(width - 1, 2 * x + 2) * channels;
      for (let c = 0; c < channels; c++, to++) {
        out[to] = (data[before + c] + 3 * data[at + c] + 3 * data[at + channels + c] + data[after + c] + 4) >> 3;
      }
    }
  }
  return { data: out, width: columns, height, channels };
}

/** Mirrors first, then turns clockwise: what undoes an EXIF orientation (`turns`). */
export function turnFrame(frame: Frame, { mirror, degrees }: { mirror: boolean; degrees: 0 | 90 | 180 | 270 }): Frame {
  if (!mirror && degrees === 0) return frame;
  const { data, width, height, channels } = frame;
  const isLying = degrees % 180 === 0;
  const [across, down] = isLying ? [width, height] : [height, width];
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const u = mirror ? width - 1 - x : x;
      const [left, top] = {
        0: [u, y],
        90: [height - 1 - y, u],
        180: [width - 1 - u, height - 1 - y],
        270: [y, width - 1 - u],
      }[degrees];
      const from = (y * width + x) * channels;
      const to = (top * across + left) * channels;
      for (let c = 0; c < channels; c++) out[to + c] = data[from + c];
    }
  }
  return { data: out, width: across, height: down, channels };
}
