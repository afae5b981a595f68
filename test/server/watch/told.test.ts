import { describe, expect, it } from 'vitest';
import type { DriftState } from '../../../src/drift/report.ts';
import { advance, createTold, isWaiting, type Present } from '../../../src/server/watch/told.ts';

/** One second after the other: what a source is, and what receivers are told of it. */
function play(rules: { alertAfterMs: number; alertRecoverMs: number }, seconds: Partial<Present>[]): string[] {
  const told = createTold('ok', 0);
  return seconds.flatMap((given, second) => {
    const present: Present = { state: 'ok', isBlocked: false, ...given };
    const from = told.state;
    const news = advance(told, present, second === 0 ? 0 : 1000, rules);
    if (news.isBlocked === true) told.blocked = 'most are blocked';
    if (news.isBlocked === false) delete told.blocked;
    return [
      ...(news.from === undefined ? [] : [`${second}: ${from} > ${told.state}`]),
      ...(news.isBlocked === undefined ? [] : [`${second}: ${news.isBlocked ? 'blocked' : 'not blocked'}`]),
    ];
  });
}

const atOnce = { alertAfterMs: 0, alertRecoverMs: 0 };
const patient = { alertAfterMs: 3000, alertRecoverMs: 5000 };
const times = (count: number, state: DriftState, rest: Partial<Present> = {}): Partial<Present>[] =>
  Array.from({ length: count }, () => ({ state, ...rest }));

describe('what receivers are told', () => {
  it('is told at once where nothing must last', () => {
    const seconds = [...times(1, 'ok'), ...times(2, 'stale'), ...times(1, 'ok'), ...times(1, 'suspect')];
    expect(play(atOnce, seconds)).toEqual(['1: ok > stale', '3: stale > ok']);
  });

  it('must have lasted, an alarm as its end, each for its own time', () => {
    const seconds = [...times(1, 'ok'), ...times(5, 'drifted'), ...times(8, 'recovered')];
    // The first second of a state is that in which it was found.
    expect(play(patient, seconds)).toEqual(['3: ok > drifted', '10: drifted > recovered']);
  });

  it('is nothing of an alarm that is over before, and one alarm of one that is briefly well', () => {
    expect(play(patient, [...times(1, 'ok'), ...times(2, 'drifted'), ...times(5, 'ok')])).toEqual([]);
    const wavering = [...times(6, 'drifted'), ...times(4, 'recovered'), ...times(4, 'drifted'), ...times(4, 'ok')];
    expect(play(patient, wavering)).toEqual(['3: ok > drifted']);
  });

  it('is an alarm also where its kind changes faster than it lasts', () => {
    const seconds = Array.from({ length: 12 }, (_, i): Partial<Present> => ({ state: i % 2 ? 'frozen' : 'drifted' }));
    expect(play(patient, seconds)).toEqual(['3: ok > frozen']);
  });

  it('is one alarm for one cause: drift that proves what the blocked images said is no news', () => {
    const fog = { cause: 'fog', recentCause: 'fog' };
    const seconds = [
      ...times(2, 'ok', { ...fog, isBlocked: true }),
      ...times(3, 'drifted', { ...fog, isBlocked: true }),
      ...times(3, 'drifted', fog),
      ...times(2, 'recovered'),
      ...times(2, 'ok', { ...fog, isBlocked: true }),
    ];
    expect(play(atOnce, seconds)).toEqual(['0: blocked', '8: not blocked', '10: blocked']);
  });

  it('is another alarm for another cause', () => {
    const seconds = [
      ...times(2, 'ok', { isBlocked: true, recentCause: 'fog' }),
      ...times(2, 'drifted', { isBlocked: true, recentCause: 'fog', cause: 'defocusBlur' }),
      ...times(1, 'stale', { isBlocked: true, recentCause: 'fog' }),
      ...times(1, 'ok'),
    ];
    expect(play(atOnce, seconds)).toEqual([
      '0: blocked',
      '2: ok > drifted',
      '4: drifted > stale',
      '5: stale > ok',
      '5: not blocked',
    ]);
  });

  it('does not repeat in drift what was told, when images begin to be blocked for the same', () => {
    const seconds = [
      ...times(2, 'drifted', { cause: 'fog' }),
      ...times(2, 'drifted', { cause: 'fog', isBlocked: true, recentCause: 'fog' }),
      ...times(2, 'drifted', { cause: 'fog', isBlocked: true, recentCause: 'dirt' }),
      ...times(1, 'recovered'),
    ];
    expect(play(atOnce, seconds)).toEqual([
      '0: ok > drifted',
      '4: blocked',
      '6: drifted > recovered',
      '6: not blocked',
    ]);
  });

  it('waits only where something is to be told', () => {
    const told = createTold('ok', 0);
    const drifted: Present = { state: 'drifted', isBlocked: false };
    expect(isWaiting(told, { state: 'suspect', isBlocked: false })).toBe(false);
    expect(isWaiting(told, drifted)).toBe(true);
    advance(told, drifted, 0, atOnce);
    expect(isWaiting(told, drifted)).toBe(false);
  });
});
