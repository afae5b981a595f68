import { expect, it } from 'vitest';
import { changedReport, type HarmTrial } from '../../../scripts/evaluate/harm.ts';
import { corruptions, powerSeverities } from '../../../src/image/corruptions/corruptions.ts';

it('counts, by severity, how many of the changed answers were stopped', () => {
  const expected = { rate: 0.5, low: 0.4, high: 0.6 };
  const clean: HarmTrial[] = [true, false].map((isStopped) => ({
    ...{ cell: -1, score: 0, expected, isFlipped: false, isStopped },
  }));
  // Of every severity four answers of five are changed, and of those as many stopped as its number says.
  const trials = powerSeverities.flatMap((severity, j) =>
    Array.from(
      { length: 5 },
      (_, i): HarmTrial => ({
        cell: (corruptions.length - 1) * powerSeverities.length + j,
        ...{ score: 0, expected, isFlipped: i < 4, isStopped: i < Math.min(4, severity) },
      }),
    ),
  );
  const text = changedReport({ trials: [...clean, ...trials], images: 2 });
  expect(text).toContain('1 of 2 are stopped');
  const rows = text.split('\n').filter((line) => /^\| +\d/.test(line));
  expect(rows.map((row) => row.split('|').map((cell) => cell.trim())[4])).toEqual([
    // Clopper and Pearson 1934, of four.
    '25.0 % (0.6 % to 80.6 %)',
    '50.0 % (6.8 % to 93.2 %)',
    '75.0 % (19.4 % to 99.4 %)',
    '100.0 % (39.8 % to 100.0 %)',
    '100.0 % (39.8 % to 100.0 %)',
  ]);
  expect(rows[0].split('|').map((cell) => cell.trim())[3]).toBe('80.0 %');
});
