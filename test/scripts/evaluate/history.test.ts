import sharp from 'sharp';
import { expect, it } from 'vitest';
import { historyReport, once, pristine, tryHistory, twice } from '../../../scripts/evaluate/history.ts';
import { loadCore } from '../../../src/core/index.ts';
import { renderFrame } from '../../fixtures/camera.ts';

it('the history of a picture is tried at every quality and pair, and reported with counts that add up', async () => {
  const { data, width, height } = renderFrame(3, { width: 320, height: 240 });
  const frame = await pristine(
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer(),
  );
  expect(frame).toEqual({ data: new Uint8Array(data), width, height, channels: 3 });
  const trials = await tryHistory(loadCore(), frame, 0);
  expect(trials).toHaveLength(1 + 2 * once.length + 2 * twice.length);
  // One trial of each pair has the grid of the file, the other has not.
  expect(trials.filter(({ passes, crop }) => passes.length === 2 && crop[0] + crop[1] > 0)).toHaveLength(twice.length);
  const [head, , ...rows] = historyReport([trials])
    .split('\n')
    .filter((line) => line.startsWith('|'));
  expect(head).toContain('quality within 1');
  expect(rows.filter((row) => /^\| +(\d+|all) +\| +(1|12) \|/.test(row))).toHaveLength(once.length + 1);
  const right = rows.find((row) => row.startsWith('| 60, then 95') || row.includes(' 60, then 95 | another'));
  expect(right).toMatch(/\| +1 \| 100\.0 % \| +100\.0 % \| +100\.0 % \|$/);
});

it('anything but a PNG is halved', async () => {
  const jpeg = await sharp({ create: { width: 64, height: 48, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer();
  expect(await pristine(jpeg)).toMatchObject({ width: 32, height: 24 });
});
