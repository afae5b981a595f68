import { describe, expect, it } from 'vitest';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { parseRule } from '../../src/profile/blockrule.ts';
import { conformalPValue } from '../../src/profile/maths/ranks.ts';
import { createScorer, normalise } from '../../src/profile/score.ts';
import { decide, decideVerdict } from '../../src/profile/verdict.ts';
import { fitSynthetic, makeImage } from '../fixtures/synthetic.ts';

const promised = { warn: 0.05, block: 0.01 };

describe('decide', () => {
  it.each([
    [0.5, 'pass'],
    [0.0501, 'pass'],
    [0.05, 'warn'],
    [0.0101, 'warn'],
    [0.01, 'block'],
    [0, 'block'],
    // Nothing is known of such an image.
    [Number.NaN, 'block'],
  ])('a p-value of %d is %s', (pValue, verdict) => {
    expect(decide({ pValue, score: 1 }, promised)).toBe(verdict);
  });

  it('blocks what a rule cannot compare', () => {
    const rule = parseRule('score > 3');
    expect(decide({ pValue: 0.5, score: 2 }, promised, rule)).toBe('pass');
    expect(decide({ pValue: 0.5, score: 4 }, promised, rule)).toBe('block');
    expect(decide({ pValue: 0.5, score: Number.NaN }, promised, rule)).toBe('block');
    expect(decide({ pValue: Number.NaN, score: 2 }, promised, rule)).toBe('block');
    const flips = parseRule('expectedFlipRate > 0.1');
    expect(decide({ pValue: 0.5, score: 2, expectedFlipRate: Number.NaN }, promised, flips)).toBe('block');
  });
});

describe('a number that is none', () => {
  it('is beyond every score of the reference', () => {
    const sorted = Float64Array.of(0, 1, 2);
    expect(conformalPValue(sorted, Number.NaN)).toBe(1 / 4);
    const scales = [
      { median: 0, scale: 1 },
      { median: 0, scale: 1 },
    ];
    const [strange] = normalise(Float64Array.of(Number.NaN, 0), scales);
    expect(Number.isFinite(strange)).toBe(true);
    expect(strange).toBeGreaterThan(1e5);
    // A number that is missing says nothing, as before.
    expect(normalise(Float64Array.of(Number.NEGATIVE_INFINITY, 0), scales)[0]).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('decideVerdict', () => {
  const profile = fitSynthetic();
  const scorer = createScorer(
    profile,
    statistics.map(({ name }) => name),
  );

  it('says when its rates are expected by a fitted tail, and reaches below one in so many images', () => {
    expect(decideVerdict(profile, scorer, makeImage()).falseAlarmRate).toEqual(profile.falseAlarmRate.promised);
    const { promised: rates } = profile.falseAlarmRate;
    const byTail = { ...profile, falseAlarmRate: { asked: rates, promised: rates, threshold: 'tail' as const } };
    const strange = makeImage({ noiseSigma: 100, lumaP50: 250 });
    const rank = decideVerdict(profile, scorer, strange);
    const tail = decideVerdict(
      byTail,
      createScorer(
        byTail,
        statistics.map(({ name }) => name),
      ),
      strange,
    );
    expect(tail.falseAlarmRate).toEqual({ ...rates, threshold: 'tail' });
    expect(tail.score).toBe(rank.score);
    expect(rank.pValue).toBe(1 / 201);
    expect(tail.pValue).toBeLessThan(1 / 201);
  });

  it('tells what is unusual in an image that passes apart from reasons', () => {
    const median = decideVerdict(profile, scorer, makeImage());
    expect(median).toMatchObject({ verdict: 'pass', reasons: [], decidedBy: 'combined' });
    const bright = decideVerdict(profile, scorer, makeImage({ lumaP50: 155 }));
    expect(bright.verdict).toBe('pass');
    expect(bright.reasons).toEqual([]);
    expect(bright.unusual?.map(({ group }) => group)).toEqual(['bright']);
    expect(bright).not.toHaveProperty('cause');
  });

  it('decides by the detector that is asked for', () => {
    const image = makeImage({}, { width: 1, height: 1 });
    const byFile = decideVerdict(profile, scorer, image);
    const [combined, , container] = byFile.detectors;
    expect([combined.name, container.name]).toEqual(['combined', 'container']);
    expect(byFile.pValue).toBe(combined.pValue);
  });
});
