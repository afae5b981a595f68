import sharp from 'sharp';
import type { Frame } from '../image/frame.ts';
import { measureWidth, table } from './terminal.ts';

/** Characters of a small picture: enough to tell a rainy street from a dark one, little beside a table. */
const most = { columns: 44, lines: 14 };

/** Whether standard output shows pictures: a terminal with 24-bit colours, and no NO_COLOR (Node looks at both). */
export function showsPictures(): boolean {
  return process.stdout.isTTY && process.stdout.getColorDepth() === 24;
}

/** A frame as lines of text for a terminal with 24-bit colours: two pixels in every character, one above the other. */
export async function picture({ data, width, height, channels }: Frame): Promise<string[]> {
  const { data: pixels, info } = await sharp(data, { raw: { width, height, channels } })
    .resize({ width: most.columns, height: 2 * most.lines, fit: 'inside', withoutEnlargement: true })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const colour = (x: number, y: number) => {
    const at = (y * info.width + x) * info.channels;
    return pixels.subarray(at, at + 3).join(';');
  };
  return Array.from({ length: Math.ceil(info.height / 2) }, (_, line) => {
    const cells = Array.from({ length: info.width }, (_, x) => {
      const below = 2 * line + 1 < info.height ? `48;2;${colour(x, 2 * line + 1)}` : '49';
      return `\u001b[38;2;${colour(x, 2 * line)};${below}m\u2580`;
    });
    return `${cells.join('')}\u001b[0m`;
  });
}

/** Lines and a picture on their right; the picture above where both do not fit into so many columns. */
export function beside(lines: readonly string[], pictureLines: readonly string[], columns: number): string[] {
  const widest = (names: readonly string[]) => Math.max(0, ...names.map(measureWidth));
  if (lines.length === 0 || pictureLines.length === 0) return [...pictureLines, ...lines];
  if (widest(lines) + 2 + widest(pictureLines) > columns) return [...pictureLines, '', ...lines];
  const rows = Array.from({ length: Math.max(lines.length, pictureLines.length) }, (_, i) => [
    lines[i] ?? '',
    pictureLines[i] ?? '',
  ]);
  return table(rows).split('\n');
}
