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
   */
  measure(data: Uint8Array, width: number, height: number, channels: number): Float64Array;
}
