import { StoplineError } from '../errors.ts';
import { checkFrame } from './check.ts';
import type { Core } from './core.ts';
import { layoutText, outSize } from './layout.ts';

/** What the module exports; addresses are bytes of its memory. */
export interface Exports {
  memory: WebAssembly.Memory;
  __heap_base: WebAssembly.Global;
  stopline_layout(): number;
  stopline_scratch_size(width: number, height: number): number;
  stopline_history_size(): number;
  stopline_history(data: number, width: number, height: number, channels: number, scratch: number, out: number): number;
  stopline_resize_scratch(width: number, channels: number): number;
  stopline_resize(
    data: number,
    width: number,
    height: number,
    channels: number,
    plan: number,
    planSize: number,
    weights: number,
    weightCount: number,
    scratch: number,
    out: number,
    outSize: number,
  ): number;
  stopline_measure(data: number, width: number, height: number, channels: number, scratch: number, out: number): number;
  /** See `core/filters.ts`, and causes.c. */
  stopline_blur(
    image: number,
    width: number,
    height: number,
    channels: number,
    radius: number,
    edge: number,
    scale: number,
    scratch: number,
  ): void;
  stopline_floats(bytes: number, count: number, out: number): void;
  stopline_bytes(values: number, count: number, out: number): void;
  stopline_trail(
    source: number,
    stride: number,
    samples: number,
    height: number,
    offsets: number,
    weights: number,
    taps: number,
    out: number,
  ): void;
  stopline_disk(
    sums: number,
    width: number,
    height: number,
    radius: number,
    halves: number,
    line: number,
    out: number,
  ): void;
  stopline_resample(
    image: number,
    imageWidth: number,
    imageHeight: number,
    channels: number,
    width: number,
    height: number,
    columns: number,
    columnShares: number,
    rows: number,
    rowShares: number,
    line: number,
    out: number,
  ): void;
  stopline_jpeg_scratch(width: number, height: number): number;
  stopline_jpeg(rgb: number, width: number, height: number, tables: number, isHalved: number, scratch: number): void;
  stopline_words(state: number, count: number, out: number): void;
  stopline_even(state: number, count: number, out: number): void;
  stopline_normals(state: number, table: number, count: number, mean: number, deviation: number, out: number): void;
  stopline_noise(data: number, samples: number, deviation: number, table: number, state: number): void;
  stopline_shot(data: number, samples: number, table: number, state: number): void;
  stopline_impulses(data: number, samples: number, limit: number, state: number): void;
  stopline_shuffle(image: number, width: number, height: number, delta: number, words: number): void;
  stopline_warp(
    data: number,
    width: number,
    height: number,
    columnsX: number,
    columnsY: number,
    rowsX: number,
    rowsY: number,
    movedX: number,
    movedY: number,
    out: number,
  ): void;
  stopline_scale(plane: number, size: number, factor: number): void;
  stopline_add_scaled(plane: number, size: number, other: number, factor: number): void;
  stopline_average(plane: number, size: number, other: number): void;
  stopline_spread(plane: number, size: number): void;
  stopline_line(
    mask: number,
    width: number,
    height: number,
    x0: number,
    y0: number,
    x1: number,
    y1: number,
    radius: number,
    alpha: number,
    radiusEnd: number,
  ): void;
  stopline_blend(data: number, count: number, mask: number, red: number, green: number, blue: number): void;
  stopline_thousandths(plane: number, size: number, counts: number): void;
  stopline_above(plane: number, size: number, low: number, high: number, opacity: number): void;
  stopline_frost(
    data: number,
    width: number,
    height: number,
    film: number,
    crystals: number,
    milky: number,
    reach: number,
    opacity: number,
  ): void;
  stopline_fog(row: number, width: number, patches: number, transmission: number, optical: number): void;
  stopline_rain(data: number, count: number, streaks: number, light: number, veil: number): void;
  stopline_flakes(plane: number, size: number, threshold: number): void;
  stopline_snow(data: number, count: number, fall: number, keep: number): void;
  stopline_splash(
    data: number,
    width: number,
    height: number,
    liquid: number,
    threshold: number,
    spread: number,
    sigma: number,
    amount: number,
  ): void;
  stopline_glare(
    light: number,
    width: number,
    height: number,
    sunX: number,
    sunY: number,
    rayX: number,
    rayY: number,
    bloom: number,
    ray: number,
    bins: number,
    binsPerPixel: number,
  ): void;
  stopline_lighten(data: number, samples: number, light: number): void;
  stopline_gains(data: number, samples: number, height: number, gains: number, offsets: number): void;
  stopline_pale(image: number, count: number, colour: number): void;
  stopline_sharpen(image: number, blurred: number, size: number, amount: number): void;
  stopline_night(data: number, count: number, linear: number, encoded: number, scale: number): void;
  stopline_desaturate(data: number, count: number, lost: number): void;
  stopline_saturate(data: number, count: number, factor: number, add: number): void;
  stopline_range(data: number, count: number, fixed: number, light: number, colour: number): void;
  stopline_prefix(data: number, width: number, height: number, radius: number, out: number): void;
  stopline_cells(
    data: number,
    width: number,
    height: number,
    columns: number,
    rows: number,
    wide: number,
    sums: number,
    counts: number,
  ): void;
  stopline_jpeg_pixels_scratch(width: number): number;
  stopline_jpeg_pixels(
    bytes: number,
    size: number,
    width: number,
    height: number,
    pixels: number,
    scratch: number,
  ): number;
  /** See `core/training.ts`. */
  stopline_train(memory: number, training: number, rows: number): void;
}

