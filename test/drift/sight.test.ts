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
