import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { drawSheet } from '../../../src/cli/demo/contactsheet.ts';
import { decode } from '../../../src/image/decode.ts';
import type { Frame } from '../../../src/image/frame.ts';

function flat(width: number, height: number, ...colour: [number, number, number]): Frame {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3];
  return { data, width, height, channels: 3 };
}

/** Through the product's own decoder, whose import has shut the SVG loader that libvips would need for text. */
async function pixels(png: Buffer) {
  const { frame } = await decode(png);
  return { ...frame, at: (x: number, y: number) => [...frame.data.subarray((y * frame.width + x) * 3).subarray(0, 3)] };
}

const paper = [250, 250, 248];
const blue = [20, 40, 200] as [number, number, number];

describe('drawSheet', () => {
  it('is an RGB PNG with a cell for each frame, in rows', async () => {
    const cells = Array.from({ length: 5 }, (_, i) => ({ frame: flat(40, 30, 50 * i, 0, 0), label: `cell ${i}` }));
    const png = await drawSheet({ title: '', columns: 2, cells, thumbnailWidth: 40 });
    expect(await sharp(png).metadata()).toMatchObject({ format: 'png', channels: 3, width: 2 * (40 + 12) });
    const { at, height } = await pixels(png);
    expect(at(6 + 20, 9 + 15)).toEqual([0, 0, 0]);
    expect(at(52 + 6 + 20, 9 + 15)).toEqual([50, 0, 0]);
    const pitch = height / 3 - 2;
    expect(at(6 + 20, Math.round(9 + pitch + 15))).toEqual([100, 0, 0]);
    expect(at(6 + 20, Math.round(9 + 2 * pitch + 15))).toEqual([200, 0, 0]);
    expect(at(52 + 6 + 20, Math.round(9 + 2 * pitch + 15))).toEqual(paper);
  });

  it('keeps the aspect ratio of frames of different sizes', async () => {
    const cells = [
      { frame: flat(200, 50, ...blue), label: 'wide' },
      { frame: flat(50, 100, ...blue), label: 'tall' },
    ];
    const { data, width, height } = await pixels(await drawSheet({ title: '', columns: 2, cells, thumbnailWidth: 48 }));
    const lit = (from: number, to: number) => {
      let count = 0;
      for (let y = 0; y < height; y++) {
        for (let x = from; x < to; x++) if (data[(y * width + x) * 3 + 2] === 200) count++;
      }
      return count;
    };
    expect(lit(0, width / 2)).toBe(48 * 12);
    expect(lit(width / 2, width)).toBe(48 * 96);
  });

  it('frames a cell in the colour of its tone', async () => {
    const tones = ['pass', 'warn', 'block'] as const;
    const cells = tones.map((tone) => ({ frame: flat(32, 32, ...blue), label: tone, tone }));
    const { at } = await pixels(await drawSheet({ title: '', columns: 3, cells, thumbnailWidth: 32 }));
    const borders = [0, 1, 2].map((i) => at(i * 44 + 4, 20));
    expect(borders[0][1]).toBeGreaterThan(borders[0][0]); // green
    expect(borders[1][0]).toBeGreaterThan(200); // amber
    expect(borders[1][1]).toBeGreaterThan(120);
    expect(borders[2][0]).toBeGreaterThan(4 * borders[2][1]); // red
    const plain = await pixels(
      await drawSheet({
        title: '',
        columns: 1,
        cells: [{ frame: flat(32, 32, ...blue), label: '' }],
        thumbnailWidth: 32,
      }),
    );
    expect(plain.at(4, 20)).toEqual(paper);
  });

  /** The dark pixels under the thumbnail as rows of # and dots, cropped. */
  async function readText(label: string): Promise<string[]> {
    const png = await drawSheet({
      title: '',
      columns: 1,
      cells: [{ frame: flat(64, 20, ...blue), label }],
      thumbnailWidth: 64,
    });
    const { data, width, height } = await pixels(png);
    const rows: string[] = [];
    for (let y = 32; y < height; y++) {
      rows.push(Array.from({ length: width }, (_, x) => (data[(y * width + x) * 3] < 100 ? '#' : '.')).join(''));
    }
    const left = Math.min(...rows.map((row) => (row.includes('#') ? row.indexOf('#') : width)));
    const right = Math.max(...rows.map((row) => row.lastIndexOf('#')));
    return rows.filter((row) => row.includes('#')).map((row) => row.slice(left, right + 1));
  }

  it('sets labels in its own letters, proportionally', async () => {
    expect(await readText('TI')).toEqual([
      '#####.###',
      '..#....#.',
      '..#....#.',
      '..#....#.',
      '..#....#.',
      '..#....#.',
      '..#...###',
    ]);
  });

  it('has a different glyph for each printable character', async () => {
    const seen = new Map<string, string>();
    for (let code = 33; code < 127; code++) {
      const character = String.fromCharCode(code);
      const shape = (await readText(`.${character}.`)).join('\n');
      expect(seen.get(shape), `${character} looks like`).toBeUndefined();
      seen.set(shape, character);
    }
    expect(await readText('\u00e9')).toEqual(await readText('?'));
  });

  it('wraps long labels to two lines and cuts the rest', async () => {
    expect(await readText('a')).toHaveLength(5);
    const two = await readText('severity 3 with some more');
    const three = await readText('severity 3 with some more and much more than fits into two lines');
    expect(two.length).toBeGreaterThan(9);
    expect(three.length).toBeLessThanOrEqual(18);
    for (const row of three) expect(row.length).toBeLessThanOrEqual(64);
  });

  it('refuses what is no grid and frames without three channels', async () => {
    const cell = { frame: flat(8, 8, ...blue), label: 'x' };
    const sheet = { title: 'x', columns: 1, cells: [cell], thumbnailWidth: 64 };
    const invalid = { code: 'STOPLINE_ERR_OPTION_INVALID' };
    await expect(drawSheet({ ...sheet, cells: [] })).rejects.toMatchObject(invalid);
    await expect(drawSheet({ ...sheet, columns: 0 })).rejects.toMatchObject(invalid);
    await expect(drawSheet({ ...sheet, columns: 1.5 })).rejects.toMatchObject(invalid);
    await expect(drawSheet({ ...sheet, thumbnailWidth: 3 })).rejects.toMatchObject(invalid);
    await expect(
      drawSheet({ ...sheet, cells: [{ ...cell, frame: { ...cell.frame, channels: 4 } }] }),
    ).rejects.toMatchObject({ code: 'STOPLINE_ERR_FRAME_INVALID' });
  });
});
