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
   * demand, it costs as much as a few measurements. `image/jpeghistory.ts` reads it.
   * @throws `FRAME_INVALID` when the sizes do not fit together
   */
  history(data: Uint8Array, width: number, height: number, channels: number): Float64Array;
  /**
   * One frame as the input of a model, in the terms of `stopline_resize` in core.h; `image/embedding/preprocess.ts` makes
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
  /**
   * The pixels of a plain JPEG, as libjpeg has them to the bit: sequential, grey or YCbCr at 4:4:4, 4:2:2 or 4:2:0, with nothing about it
   * that libjpeg would warn of (`jpegpixels.c`). Orientation and colour profile are not looked at.
   * @param pixels where they go: `width * height * 3` bytes
   * @returns whether it is done; else the file has to be decoded otherwise, and `pixels` mean nothing
   */
  readJpeg(bytes: Uint8Array, width: number, height: number, pixels: Uint8Array): boolean;
}
