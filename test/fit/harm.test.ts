import { describe, expect, it, test } from 'vitest';
import { type Asked, collectAsked, findUnusable, shareAnswered } from '../../src/fit/classifier.ts';
import { fitHarm, measureHarm, measureStopped, type TriedImage } from '../../src/fit/harm.ts';
import type { Sample } from '../../src/fit/samples.ts';
import { corruptions, powerSeverities } from '../../src/image/corruptions/corruptions.ts';
import type { ModelCard } from '../../src/image/embedding/cardschema.ts';
import type { SimulatedImage, Simulation } from '../../src/image/simulation.ts';
import { expectedFlipRate, harmRow } from '../../src/profile/flips.ts';
import { random } from '../fixtures/frames.ts';

const names = ['fog', 'rain'];
const sure = (cause: string) => [{ cause, probability: 1 }];
const clean = Array.from({ length: 50 }, (_, i) => harmRow(i / 100, sure('unknown'), names));

test('a row has the score as a logarithm, every cause at its place, and what is not known last', () => {
  const causes = [
    { cause: 'rain', probability: 0.7 },
    { cause: 'unknown', probability: 0.2 },
    { cause: 'fog', probability: 0.1 },
  ];
  expect([...harmRow(Math.E - 1, causes, names)]).toEqual([1, 1, 0.1, 0.7, 0.2]);
  // Within the reference all scores are alike.
  expect([...harmRow(-3, undefined, names)]).toEqual([1, 0]);
});

it('expects of each cause what was measured, whatever its score', () => {
  // Equally strange: of 40 images fog flips 4 answers, rain 32.
  const images = Array.from({ length: 40 }, (_, i): TriedImage => {
    const rows = [harmRow(3, sure('fog'), names), harmRow(3, sure('rain'), names)];
    return { rows, flips: [i < 4, i < 32] };
  });
  const model = fitHarm(images, clean);
  const [fog, rain] = names.map((name) => expectedFlipRate(model, harmRow(3, sure(name), names)));
  expect(fog.rate).toBeCloseTo(0.1, 1);
  expect(rain.rate).toBeCloseTo(0.8, 1);
  for (const { rate, low, high } of [fog, rain]) {
    expect(low).toBeLessThan(rate);
    expect(high).toBeGreaterThan(rate);
  }
  // The standard error of a share of 40, twice.
  expect(rain.high - rain.low).toBeCloseTo(2 * 1.96 * Math.sqrt((0.8 * 0.2) / 40), 1);
  const unremarkable = expectedFlipRate(model, harmRow(0, sure('unknown'), names));
  expect(unremarkable.high).toBeLessThan(0.05);
});

it('expects more of stranger images, and never less, even where less was measured', () => {
  const uniform = random(7);
  const rising = Array.from({ length: 30 }, (): TriedImage => {
    const rows = [1, 2, 4, 8, 16].map((score) => harmRow(score, undefined, []));
    return { rows, flips: [0.05, 0.1, 0.3, 0.6, 0.9].map((rate) => uniform() < rate) };
  });
  const falling = rising.map((image) => ({ ...image, flips: [...image.flips].reverse() }));
  const calm = Array.from({ length: 50 }, () => harmRow(0, undefined, []));
  for (const images of [rising, falling]) {
    const model = fitHarm(images, calm);
    const rates = [0, 1, 3, 9, 27, 81].map((score) => expectedFlipRate(model, harmRow(score, undefined, [])).rate);
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
  }
});

it('has an interval that holds the rate, although simulations of one image answer alike', () => {
  const uniform = random(3);
  let inside = 0;
  const studies = 120;
  for (let study = 0; study < studies; study++) {
    // Half of the images flip at every simulation and half at none: 20 images, not 400 simulations, are what is known.
    const images = Array.from({ length: 20 }, (): TriedImage => {
      const isFragile = uniform() < 0.5;
      const rows = Array.from({ length: 20 }, () => harmRow(5, undefined, []));
      return { rows, flips: rows.map(() => isFragile) };
    });
    const { low, high } = expectedFlipRate(fitHarm(images, [harmRow(0, undefined, [])]), harmRow(5, undefined, []));
    if (low <= 0.5 && high >= 0.5) inside++;
  }
  // Promised: 95 %. Of 20 images a few too few; were the simulations independent, it would be a third.
  expect(inside / studies).toBeGreaterThan(0.88);
});

it('expects next to nothing of a classifier that nothing disturbs', () => {
  const rows = [1, 10].flatMap((score) => names.map((name) => harmRow(score, sure(name), names)));
  const images = Array.from({ length: 20 }, (): TriedImage => ({ rows, flips: rows.map(() => false) }));
  const { rate, high } = expectedFlipRate(fitHarm(images, clean), harmRow(10, sure('rain'), names));
  expect(rate).toBeLessThan(0.05);
  expect(high).toBeLessThan(0.2);
});

test('flips and falls are counted for each cause and severity', () => {
  const sample: Sample = { id: '', path: '', group: '', fold: 0, statistics: new Float64Array(), properties: {} };
  const [{ name: first }, { name: second }] = corruptions;
  const every = corruptions.flatMap(({ name: cause }) => powerSeverities.map((severity) => ({ cause, severity })));
  const makeImage = (flipped: { cause: string; severity: number }[]): Asked => ({
    sample,
    simulations: every.map(({ cause, severity }) => ({
      cause,
      severity,
      image: { statistics: new Float64Array() },
      isFlipped: flipped.some((cell) => cell.cause === cause && cell.severity === severity),
      fall: severity / 10,
    })),
  });
  const some = makeImage([{ cause: second, severity: 3 }]);
  const [one, two] = measureHarm([some, some, makeImage([{ cause: first, severity: 1 }]), makeImage([])]);
  expect(one).toEqual({ cause: first, flips: [0.25, 0, 0, 0, 0], fall: [0.1, 0.2, 0.3, 0.4, 0.5] });
  expect(two).toMatchObject({ cause: second, flips: [0, 0, 0.5, 0, 0] });
});

