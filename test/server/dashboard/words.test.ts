import { afterEach, describe, expect, it } from 'vitest';
import {
  clock,
  count,
  duration,
  inSentence,
  labelStatistic,
  nameZone,
  number,
  percent,
  pText,
  timeOfDay,
  useUtc,
} from '../../../src/server/dashboard/words.js';

afterEach(() => useUtc(false));

describe('numbers', () => {
  it.each([
    [percent(0.5), '50\u00a0%'],
    [percent(0.00826), '0.826\u00a0%'],
    [count(1, 'image'), '1\u00a0image'],
    [count(12_345, 'image'), '12\u202f345\u00a0images'],
    [number(0.000_12), '1.2e\u22124'],
    [number(-3.456_78), '\u22123.46'],
    [number(null), '\u2013'],
    [pText(0.000_01), '1e\u22125'],
    [pText(0.0083), '0.0083'],
    [duration(59_000), '59\u00a0s'],
    [duration(39 * 60_000), '39\u00a0min'],
    [duration(-5), '0\u00a0s'],
  ])('%s', (told, wanted) => {
    expect(told).toBe(wanted);
  });
});

describe('times', () => {
  it('are told in one zone, and the zone is named', () => {
    useUtc(true);
    const at = Date.UTC(2026, 6, 1, 23, 30, 15);
    expect(timeOfDay(at)).toBe('23:30:15');
    expect(nameZone(at)).toBe('UTC');
    expect(clock(at, at + 60_000)).toBe('23:30:15');
    expect(clock(at, at + 3_600_000)).toBe('1 Jul 23:30');
    useUtc(false);
    expect(nameZone(at)).toMatch(/UTC/);
  });
});

describe('labels', () => {
  it('within a sentence begin small, but for names such as JPEG', () => {
    expect(inSentence('Median brightness')).toBe('median brightness');
    expect(inSentence('JPEG quality')).toBe('JPEG quality');
    expect(labelStatistic({ label: 'Noise' }, 'noiseSigma')).toBe('Noise');
    expect(labelStatistic(undefined, 'noiseSigma')).toBe('noiseSigma');
  });
});
