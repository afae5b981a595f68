/** Decoded pixels: 8-bit sRGB, interleaved, rows top to bottom without padding. */
export interface Frame {
  data: Uint8Array;
  width: number;
  height: number;
  /** 3 when Stopline decoded it; `inspectFrame` also takes 1 (grey) and 4 (alpha is ignored). */
  channels: 1 | 3 | 4;
}