test('answers are compared with that to the whole clean image; a part has none', () => {
  const card = { outputs: {} } as ModelCard;
  const sample = { id: 'x' } as Sample;
  const plan: Simulation[] = [
    { severity: 1, seed: 1, crop: false },
    { severity: 1, seed: 1, crop: true },
    { cause: 'fog', severity: 3, seed: 1, crop: true },
    { cause: 'rain', severity: 5, seed: 1, crop: false },
    { cause: 'snow', severity: 2, seed: 1, crop: false },
  ];
  const scores = [[0.75, 0.25], undefined, undefined, [0.25, 0.75], [0.5, 0.5]];
  const simulated = scores.map((row) => ({
    statistics: new Float64Array(),
    ...(row && { classScores: Float32Array.from(row) }),
  })) as SimulatedImage[];
  const { simulations } = collectAsked(sample, plan, simulated, { card, files: [], answers: [] });
  expect(simulations).toMatchObject([
    { cause: 'rain', severity: 5, isFlipped: true, fall: 0.5 },
    { cause: 'snow', severity: 2, isFlipped: false, fall: 0.25 },
  ]);
  expect(simulations).toHaveLength(2);
});

test('images under causes too mild to be seen are told a rate near the one they keep, good images among them or not', () => {
  // All alike: every tenth answer flips under a cause, none of a good image.
  const row = () => harmRow(0, undefined, []);
  const images = Array.from(
    { length: 50 },
    (_, i): TriedImage => ({ rows: [row(), row()], flips: [i % 5 === 0, false] }),
  );
  const { rate } = expectedFlipRate(fitHarm(images, [row()]), row());
  // Good images as many as those of one severity of five: 0.1 / 1.2.
  expect(rate).toBeCloseTo(0.1 / 1.2, 2);
});

test('of the answers that causes change, the share that is stopped is counted at both promised rates', () => {
  const cell = (severity: number, isFlipped: boolean, pValue: number) => ({ severity, isFlipped, pValue });
  const simulations = [
    ...[cell(1, true, 0.5), cell(1, true, 0.01), cell(1, false, 0.001)],
    ...[cell(5, true, 0.001), cell(5, true, 0.0005), cell(5, true, 0.02), cell(5, true, 0.01)],
  ];
  expect(measureStopped(simulations, { warn: 0.01, block: 0.001 })).toEqual({
    flipped: [2, 0, 0, 0, 4],
    warn: [0.5, null, null, null, 0.75],
    block: [0, null, null, null, 0.5],
  });
});

describe('answers that say nothing have a reason instead of a flip rate', () => {
  const ask = (classes: number[], scores: number[], isFlipped = false): Asked => ({
    sample: { id: 'x' } as Sample,
    clean: { classes, scores: Float32Array.from(scores) },
    simulations: [{ cause: 'fog', severity: 3, image: { statistics: new Float64Array() }, isFlipped, fall: 0 }],
  });
  const card = (threshold?: number) =>
    ({ name: 'net', outputs: threshold === undefined ? {} : { threshold } }) as ModelCard;
  const many = (count: number, make: (i: number) => Asked) => Array.from({ length: count }, (_, i) => make(i));

  it.each<[string, Asked[], number | undefined, string | undefined]>([
    ['a detector that finds nothing', many(20, () => ask([], [0.1, 0.2])), 0.5, 'CLASSIFIER_SILENT'],
    [
      'one that finds nothing in all but one',
      many(20, (i) => ask(i === 0 ? [1] : [], [0.1, 0.9], true)),
      0.5,
      'CLASSIFIER_SILENT',
    ],
    ['one that finds something in half', many(20, (i) => ask(i % 2 === 0 ? [1] : [], [0.1, 0.9])), 0.5, undefined],
    ['one that finds everything', many(20, () => ask([0, 1, 2, 3], [1, 1, 1, 1], true)), 0.5, 'CLASSIFIER_ABSURD'],
    ['a classifier at chance', many(20, (i) => ask([i % 4], [0.25, 0.25, 0.25, 0.25])), undefined, 'CLASSIFIER_ABSURD'],
    [
      'one answer to all, which nothing changes',
      many(20, () => ask([1], [0.1, 0.9])),
      undefined,
      'CLASSIFIER_CONSTANT',
    ],
    ['one answer to all, which causes change', many(20, (i) => ask([1], [0.1, 0.9], i === 3)), undefined, undefined],
    ['answers that vary', many(20, (i) => ask([i % 2], [0.1, 0.9])), undefined, undefined],
  ])('%s', (_, asked, threshold, code) => {
    const found = findUnusable(asked, card(threshold));
    expect(found?.code).toBe(code);
    if (code) expect(found?.message).toMatch(/^The classifier "net" .*There is no flip rate\..*--probe/);
  });

  it('the share of clean images with an answer is counted', () => {
    expect(shareAnswered([ask([], [0]), ask([0], [1]), ask([0], [1]), ask([], [0])])).toBe(0.5);
  });
});
