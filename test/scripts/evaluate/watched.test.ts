import { describe, expect, it } from 'vitest';
import { type Watched, watchedReport } from '../../../scripts/evaluate/watched.ts';
import { cameraFaults, renderedCameras, takeImage } from '../../../scripts/evaluate/watchedscenes.ts';
import { drawSketch } from '../../../src/image/sketch.ts';

const front = renderedCameras[0];
const first = front.start + 10;

/** Mean difference of two pictures, over their small ones. */
function differ(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;
}

describe('rendered cameras', () => {
  it('are the same again, by day, at dusk and at night', () => {
    const light = renderedCameras.map((camera) => {
      const frame = takeImage(camera, camera.start);
      expect(frame.data).toEqual(takeImage(camera, camera.start).data);
      const sketch = drawSketch(frame);
      return sketch.reduce((sum, value) => sum + value, 0) / sketch.length;
    });
    const [day, dusk, , night] = light;
    expect(day).toBeGreaterThan(90);
    expect(dusk).toBeGreaterThan(24);
    expect(dusk).toBeLessThan(0.75 * day);
    expect(night).toBeLessThan(24);
  });

  it.each(cameraFaults)('$name spoils the picture, and is the same again', async (fault) => {
    expect(cameraFaults).toHaveLength(14);
    const seen = [];
    for (const image of [first, first + 5]) seen.push((await fault.draw(front, image, first)).data);
    expect(seen[0]).toEqual((await fault.draw(front, first, first)).data);
    const stays = ['frozen', 'frozen, clock ticks', 'stuck block', 'placeholder'].includes(fault.name);
    const clean = takeImage(front, first + 5);
    expect(differ(seen[1], clean.data)).toBeGreaterThan(0.3);
    expect(differ(seen[0], seen[1]) < 0.2).toBe(stays && fault.name !== 'stuck block');
  });
});

it('the report counts what was noticed in time, and what was named right', () => {
  const fault = cameraFaults[0];
  const found: Watched = {
    noticed: [
      { camera: 'front', fault, delay: 10, said: 'frozen' },
      { camera: 'yard', fault, delay: 12, said: 'moved' },
      { camera: 'road', fault },
    ],
    calm: [{ camera: 'front', images: 200, doubted: 2, alarms: 1, why: ['the camera was moved'] }],
    uncheckable: [{ camera: 'gate', text: 'standsStill: too dark' }],
    cost: { sketchMs: 0.2, observeMs: 0.1, bytes: 23_000 },
  };
  const report = watchedReport(found);
  expect(report).toContain('| frozen | 15 | 2 of 3 | road | 10 to 12 | 1 of 2 | frozen, moved |');
  expect(report).toContain('- gross: noticed in time 67 % of 3, named right 50 %');
  expect(report).toContain('| front | 200 | 1 | the camera was moved | 1 % |');
  expect(report).toContain('23 kB');
});
