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

  it('go through every cause once, half of them on a part of the image, in all severities over ten images', () => {
    const plans = Array.from({ length: 10 }, (_, image) => planSimulations(image, 1));
    for (const plan of plans) {
      expect(plan.flatMap(({ cause }) => cause ?? [])).toEqual(corruptions.map(({ name }) => name));
      expect(plan.filter(({ cause }) => cause === undefined)).toHaveLength(4);
    }
    for (const { name } of corruptions) {
      const looks = plans.map((plan) => plan.find(({ cause }) => cause === name)!);
      expect(looks.filter(({ crop }) => crop)).toHaveLength(5);
      expect(new Set(looks.map(({ severity }) => severity))).toEqual(new Set([1, 2, 3, 4, 5]));
    }
  });
});
