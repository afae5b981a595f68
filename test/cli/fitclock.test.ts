import { describe, expect, it } from 'vitest';
import { FitClock, type FitPlan, type FitStage } from '../../src/cli/fitclock.ts';

const plan: FitPlan = { images: 200, simulations: 120, power: 20, threads: 2 };

/** Plays a fit on a machine that is so many times slower than expected; the largest error of what was said to be left. */
function play(clock: FitClock, slowness: number, { known = false } = {}) {
  const all = clock.expectAll() * slowness;
  const said: { at: number; left: number }[] = [];
  let now = 0;
  for (const stage of clock.stages) {
    const total = { measure: 200, simulate: 120, train: 1, power: 20 }[stage];
    const step = (clock.expect(stage) * slowness) / total;
    for (let done = stage === 'train' ? 0 : 1; done <= total; done++) {
      if (stage !== 'train' || done > 0) now += step;
      clock.update({ stage, done, total, known: known ? done : 0 }, now);
      said.push({ at: now, left: clock.left(now) as number });
    }
  }
  return { all, said };
}

describe('FitClock', () => {
  it('knows only the stages that there are', () => {
    const list = (changed: Partial<FitPlan>): readonly FitStage[] => new FitClock({ ...plan, ...changed }).stages;
    expect(list({})).toEqual(['measure', 'simulate', 'train', 'power']);
    expect(list({ simulations: 0, power: 0 })).toEqual(['measure', 'train']);
    expect(list({ power: 0 })).toEqual(['measure', 'simulate', 'train']);
    // What causes are learnt from is report enough.
    expect(list({ power: 12 })).toEqual(['measure', 'simulate', 'train']);
  });

  it('says nothing of what nobody can know', () => {
    const clock = new FitClock({ ...plan, images: undefined });
    clock.update({ stage: 'measure', done: 5 }, 1);
    expect(clock.left(2)).toBeUndefined();
  });

  it.each([1, 5])('is right within a fifth from the first tenth on, on a machine %s times slower', (slowness) => {
    const { all, said } = play(new FitClock(plan), slowness);
    for (const { at, left } of said.filter(({ at }) => at > all / 10)) {
      expect(Math.abs(left - (all - at))).toBeLessThan(all / 5);
    }
    expect(said.at(-1)?.left).toBe(0);
  });

  it('is finite and never negative, also where nothing takes any time', () => {
    const clock = new FitClock(plan);
    expect(clock.left(0)).toBe(clock.expectAll());
    for (const { left } of play(clock, 0).said) {
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left).toBeLessThanOrEqual(clock.expectAll());
    }
  });

  it('does not take what was known from before for the pace of the machine', () => {
    const clock = new FitClock(plan);
    clock.update({ stage: 'measure', done: 200, total: 200, known: 200 }, 0.1);
    expect(clock.left(0.1)).toBeCloseTo(clock.expect('simulate') + clock.expect('train') + clock.expect('power'), 5);
  });

  it('expects more of larger images, more simulations and fewer threads', () => {
    const expectAll = (changed: Partial<FitPlan>) => new FitClock({ ...plan, ...changed }).expectAll();
    expect(expectAll({ pixels: 2e6 })).toBeGreaterThan(5 * expectAll({}));
    expect(expectAll({ threads: 8 })).toBeLessThan(expectAll({}));
    expect(expectAll({ simulations: 60 })).toBeLessThan(expectAll({}));
    // No 120 of 50 images can be looked at again.
    expect(expectAll({ images: 50, power: 0 })).toBe(expectAll({ images: 50, power: 0, simulations: 100 }));
  });
});
