import { describe, expect, it } from 'vitest';
import type { Sample } from '../../src/fit/samples.ts';
import { choose, chooseFrom, planSimulations } from '../../src/fit/secondlook.ts';
import { corruptions } from '../../src/image/corruptions/corruptions.ts';

const samples = Array.from({ length: 40 }, (_, i): Sample => {
  return { id: `image ${i}`, path: `${i}`, group: '', fold: 0, statistics: new Float64Array(), properties: {} };
});

describe('images that are looked at again', () => {
  it('are the same for a seed, whatever the order of the images', () => {
    const chosen = choose(samples, 10, 1);
    expect(chosen).toHaveLength(10);
    expect(choose(samples.toReversed(), 10, 1)).toEqual(chosen);
    expect(choose(samples, 10, 2)).not.toEqual(chosen);
  });

  it('are those that can be read once more', () => {
    const findSource = (id: string) => (id.endsWith('7') ? id : undefined);
    const chosen = chooseFrom(samples, { seed: 1, count: 10, findSource });
    expect(chosen.map(({ id }) => id).sort()).toEqual(['image 17', 'image 27', 'image 37', 'image 7']);
  });

  it('go through every cause each where they are few, in all severities over five images', () => {
    const plans = Array.from({ length: 5 }, (_, image) => planSimulations(image, { seed: 1, images: 10 }));
    for (const { name } of corruptions) {
      const looks = plans.flatMap((plan) => plan.find(({ cause }) => cause === name) ?? []);
      expect(new Set(looks.map(({ severity }) => severity))).toEqual(new Set([1, 2, 3, 4, 5]));
    }
  });

  it('go through half of the causes each where they are many, through all of them by pairs, in all severities over ten images', () => {
    const plans = Array.from({ length: 10 }, (_, image) => planSimulations(image, { seed: 1, images: 120 }));
    const names = corruptions.map(({ name }) => name);
    for (const [image, plan] of plans.entries()) {
      const causes = [plan, plans[image ^ 1]].flatMap((one) => one.flatMap(({ cause }) => cause ?? []));
      expect(causes.sort()).toEqual(names.toSorted());
      // Clean once whole, and in parts, which show what else the camera might see.
      const clean = plan.filter(({ cause, hides }) => cause === undefined && !hides);
      expect(clean.map(({ crop }) => crop)).toEqual([false, true, true, true]);
      expect(plan.filter(({ crop }) => crop)).toHaveLength(3);
      // And with parts hidden, from which it is learnt what is told by place.
      expect(plan.some(({ hides }) => hides)).toBe(true);
    }
    for (const name of names) {
      const looks = plans.flatMap((plan) => plan.find(({ cause }) => cause === name) ?? []);
      expect(looks).toHaveLength(5);
      expect(new Set(looks.map(({ severity }) => severity))).toEqual(new Set([1, 2, 3, 4, 5]));
    }
  });
});
