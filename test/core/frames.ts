// Seeded frames, so that a failure can be repeated.
import type { Core } from '../../src/core/index.ts';
import { loadNative, nativeVariants } from '../../src/core/native.ts';
import { loadWasm } from '../../src/core/wasm.ts';

/** Uniform numbers in [0, 1): xorshift128 with a fixed start per seed. */
export function random(seed: number): () => number {
  const state = Uint32Array.of(seed ^ 0x9e3779b9, seed ^ 0x243f6a88, 0xb7e15162, 0xdeadbeef);
  const next = (): number => {
    let t = state[3];
    state[3] = state[2];
    state[2] = state[1];
    state[1] = state[0];
    t ^= t << 11;
    t ^= t >>> 8;
    state[0] = t ^ state[1] ^ (state[1] >>> 19);
    return state[0] / 2 ** 32;
  };
  for (let i = 0; i < 32; i++) next();
  return next;
}

/** Standard normal numbers by Box and Muller. */
export function gaussian(seed: number): () => number {
  const uniform = random(seed);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** A grey frame whose pixel (x, y) is f(x, y), rounded and clipped to 8 bits. */
export function grey(width: number, height: number, f: (x: number, y: number) => number) {
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) data[y * width + x] = Math.min(255, Math.max(0, Math.round(f(x, y))));
  return { data, width, height, channels: 1 as const };
}

/** Frames of several kinds: noise, extremes only, flat with few specks, smooth. */
export function anyFrame(width: number, height: number, channels: 1 | 3 | 4, seed: number): Uint8Array {
  const uniform = random(seed);
  const kind = seed % 4;
  return Uint8Array.from({ length: width * height * channels }, (_, i) => {
    if (kind === 0) return uniform() * 256;
    if (kind === 1) return uniform() < 0.5 ? 0 : 255;
    if (kind === 2) return uniform() < 0.02 ? uniform() * 256 : 120;
    const pixel = Math.floor(i / channels);
    return 128 + 90 * Math.sin((pixel % width) / 7) * Math.cos(pixel / width / 9) + 6 * uniform();
  });
}

/** Every build that runs here: WebAssembly, and each instruction set of the native one where it was built. */
export function everyCore(): Core[] {
  try {
    return [loadWasm(), ...nativeVariants().map((simd) => loadNative(simd))];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    return [loadWasm()];
  }
}
