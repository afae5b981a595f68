import { StoplineError } from '../errors.ts';
import { loadNative } from './native.ts';
import { loadWasm } from './wasm.ts';

/** Which build of the C core runs, and why not the faster one. */
export interface CoreInfo {
  build: 'native' | 'wasm';
  /** Instruction set chosen at load (`avx512`, `avx2`, `baseline`) or `simd128`. */
  simd: string;
  /** Why the native build is not used; absent when it is. */
  reason?: string;
}

/** The kernels, loaded once per thread. */
export interface Core {
  readonly info: CoreInfo;
  /**
   * Runs every kernel over one frame.
   * @param data interleaved 8-bit pixels, `width * height * channels` bytes
   * @returns the raw sums and histograms in the order of `core.h`; valid until the next call
   * @throws `FRAME_INVALID` when the sizes do not fit together
   */
  measure(data: Uint8Array, width: number, height: number, channels: number): Float64Array;
  /**
   * What the pixels say about earlier JPEG compression, at the indices of `enum stopline_history_field` in core.h; on
   * demand, it costs as much as a few measurements. src/forensics.ts reads it.
   * @throws `FRAME_INVALID` when the sizes do not fit together
   */
  history(data: Uint8Array, width: number, height: number, channels: number): Float64Array;
  /**
   * One frame as the input of a model, in the terms of `stopline_resize` in core.h; src/embedding/preprocess.ts makes
   * `plan` and `weights`.
   * @param out where the floats go
   * @throws `FRAME_INVALID` when the sizes do not fit together
   */
  resize(
    data: Uint8Array,
    width: number,
    height: number,
    channels: number,
    plan: Int32Array,
    weights: Float32Array,
    out: Float32Array,
  ): void;
}

const loaders = { native: loadNative, wasm: loadWasm } as const;

/**
 * Loads the C core: the native build where there is one, else WebAssembly. Never silently: `info` says which, and why
 * not the native one.
 * @param prefer the build to try first
 * @throws `CORE_UNAVAILABLE` with the reasons of both when neither loads
 * @example
 * const core = loadCore();
 * core.info; // { build: 'native', simd: 'avx2' }
 */
export function loadCore(prefer: CoreInfo['build'] = 'native'): Core {
  const order = prefer === 'wasm' ? (['wasm', 'native'] as const) : (['native', 'wasm'] as const);
  const reasons: string[] = prefer === 'wasm' ? ['the WebAssembly core was asked for'] : [];
  for (const build of order) {
    try {
      const core = loaders[build]();
      return build === 'native' ? core : { ...core, info: { ...core.info, reason: reasons.join('; ') } };
    } catch (error) {
      const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
      reasons.push(`${build}: ${line}`);
    }
  }
  throw new StoplineError(
    'CORE_UNAVAILABLE',
    `Expected a native or a WebAssembly core but neither loads (${reasons.join('; ')}). Run npm run build:wasm, or npm run build:native where there is a C compiler`,
  );
}
