import { describe, expect, it } from 'vitest';
import { proposeAreas, writeAreas } from '../../src/fit/burntin.ts';
import { Canvas } from '../../src/image/corruptions/canvas.ts';
import { renderFrame } from '../fixtures/camera.ts';

const size = { width: 480, height: 272 };
const readLight = (data: Uint8Array) =>
  Uint8Array.from({ length: data.length / 3 }, (_, p) => (data[3 * p] + 2 * data[3 * p + 1] + data[3 * p + 2]) >> 2);

/** Rendered once: that is what this test costs. */
const drive = Array.from({ length: 18 }, (_, i) => renderFrame(29 * i, size).data);

/** Frames of a camera, driving or standing, each drawn on. */
function film(isDriving: boolean, draw: (canvas: Canvas, i: number) => void = () => {}): Uint8Array[] {
  return drive.map((own, i) => {
    const shown = isDriving ? own : drive[0];
    // The noise of a sensor.
    const data = shown.map((value, at) => Math.min(255, value + ((at * 7919 + i * 104729) % 5)));
    const canvas = new Canvas({ ...size, data });
    draw(canvas, i);
    return readLight(canvas.data);
  });
}
/** On a plain ground, as recorders write it. */
const clock = (canvas: Canvas, i: number) => {
  const [minutes, seconds] = [7 * i, 37 * i].map((value) => String(value % 60).padStart(2, '0'));
  canvas.fill(14, 230, 160, 33, [0, 0, 0]);
  canvas.text(`10:${minutes}:${seconds}`, 20, 236, 3, [255, 255, 255]);
};
const logo = (canvas: Canvas) => canvas.text('CAM 7', 370, 20, 3, [255, 255, 255], [0, 0, 0]);
const propose = (lights: Uint8Array[]) => proposeAreas(lights, size.width, size.height);
const holds = (box: { left: number; top: number; right: number; bottom: number }, x: number, y: number) =>
  x / 480 >= box.left && x / 480 < box.right && y / 272 >= box.top && y / 272 < box.bottom;

describe('what looks burnt in', () => {
  it('is nothing where nothing is', () => {
    expect(propose(film(true))).toEqual([]);
    expect(propose(film(false))).toEqual([]);
  });

  it('is a clock, standing or driving, and no more than its surroundings', () => {
    for (const isDriving of [true, false]) {
      const found = propose(film(isDriving, clock));
      expect(found, `${isDriving}`).toHaveLength(1);
      if (!isDriving) expect(found[0].kind).toBe('flipping');
      // The tens of the minutes and the last second, which change.
      for (const x of [20 + 3 * 18 + 6, 20 + 7 * 18 + 6]) expect(holds(found[0], x, 247)).toBe(true);
      expect((found[0].right - found[0].left) * (found[0].bottom - found[0].top)).toBeLessThan(0.06);
    }
  });

  it('is a name or logo that never changes, where the scene does', () => {
    const [found, ...others] = propose(film(true, logo));
    expect(others).toEqual([]);
    expect(found.kind).toBe('still');
    for (const x of [372, 450]) expect(holds(found, x, 30)).toBe(true);
    // Nothing tells a logo from a wall where the camera stands still.
    expect(propose(film(false, logo))).toEqual([]);
  });

  it('is told from enough images only, and written as fit takes it', () => {
    expect(propose(film(true, logo).slice(0, 15))).toEqual([]);
    expect(
      writeAreas([
        { left: 0, top: 0.5, right: 0.25, bottom: 1 },
        { left: 0.1, top: 0, right: 1, bottom: 0.02 },
      ]),
    ).toBe('0,0.5,0.25,1;0.1,0,1,0.02');
  });
});
