import { describe, expect, it } from 'vitest';
import { findEdges, halve, View, ViewWatch } from '../../src/drift/view.ts';
import type { Frame } from '../../src/image/frame.ts';
import { drawSketch } from '../../src/image/sketch.ts';
import { learnScene, type Pose, Scene, type SceneOptions } from '../fixtures/scene.ts';

const readEdges = (frame: Frame) => findEdges(halve(drawSketch(frame)));

/** What is said of a camera whose view changes after 100 images, and after how many images more. */
function watch(change: (scene: Scene, image: number) => Frame, options: SceneOptions = {}, images = 140) {
  const { scene, sketches } = learnScene(options);
  const view = new ViewWatch();
  for (const sketch of sketches) expect(view.observe(sketch)).toBeUndefined();
  for (let image = 100; image < images; image++) {
    const found = view.observe(drawSketch(change(scene, image)));
    if (found) return { ...found, after: image - 99 };
  }
  return undefined;
}
const moveBy = (pose: Pose) => (scene: Scene, image: number) => scene.take(image, pose);

describe('View', () => {
  it.each<[Pose]>([
    [{ right: 0.01 }],
    [{ down: -0.02 }],
    [{ right: 0.05, down: 0.03 }],
    [{ right: -0.3 }],
    [{ turn: 2 }],
    [{ zoom: 0.04 }],
    [{ right: 0.02, turn: -1, zoom: -0.02 }],
  ])('tells the pose that was painted: %o', (pose) => {
    const scene = new Scene({ noise: 2, traffic: 2 });
    const found = new View(readEdges(scene.take(0))).register(readEdges(scene.take(50, pose)));
    const { right = 0, down = 0, turn = 0, zoom = 0 } = pose;
    expect(found.right).toBeCloseTo(right, 2);
    expect(found.down).toBeCloseTo(down, 2);
    expect(Math.abs(found.turn - turn)).toBeLessThan(0.4);
    expect(Math.abs(found.zoom - zoom)).toBeLessThan(0.01);
  });
});

describe('ViewWatch', () => {
  it.each<[Pose, string, RegExp]>([
    [{ right: 0.01 }, 'moved', /shifted by (0\.[89]|1\.[012]) % of its width to the right/],
    [{ right: -0.05 }, 'moved', /shifted by (4\.[89]|5\.[012]) % of its width to the left/],
    [{ down: 0.1 }, 'moved', /of its width down/],
    [{ turn: 2 }, 'turned', /by (1\.[789]|2\.[0123]) degrees/],
    [{ zoom: 0.05 }, 'zoomed', /by (4|5)\.\d %, and shows things closer/],
  ])('tells a camera that stands otherwise: %o', (pose, kind, text) => {
    const found = watch(moveBy(pose));
    expect(found).toMatchObject({ kind, text: expect.stringMatching(text) });
    expect(found?.after).toBeLessThanOrEqual(20);
  });

  it.each<[string, (scene: Scene, image: number) => Frame]>([
    ['by a twentieth', moveBy({ right: 0.05 })],
    ['by three degrees', moveBy({ turn: 3 })],
    ['upside down', (scene, image) => ({ ...scene.take(image), data: scene.take(image).data.reverse() })],
  ])('tells a change that is far at once: %s', (_, change) => {
    expect(watch(change)?.after).toBeLessThanOrEqual(6);
  });

  it('tells a camera that shakes', () => {
    const shake = (image: number) => 0.015 * Math.sin(image * 2.1);
    const found = watch((scene, image) => scene.take(image, { right: shake(image), down: 0.7 * shake(image + 5) }));
    expect(found?.kind).toMatch(/shaken|moved/);
  });

  it.each([
    ['mirrored', (x: number, y: number) => [319 - x, y]],
    ['upsideDown', (x: number, y: number) => [x, 179 - y]],
    ['rotated', (x: number, y: number) => [319 - x, 179 - y]],
  ] as const)('tells a picture that is %s', (kind, find) => {
    const found = watch((scene, image) => {
      const frame = scene.take(image);
      const data = frame.data.map((_, i) => {
        const [x, y] = find(i % 320, Math.floor(i / 320));
        return frame.data[y * 320 + x];
      });
      return { ...frame, data };
    });
    expect(found).toMatchObject({ kind });
    expect(found?.after).toBeLessThanOrEqual(20);
  });

  it.each<[string, SceneOptions]>([
    ['in traffic and wind', { traffic: 6 }],
    ['as the light goes', { light: (image) => 1 - 0.004 * Math.max(0, image - 60) }],
    ['in noise', { noise: 6 }],
  ])('says nothing of a camera that stands %s', (_, options) => {
    expect(watch(moveBy({}), options, 170)).toBeUndefined();
  });

  it('says nothing of a camera that moves', () => {
    const scene = new Scene();
    const view = new ViewWatch();
    for (let image = 0; image < 200; image++) {
      const pose = { right: ((image * 0.037) % 1) - 0.5, down: 0.2 * Math.sin(image), zoom: 0.3 * Math.sin(image / 3) };
      expect(view.observe(drawSketch(scene.take(image, pose)))).toBeUndefined();
    }
  });
});
