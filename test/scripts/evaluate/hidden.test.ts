import { expect, it } from 'vitest';
import { type HiddenView, hiddenReport } from '../../../scripts/evaluate/hidden.ts';

it('the report of single frames counts what is stopped, and apart what hides a twentieth', () => {
  const view = (share: number, isStopped: boolean, isPlaced = isStopped): HiddenView => ({
    ...{ spot: 'leaf', severity: 3, share, isStopped, isPlaced },
  });
  const report = hiddenReport({
    clean: { images: 12, stopped: 1, encodedAgain: 2 },
    views: [view(0.01, false), view(0.06, true, false), view(0.09, true), view(0.08, false)],
  });
  expect(report).toContain('on 12 frames');
  expect(report).toContain('1 are stopped (95 % interval 0.2 % to 38.5 %), compressed again 2.');
  const row = report.split('\n').find((line) => line.startsWith('| leaf, 3'));
  expect(row?.split('|').map((cell) => cell.trim())).toEqual([
    '',
    'leaf, 3',
    '6.0 %',
    '50 % of 4',
    '67 % of 3',
    '33 % of 3',
    '',
  ]);
});