const pageBytes = 65536;
/** Sizes are 32-bit inside the module; a frame near this limit would need more memory than a module can have. */
const maxPixels = 2 ** 28;

const align64 = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/**
 * An instance of a compiled module with a memory of its own, in whatever runtime.
 * @throws `CORE_UNAVAILABLE` when the build is stale
 */
export function instantiate(module: WebAssembly.Module): Exports {
  const core = new WebAssembly.Instance(module).exports as unknown as Exports;
  const written = new Uint8Array(core.memory.buffer, core.stopline_layout(), layoutText.length + 1);
  if (new TextDecoder().decode(written) !== `${layoutText}\0` || core.stopline_jpeg_pixels === undefined)
    throw new StoplineError(
      'CORE_UNAVAILABLE',
      'stopline.wasm was built from other sources. Build it again: npm run build:wasm',
    );
  return core;
}

/** The kernels of an instance. */
export function createWasmCore(core: Exports): Core {
  const { memory } = core;
  // Memory: the module's own data and stack, then out, scratch and pixels, laid out anew for each frame.
  const out = align64(core.__heap_base.value as number);
  const scratch = align64(out + Math.max(outSize, core.stopline_history_size()) * 8);
  function checkPixels(data: Uint8Array, width: number, height: number, channels: number) {
    checkFrame(data, width, height, channels);
    if (width * height > maxPixels)
      throw new StoplineError(
        'IMAGE_TOO_MANY_PIXELS',
        `Expected at most ${maxPixels} pixels for the WebAssembly core but received ${width} x ${height}.`,
      );
  }
  function reserve(end: number, width: number, height: number) {
    if (end <= memory.buffer.byteLength) return;
    try {
      memory.grow(Math.ceil((end - memory.buffer.byteLength) / pageBytes));
    } catch (cause) {
      throw new StoplineError(
        'IMAGE_TOO_MANY_PIXELS',
        `Expected a frame that fits the memory of the WebAssembly core but received ${width} x ${height}.`,
        { cause },
      );
    }
  }
  type Kernel = 'stopline_measure' | 'stopline_history';
  function run(kernel: Kernel, data: Uint8Array, width: number, height: number, channels: number, size: number) {
    checkPixels(data, width, height, channels);
    const pixels = align64(scratch + (core.stopline_scratch_size(width, height) >>> 0));
    reserve(pixels + data.length + 64, width, height);
    new Uint8Array(memory.buffer).set(data, pixels);
    core[kernel](pixels, width, height, channels, scratch, out);
    return new Float64Array(memory.buffer, out, size);
  }
  return {
    info: { build: 'wasm', simd: 'simd128' },
    measure: (data, width, height, channels) => run('stopline_measure', data, width, height, channels, outSize),
    history: (data, width, height, channels) =>
      run('stopline_history', data, width, height, channels, core.stopline_history_size()).slice(),
    resize(data, width, height, channels, plan, weights, out) {
      checkPixels(data, width, height, channels);
      // Laid out anew, as for the statistics, whose `out` this overwrites: it is valid until the next call.
      const plans = align64(core.__heap_base.value as number);
      const taps = align64(plans + plan.byteLength);
      const sums = align64(taps + weights.byteLength);
      const floats = align64(sums + core.stopline_resize_scratch(width, channels));
      const pixels = align64(floats + out.byteLength);
      reserve(pixels + data.length + 64, width, height);
      new Int32Array(memory.buffer, plans, plan.length).set(plan);
      new Float32Array(memory.buffer, taps, weights.length).set(weights);
      new Uint8Array(memory.buffer).set(data, pixels);
      const sizes = [
        width,
        height,
        channels,
        plans,
        plan.length,
        taps,
        weights.length,
        sums,
        floats,
        out.length,
      ] as const;
      if (core.stopline_resize(pixels, ...sizes) !== 0)
        throw new TypeError('Expected a plan that fits the frame, the weights and the output');
      out.set(new Float32Array(memory.buffer, floats, out.length));
    },
    readJpeg(bytes, width, height, pixels) {
      checkPixels(pixels, width, height, 3);
      if (!(bytes instanceof Uint8Array)) throw new TypeError('Expected a Uint8Array for bytes');
      const jpeg = align64(core.__heap_base.value as number);
      const buffer = align64(jpeg + bytes.length);
      const decoded = align64(buffer + core.stopline_jpeg_pixels_scratch(width));
      reserve(decoded + pixels.length + 64, width, height);
      new Uint8Array(memory.buffer).set(bytes, jpeg);
      if (core.stopline_jpeg_pixels(jpeg, bytes.length, width, height, decoded, buffer) !== 0) return false;
      pixels.set(new Uint8Array(memory.buffer, decoded, pixels.length));
      return true;
    },
  };
}
