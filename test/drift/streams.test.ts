import { describe, expect, it } from 'vitest';
import { allowanceUsed } from '../../scripts/evaluate/guarantee.ts';
import { runPeers } from '../../scripts/evaluate/peers.ts';
import { autoregressive } from '../../scripts/evaluate/populations.ts';
import { median, runDelays, runQuiet } from '../../scripts/evaluate/streams.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';

const falseAlarmEvery = 10_000;

describe('streams in which nothing changes', () => {
  it.each([
    ['independent', 0, 100],
    ['that remember 19 images', 0.9, 300],
  ])('%s keep the promise', (_, memory, calibration) => {
    const options = { falseAlarmEvery, calibration, runs: 8, length: 1000, isOrdered: true, seed: 3 };
    const { alarms, images } = runQuiet(autoregressive(memory), options);
    // Of 8,000 images 0.8 alarms are allowed on average: 4 or more have a chance of 1 %.
    expect(images).toBe(8000);
    expect(alarms).toBeLessThanOrEqual(3);
  });

  it.each([true, false])('that follow day and night keep the promise (ordered reference: %s)', (isOrdered) => {
    const options = { falseAlarmEvery, calibration: 300, runs: 6, length: 1500, isOrdered, seed: 4 };
    expect(runQuiet(autoregressive(0.5, 1000), options).alarms).toBeLessThanOrEqual(4);
  });

  it('that remember longer than they last are never called ok', () => {
    const options = { falseAlarmEvery, calibration: 300, runs: 2, length: 500, seed: 5 };
    for (const isOrdered of [true, false]) {
      const { ok, learning } = runQuiet(autoregressive(0.995), { ...options, isOrdered });
      expect(ok).toBe(0);
      expect(learning).toBeGreaterThan(0.9);
    }
  });

  it('alarm others all the time', () => {
    const peers = runPeers(autoregressive(0.9), { calibration: 300, runs: 1, length: 500, seed: 1 });
    const alarms = Object.fromEntries(peers.map(({ rule, perTenThousand }) => [rule, perTenThousand]));
    expect(alarms['two-sample KS, p < 0.05, any column']).toBeGreaterThan(150);
    expect(alarms['Wasserstein >= 0.1 standard deviations, any column']).toBe(200);
  });
});

it.each([100, 300])('of references of %i images at least 95 % provably keep the promise', (images) => {
  const sets = 30;
  const kept = Array.from({ length: sets }, (_, set) =>
    allowanceUsed({ statistics: 24, images, falseAlarmEvery }, set),
  ).filter((used) => used <= 1).length;
  expect(clopperPearson(kept, sets).high).toBeGreaterThanOrEqual(0.95);
  expect(kept / sets).toBeGreaterThan(0.9);
});

describe('a change is found', () => {
  const found = (memory: number, calibration: number) => {
    const options = { falseAlarmEvery, calibration, runs: 5, isOrdered: true, seed: 7, before: 100, limit: 500 };
    const change = ({ score, values }: { score: number; values: Float64Array }) => ({ score: score + 6, values });
    return median(runDelays(autoregressive(memory), change, options).delays);
  };

  it.each([
    [1000, 5],
    [300, 8],
  ])('by %i calibration images after at most %i independent images', (calibration, most) => {
    expect(found(0, calibration)).toBeLessThanOrEqual(most);
  });

  it('on a stream that remembers, at most two correlation times later', () => {
    const time = (1 + 0.9) / (1 - 0.9);
    expect(found(0.9, 1000)).toBeLessThanOrEqual(5 + 2 * time);
  });
});
