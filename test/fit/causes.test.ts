import { probit } from 'simple-statistics';
import { describe, expect, it } from 'vitest';
import { CauseRows, calibrateDiagnosis, type View } from '../../src/fit/causes.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { causeEvidence, diagnose } from '../../src/profile/diagnosis.ts';
import type { Networks } from '../../src/profile/maths/network.ts';

const size = 20;
const random = new Random(3);
const normal = () => probit(random.uniform() || 0.5);
const draw = () => Float64Array.from({ length: size }, normal);
const shift = (x: Float64Array, at: number, by: number) => x.map((value, i) => (i === at ? value + by : value));

/** Two causes: one raises the first number by four deviations, the other one lowers the second. */
const clean = Array.from({ length: 200 }, draw);
const views = Array.from({ length: 80 }, (_, i): View[] => {
  const x = draw();
  const view = { regime: 0, view: `${i}`, isPart: false };
  return [
    { ...view, x },
    { ...view, x: shift(x, 0, 4), cause: 'first' },
    { ...view, x: shift(x, 1, -4), cause: 'second' },
  ];
}).flat();
const model = { ...new CauseRows({ clean, views }).fit(['first', 'second']), unknown: Float64Array.of(0, 0, 0, 0, -5) };

describe('CauseRows', () => {
  it('tells one cause from the other, and both from clean images', () => {
    const likeliest = (x: Float64Array) => diagnose(model, causeEvidence(model, x), 3)[0].cause;
    let right = 0;
    for (let i = 0; i < 50; i++) {
      if (likeliest(shift(draw(), 0, 4)) === 'first') right++;
      if (likeliest(shift(draw(), 1, -4)) === 'second') right++;
    }
    // Four deviations apart in one direction each: an error of Phi(-2.8), one in 400, and what the fit adds.
    expect(right).toBeGreaterThan(90);
    const odds = Array.from({ length: 50 }, () => causeEvidence(model, draw()).logOdds);
    expect(odds.filter((value) => value < 0).length).toBeGreaterThan(40);
  });

  it('sees one number leave those that it always goes with, though alone it would not stand out', () => {
    const together = () => {
      // Not about zero, as statistics of parts of frames and of frames encoded again are not.
      const common = 2 + normal();
      return draw().map((value) => common + 0.3 * value);
    };
    const leave = (x: Float64Array) => shift(x, 3, 1.5);
    const reference = Array.from({ length: 200 }, together);
    const looks = Array.from({ length: 80 }, (_, i): View[] => {
      const x = together();
      const view = { regime: 0, view: `${i}`, isPart: false };
      return [
        { ...view, x },
        { ...view, x: leave(x), cause: 'first' },
        { ...view, x: shift(x, 8, -1.5), cause: 'second' },
      ];
    }).flat();
    const fitted = new CauseRows({ clean: reference, views: looks }).fit(['first', 'second']);
    const isSeen = (x: Float64Array) => causeEvidence(fitted, x).logOdds > 0;
    const drawn = Array.from({ length: 100 }, together);
    // Five deviations of what is its own, one and a half of all that it varies.
    expect(drawn.filter((x) => isSeen(leave(x))).length).toBeGreaterThan(90);
    expect(drawn.filter(isSeen).length).toBeLessThan(20);
  });

  it('trains as many networks as it is asked for, each from another beginning', () => {
    const [one] = new CauseRows({ clean, views }).fit(['first', 'second'], { networks: 1 }).classifier as Networks;
    const [first, second] = model.classifier as Networks;
    expect(model.classifier).toHaveLength(4);
    expect(one.hidden).toEqual(first.hidden);
    expect(second.hidden).not.toEqual(first.hidden);
  });
});

describe('calibrateDiagnosis', () => {
  it('softens logits that are too sure, and sharpens those that are too timid', () => {
    const diagnosed = (sureness: number) =>
      Array.from({ length: 200 }, (_, i) => ({
        logits: Float64Array.of(sureness, 0),
        // Right three times in four: logits of ln 3 would be calibrated.
        truth: i % 10 === 9 ? -1 : i % 4 === 3 ? 1 : 0,
        features: [i % 10 === 9 ? 3 : -3],
      }));
    const { temperature, unknown } = calibrateDiagnosis(diagnosed(4));
    expect(4 / temperature).toBeGreaterThan(0.9);
    expect(4 / temperature).toBeLessThan(1.4);
    expect(calibrateDiagnosis(diagnosed(0.5)).temperature).toBeLessThan(0.6);
    // The feature speaks for a cause that is not known.
    expect(unknown[0]).toBeGreaterThan(0);
  });
});
