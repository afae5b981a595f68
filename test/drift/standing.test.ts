import { describe, expect, it } from 'vitest';
import { StandingWatch } from '../../src/drift/standing.ts';
import type { Frame } from '../../src/image/frame.ts';
import { drawSketch } from '../../src/image/sketch.ts';
import { addNoise, learnScene, Scene, type SceneOptions } from '../fixtures/scene.ts';

const freezeAfter = 10;

/** What is said after 100 images of a live camera, and after how many images more. */
function watch(change: (scene: Scene, image: number) => Frame, options: SceneOptions = {}, images = 220) {
  const { scene, sketches } = learnScene(options);
  const standing = new StandingWatch(freezeAfter);
  for (const sketch of sketches) expect(standing.observe(sketch)).toBeUndefined();
  for (let image = 100; image < images; image++) {
    const found = standing.observe(drawSketch(change(scene, image)));
    if (found) return { ...found, after: image - 99 };
  }
  return undefined;
}

/** The second picture over a part of the first: shares of width and height from the left and the top. */
function paste(frame: Frame, over: Frame, across: number, down: number): Frame {
  const data = frame.data.map((value, i) => {
    const isOver = i % frame.width < across * frame.width && Math.floor(i / frame.width) < down * frame.height;
    return isOver ? over.data[i] : value;
  });
  return { ...frame, data };
}

describe('StandingWatch', () => {
  it.each([1, 2, 3])('sees a frozen picture under noise of %i', (noise) => {
    const found = watch((scene, image) => addNoise(scene.paint(100), noise, image));
    expect(found).toMatchObject({ kind: 'frozen', share: 1 });
    expect(found?.after).toBeLessThanOrEqual(15);
  });

  it('sees it under a clock that goes on, with noise', () => {
    const clocked = { hasClock: true };
    const found = watch(
      (scene, image) => paste(addNoise(scene.paint(100), 2, image), scene.paint(image), 0.19, 0.08),
      clocked,
    );
    expect(found).toMatchObject({ kind: 'frozen' });
    expect(found?.after).toBeLessThanOrEqual(15);
  });

  it.each([2, 7, 30])('sees a loop of %i pictures under noise', (pictures) => {
    const found = watch((scene, image) => addNoise(scene.paint(100 + (image % pictures)), 2, image));
    expect(found).toMatchObject({ kind: 'loop', pictures });
    expect(found?.after).toBeLessThanOrEqual(3 * pictures + 15);
  });

  it('sees that a part stands still, and how much of the picture it is', () => {
    const found = watch((scene, image) => paste(scene.take(image), addNoise(scene.paint(100), 1, image), 1, 0.5), {
      traffic: 6,
    });
    expect(found).toMatchObject({ kind: 'part' });
    expect(found?.share).toBeGreaterThan(0.05);
  });

  it.each<[string, SceneOptions]>([
    ['by day', {}],
    ['in the dark', { light: () => 0.2 }],
    ['of six cars at a time', { traffic: 6 }],
  ])('sees at once that nothing comes but a clock, as noise that stands still tells: %s', (_, options) => {
    const found = watch((scene, image) => paste(scene.take(100), scene.paint(image), 0.19, 0.08), {
      ...options,
      hasClock: true,
    });
    expect(found).toMatchObject({ kind: 'frozen', share: 1 });
    expect(found?.after).toBeLessThanOrEqual(12);
  });

  it.each<[string, SceneOptions]>([
    ['by day', {}],
    ['in the dark', { light: () => 0.2 }],
  ])('sees a block that a decoder keeps, a sixteenth of the picture: %s', (_, options) => {
    const found = watch((scene, image) => {
      const [now, kept] = [scene.take(image), scene.take(100)];
      const isKept = (x: number, y: number) => x >= 192 && x < 272 && y >= 108 && y < 153;
      const data = now.data.map((value, i) => (isKept(i % 320, Math.floor(i / 320)) ? kept.data[i] : value));
      return { ...now, data };
    }, options);
    expect(found).toMatchObject({ kind: 'part' });
    expect(found?.after).toBeLessThanOrEqual(25);
    expect(found?.share).toBeGreaterThan(0.03);
    expect(found?.share).toBeLessThan(0.0625);
  });

  // Where nothing passes through the part that is live, all stands still.
  it.each([
    [0.5, 'part'],
    [0.85, 'frozen'],
  ])('sees as soon that a large part is still, and only the rest is live: %f', (share, kind) => {
    const found = watch((scene, image) => paste(scene.take(image), scene.take(100), share, 1), { traffic: 6 });
    expect(found).toMatchObject({ kind });
    expect(found?.after).toBeLessThanOrEqual(12);
    expect(found?.share).toBeGreaterThan(share - 0.1);
  });

  it('says nothing where a codec repeats what does not move, as it did while it was learnt', () => {
    const scene = new Scene({ traffic: 2 });
    const standing = new StandingWatch(freezeAfter);
    let sent = scene.take(0);
    for (let image = 0; image < 200; image++) {
      const now = scene.take(image);
      // Whole pictures come every eighth image; between them only blocks that changed much.
      const old = sent;
      const isSent = (at: number) => image % 8 === 0 || Math.abs(now.data[at] - old.data[at]) > 16;
      sent = { ...now, data: now.data.map((value, i) => (isSent(i) ? value : old.data[i])) };
      expect(standing.observe(drawSketch(sent))).toBeUndefined();
    }
  });

  it.each<[string, SceneOptions]>([
    ['of traffic', { traffic: 4 }],
    ['of little traffic', { traffic: 1 }],
    ['in the evening', { light: (image) => 1.1 - 0.004 * image }],
    ['with a clock', { hasClock: true }],
  ])('says nothing of a live camera %s', (_, options) => {
    expect(watch((scene, image) => scene.take(image), options, 170)).toBeUndefined();
  });

  it('says that a loop in the dark, and one picture under new noise, are not told', () => {
    const standing = new StandingWatch(freezeAfter);
    const scene = new Scene({ light: () => 0.2 });
    for (let image = 0; image < 80; image++) standing.observe(drawSketch(scene.take(image)));
    expect(standing.blind).toMatch(/^in the dark only a picture whose noise stands still/);
    for (let image = 80; image < 140; image++) {
      expect(standing.observe(drawSketch(addNoise(scene.paint(80 + (image % 3)), 2, image)))).toBeUndefined();
    }
  });

  it('says nothing of a source that was never seen to move, nor in the dark', () => {
    expect(watch((scene, image) => addNoise(scene.paint(0), 2, image), { light: () => 0.05 })).toBeUndefined();
    const standing = new StandingWatch(freezeAfter);
    const scene = new Scene();
    const still = scene.paint(0);
    for (let image = 0; image < 150; image++) {
      expect(standing.observe(drawSketch(addNoise(still, 2, image)))).toBeUndefined();
    }
  });
});
