import { describe, expect, it } from 'vitest';
import { type SavedSight, SightWatch } from '../../src/drift/sight.ts';
import { drawSketch } from '../../src/image/sketch.ts';
import { learnScene } from '../fixtures/scene.ts';

const freezeAfter = 10;
const { scene, sketches } = learnScene({ seed: 5 });

/** What is kept, as it comes back from a file. */
function reopen(watch: SightWatch): SightWatch {
  return new SightWatch(freezeAfter, JSON.parse(JSON.stringify(watch.save())) as SavedSight);
}

describe('what is seen of a source', () => {
  it('is nothing before it was asked', () => {
    expect(new SightWatch(freezeAfter).save()).toBeUndefined();
  });

  it('takes no memory for pictures before one has come, and little for the first', () => {
    const held = () => process.memoryUsage().arrayBuffers;
    const before = held();
    const watches = Array.from({ length: 100 }, () => new SightWatch(freezeAfter));
    for (const watch of watches) watch.repeat();
    expect(held() - before).toBeLessThanOrEqual(0);
    watches[0].observe(sketches[0]);
    // In base64: what one picture leaves is less than half of what a source is learnt by.
    expect(JSON.stringify(watches[0].save()).length).toBeLessThan(26_000);
  });

  it('sees a loop whose pictures come while the ring grows', () => {
    const whole = new SightWatch(freezeAfter);
    let kept = new SightWatch(freezeAfter);
    for (let image = 0; image < 120; image++) {
      whole.observe(sketches[image % 37]);
      kept.observe(sketches[image % 37]);
      // At every image that is the last for which there is room, and at the next.
      if ([7, 8, 15, 16, 31, 32, 63, 64].includes(image)) kept = reopen(kept);
    }
    expect(whole.standing).toMatchObject({ kind: 'loop', pictures: 37 });
    expect(kept.save()).toEqual(whole.save());
  });

  it('keeps no view of a camera that moves, and says so after a restart', () => {
    const watch = new SightWatch(freezeAfter);
    for (let image = 0; image < 90; image++) {
      const pose = { right: ((image * 0.037) % 1) - 0.5, down: 0.2 * Math.sin(image), zoom: 0.3 * Math.sin(image / 3) };
      watch.observe(drawSketch(scene.take(image, pose)));
    }
    const saved = watch.save() as SavedSight;
    expect(saved.view).toMatchObject({ isMoving: true, sum: '' });
    const again = reopen(watch);
    again.observe(sketches[0]);
    expect(again.uncheckable).toContainEqual({ question: 'view', why: expect.stringMatching(/^the camera moves/) });
    expect(again.save()?.view).toMatchObject({ isMoving: true, images: 91 });
  });

  it.each([30, 50, 90])('goes on after a restart at image %d as if there had been none', (cut) => {
    const whole = new SightWatch(freezeAfter);
    let kept = new SightWatch(freezeAfter);
    for (const [image, sketch] of sketches.entries()) {
      if (image === cut) kept = reopen(kept);
      whole.observe(sketch);
      kept.observe(sketch);
      expect(kept.uncheckable).toEqual(whole.uncheckable);
    }
    for (let image = 100; image < 124; image++) {
      const sketch = drawSketch(scene.take(image, { right: 0.05 }));
      whole.observe(sketch);
      kept.observe(sketch);
      expect(kept.sight).toEqual(whole.sight);
    }
    expect(kept.sight?.kind).toBe('moved');
    // What was wrong is still said before the next image comes.
    expect(reopen(kept).sight).toEqual(kept.sight);
    expect(JSON.stringify(kept.save()).length).toBeLessThan(38_000);
  });

  it('is learnt again from what another version kept', () => {
    const watch = new SightWatch(freezeAfter);
    for (const sketch of sketches) watch.observe(sketch);
    const saved = watch.save() as SavedSight;
    const standing = { ...saved.standing, bytes: 'AAAA' };
    const again = new SightWatch(freezeAfter, { ...saved, standing, view: { ...saved.view, sum: '' } });
    again.observe(sketches[0]);
    expect(again.uncheckable.map(({ question }) => question)).toEqual(['standsStill', 'view']);
  });
});
