import { expect, it } from 'vitest';
import { judgeWindows, type WindowImage, windowShifts } from '../../../../scripts/evaluate/cifar/windows.ts';
import { Random } from '../../../../src/image/corruptions/random.ts';
import type { MeasuredImage } from '../../../../src/image/measured.ts';
import { statistics } from '../../../../src/image/statistics/statistics.ts';
import { createScorer } from '../../../../src/profile/score.ts';
import { decideVerdict } from '../../../../src/profile/verdict.ts';
import { drawImages, fitSynthetic } from '../../../fixtures/synthetic.ts';

const profile = fitSynthetic(200);
const scorer = createScorer(
  profile,
  statistics.map(({ name }) => name),
);

const judge = (images: readonly MeasuredImage[]) =>
  images.map(
    (image, i): WindowImage => ({
      label: i % 10,
      verdict: { ...decideVerdict(profile, scorer, image), sha256: image.sha256 } as WindowImage['verdict'],
    }),
  );

it('tells a shift of many images, the sooner the more of them it touches, and nothing where there is none', () => {
  const clean = judge(drawImages(200, 1));
  const shifted = new Map([['brighter', judge(drawImages(200, 2, { lumaP50: 60 }))]]);
  const rows = judgeWindows(profile, clean, shifted, { seed: 1, sizes: [5, 30, 150], runs: 5 });
  expect(rows.map(({ shift, share }) => [shift, share])).toEqual([
    ['none', 0],
    ...[0.1, 0.5, 1].map((share) => ['brighter', share]),
    ...[0.1, 0.5, 1].map((share) => ['one class of ten left out', share]),
  ]);
  // Fewer than eight images are compared with nothing.
  for (const { found } of rows) expect(found[0]).toBe(0);
  const [none, tenth, half, all, ...left] = rows.map(({ found }) => found);
  expect(all).toEqual([0, 1, 1]);
  expect(half[2]).toBe(1);
  expect(tenth[1]).toBeLessThan(1);
  // At 5 %, two of five windows are too many in one of four hundred trials.
  for (const calm of [none, ...left]) for (const found of calm) expect(found).toBeLessThanOrEqual(0.2);
});

it('adds noise of a deviation, and moves no picture by nothing', () => {
  const picture = { data: new Uint8Array(3 * 32 * 32).fill(128), width: 32, height: 32 };
  const [, medium] = windowShifts;
  const noisy = medium.draw(picture, new Random(1));
  const square = noisy.reduce((sum, value) => sum + (value - 128) ** 2, 0) / noisy.length;
  expect(Math.sqrt(square)).toBeGreaterThan(9.5);
  expect(Math.sqrt(square)).toBeLessThan(10.5);
  for (const { name, draw } of windowShifts.slice(3)) expect(draw(picture, new Random(1)), name).toEqual(picture.data);
});
