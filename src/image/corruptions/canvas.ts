import type { Pixels } from './filter.ts';
import { letterSize, visitDots } from './glyphs.ts';

export type Colour = readonly [red: number, green: number, blue: number];

/** Draws on a copy of pixels. Everything is clipped at the border. */
export class Canvas {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;

  constructor({ data, width, height }: Pixels) {
    this.data = data.slice();
    this.width = width;
    this.height = height;
  }

  /** @param share how much of what is behind the rectangle hides */
  fill(left: number, top: number, width: number, height: number, colour: Colour, share = 1): void {
    const [x0, x1] = [Math.max(0, Math.round(left)), Math.min(this.width, Math.round(left + width))];
    const [y0, y1] = [Math.max(0, Math.round(top)), Math.min(this.height, Math.round(top + height))];
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        const at = 3 * (y * this.width + x);
        if (share === 1) {
          this.data[at] = colour[0];
          this.data[at + 1] = colour[1];
          this.data[at + 2] = colour[2];
          continue;
        }
        for (let c = 0; c < 3; c++)
          this.data[at + c] = Math.round(this.data[at + c] + share * (colour[c] - this.data[at + c]));
      }
    }
  }

  /** A rectangle without its inside; the line lies inside of it. */
  outline(left: number, top: number, width: number, height: number, line: number, colour: Colour): void {
    this.fill(left, top, width, line, colour);
    this.fill(left, top + height - line, width, line, colour);
    this.fill(left, top, line, height, colour);
    this.fill(left + width - line, top, line, height, colour);
  }

  /** A disk of which only what is within `line` pixels of the border is drawn, where that is given. */
  disk(cx: number, cy: number, radius: number, colour: Colour, line = radius): void {
    const inner = Math.max(0, radius - line);
    for (let y = Math.floor(cy - radius); y <= cy + radius; y++) {
      for (let x = Math.floor(cx - radius); x <= cx + radius; x++) {
        const distance = Math.hypot(x - cx, y - cy);
        if (distance <= radius && distance >= inner) this.fill(x, y, 1, 1, colour);
      }
    }
  }

  /**
   * Capitals, digits and a few signs, each dot a square of `dot` pixels.
   * @param edge a border around the letters, as burnt-in text has one
   */
  text(words: string, left: number, top: number, dot: number, colour: Colour, edge?: Colour): void {
    const around = Math.max(1, Math.floor(dot / 2));
    if (edge) {
      visitDots(words, (x, y) =>
        this.fill(left + x * dot - around, top + y * dot - around, dot + 2 * around, dot + 2 * around, edge),
      );
    }
    visitDots(words, (x, y) => this.fill(left + x * dot, top + y * dot, dot, dot, colour));
  }

  /** The same in the middle of a point. */
  centre(words: string, cx: number, cy: number, dot: number, colour: Colour): void {
    this.text(words, cx - (words.length * letterSize.width * dot) / 2, cy - (letterSize.height * dot) / 2, dot, colour);
  }
}
