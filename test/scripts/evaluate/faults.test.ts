import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { applyFault, describeFault, faultNames, findSimulated } from '../../../scripts/evaluate/faults.ts';
import { corruptions } from '../../../src/image/corruptions/corruptions.ts';
import { renderFrame } from '../../fixtures/camera.ts';

const frame = renderFrame(3, { width: 160, height: 96 });
const changed = (data: Uint8Array) => data.filter((value, i) => value !== frame.data[i]).length;

describe('faults that the evaluation alone knows', () => {
  it('are described, and most are unseen; the others say which simulated cause shows the same', () => {
    const known = corruptions.map(({ name }) => name);
    const simulated = faultNames.flatMap((name) => findSimulated(name) ?? []);
    expect(faultNames.length - simulated.length).toBeGreaterThanOrEqual(12);
    for (const cause of simulated) expect(known).toContain(cause);
    for (const name of faultNames) {
      expect(known).not.toContain(name);
      expect(describeFault(name)).toMatch(/^[A-Z].*\.$/);
    }
  });

  it.each(faultNames)('%s changes a picture, the same for a seed, and leaves the given pixels', (name) => {
    const before = frame.data.slice();
    const spoilt = applyFault({ ...frame, data: Buffer.from(frame.data.buffer) }, name, 3, 1);
    expect(spoilt).toHaveLength(frame.data.length);
    expect(changed(spoilt)).toBeGreaterThan(0);
    expect(applyFault(frame, name, 3, 1)).toEqual(spoilt);
    expect(frame.data).toEqual(before);
  });

  it('are drawn by no code that fit could learn from', async () => {
    const folder = join(import.meta.dirname, '../../../src');
    const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.ts'));
    const sources = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    expect(files.length).toBeGreaterThan(100);
    expect(sources.filter((source) => source.includes('scripts/evaluate'))).toEqual([]);
  });

  it('limited range puts black at 16 and white at 235', () => {
    const pixels = { data: Uint8Array.of(0, 255, 128), width: 1, height: 1 };
    expect([...applyFault(pixels, 'limitedRange', 5, 1)]).toEqual([16, 235, 126]);
  });

  it('a wrong stride wraps every row by more pixels than the one above', () => {
    const data = Uint8Array.from({ length: 24 }, (_, i) => Math.floor(i / 3) % 4);
    const out = applyFault({ data, width: 4, height: 2 }, 'stride', 1, 1);
    const row = (y: number) => Array.from({ length: 4 }, (_, x) => out[(y * 4 + x) * 3]);
    expect(row(0)).toEqual([0, 1, 2, 3]);
    expect(row(1)).toEqual([2, 3, 0, 1]);
  });
});
