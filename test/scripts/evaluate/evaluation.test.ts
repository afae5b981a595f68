import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type EvaluateOptions, type Evaluation, evaluate } from '../../../scripts/evaluate/evaluation.ts';
import { auroc, calibrationError, thresholdAt } from '../../../scripts/evaluate/measures.ts';
import { prefaces, withSection } from '../../../scripts/evaluate/page.ts';
import { report, table } from '../../../scripts/evaluate/tables.ts';
import { corruptions, findFamily } from '../../../src/image/corruptions/corruptions.ts';
import { renderFolder } from '../../fixtures/camera.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

describe('measures', () => {
  it('AUROC is the share of pairs that are in order, ties counting half', () => {
    expect(auroc([1, 2, 3], [2, 3, 4])).toBeCloseTo(7 / 9, 12);
    expect(auroc([1, 2], [3, 4])).toBe(1);
    expect(auroc([3, 4], [1, 2])).toBe(0);
    expect(auroc([5, 5, 5], [5, 5])).toBe(0.5);
    expect(auroc([], [1])).toBeNaN();
  });

  it('the threshold of a rate leaves at most that share of the clean scores above it', () => {
    const clean = Array.from({ length: 300 }, (_, i) => i);
    expect(clean.filter((score) => score > thresholdAt(clean, 0.01))).toEqual([297, 298, 299]);
    expect(thresholdAt(clean, 0.001)).toBe(299);
    expect(thresholdAt([1, 2, 2, 2], 0.5)).toBe(2);
  });

  it('the calibration error is the weighted gap of confidence and accuracy', () => {
    const answers = (confidence: number, right: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({ confidence, isRight: i < right }));
    expect(calibrationError(answers(0.75, 3, 4))).toBeCloseTo(0, 12);
    expect(calibrationError(answers(1, 0, 4))).toBe(1);
    // A quarter of the answers is off by 0.95 - 0.5, the others by 0.05.
    expect(calibrationError([...answers(0.95, 1, 2), ...answers(0.55, 3, 6)])).toBeCloseTo(
      0.25 * 0.45 + 0.75 * 0.05,
      12,
    );
  });
});

describe('the page', () => {
  it('has a table that Markdown reads, numbers to the right', () => {
    expect(table(['cause', 'AUROC'], [['a|b', '0.5']])).toBe(
      '| cause | AUROC |\n| ----- | ----: |\n| a\\|b  |   0.5 |',
    );
  });

  it('keeps the sections of other references', () => {
    const one = withSection(prefaces.detection, '## one', '## one\n\nfirst\n');
    const two = withSection(one, '## two', '## two\n\nsecond\n');
    const again = withSection(two, '## one', '## one\n\nthird\n');
    expect(again).toMatch(/^# Detection\n/);
    expect(again).toMatch(/\n\n## one\n\nthird\n\n## two\n\nsecond\n$/);
    expect(again).not.toContain('first');
    expect(withSection(again, '## one', '## one\n\nthird\n')).toBe(again);
  });
});

describe('a rendered camera', () => {
  const folder = temporaryFolder();
  const reference = join(folder, 'day');
  const other = join(folder, 'later');
  const leaveOut = ['blur', 'weather'] as const;
  let options: EvaluateOptions;
  let evaluation: Evaluation;

  beforeAll(async () => {
    await renderFolder(reference, 60);
    await renderFolder(other, 5, 60);
    options = {
      ...{ reference: [reference], current: [other], corruptions: true, leaveOut, faults: true },
      ...{
        folds: 2,
        images: 1,
        severities: [3],
        simulations: 10,
        seed: 2,
        groupBy: 'folder',
        model: 'none',
        threads: 2,
      },
    };
    evaluation = await evaluate(options);
  });

  it('is scored once held out and clean, and every current image by the Profile of all', () => {
    const count = (kind: string) => evaluation.judgements.filter(({ role }) => role.kind === kind).length;
    expect(count('clean')).toBe(60);
    expect(count('encodedAgain')).toBe(60);
    expect(count('current')).toBe(5);
    expect(count('cause')).toBe(corruptions.length * 2);
    expect(evaluation.folds.reduce((sum, { fitted }) => sum + 60 - fitted, 0)).toBe(60);
    expect(evaluation.calibration[0]).toHaveLength(60);
    // A view that repeats is told by place as well, as `fit` does.
    expect(evaluation.detectors).toEqual(['combined', 'capture', 'content', 'places']);
  });

  it('needs a group for each fold', async () => {
    await expect(evaluate({ ...options, groupBy: 'day' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining('at least 2 groups of images for 2 folds but found 1'),
    });
  });

  it('leaves a family out of training: none of its causes is ever named', () => {
    expect(evaluation.leftOut.map(({ family }) => family)).toEqual(leaveOut);
    for (const { family, judgements } of evaluation.leftOut) {
      const underCause = judgements.filter(({ role }) => role.kind === 'cause');
      expect(underCause).toHaveLength(2 * corruptions.filter((cause) => cause.family === family).length);
      for (const { causes, role } of underCause) {
        expect(role.kind === 'cause' && findFamily(role.cause)).toBe(family);
        for (const { cause } of causes) expect(findFamily(cause)).not.toBe(family);
      }
    }
  });

  it('fits no model that was shown every family where only those are wanted that were not', async () => {
    const stages: string[] = [];
    const alone = await evaluate({
      ...{ ...options, leaveOut: ['blur'], corruptions: false, current: [], faults: false },
      onProgress: ({ stage, total }) => stages.push(`${stage} ${total}`),
    });
    expect(stages.at(-1)).toBe('fit and score 1');
    expect(alone.judgements).toEqual([]);
    expect(alone.leftOut).toEqual(evaluation.leftOut.slice(0, 1));
    // Each image is judged by a model without its part, of which there are five.
    expect(alone.folds).toHaveLength(5);
    expect(alone.folds.reduce((sum, { fitted }) => sum + 60 - fitted, 0)).toBe(60);
    for (const { judgements } of alone.leftOut)
      expect(judgements.filter(({ role }) => role.kind === 'clean')).toHaveLength(60);
    expect(report(alone, { ...options, corruptions: false, current: [], faults: false })).not.toMatch(/NaN|undefined/);
  });

  it('names causes that it was shown', () => {
    const names = evaluation.judgements.map(({ causes }) => causes[0].cause);
    expect(new Set(names).size).toBeGreaterThan(20);
  });

  it('reports every cause, family and folder', () => {
    const text = report(evaluation, options);
    for (const { name } of corruptions) expect(text).toMatch(new RegExp(`^\\| ${name} +\\| `, 'm'));
    for (const { family } of evaluation.leftOut) expect(text).toMatch(new RegExp(`^\\| ${family} +\\| `, 'm'));
    expect(text).toMatch(/^\| later +\| +5 \| capture +\| 0\.\d{3} \| /m);
    expect(text).toMatch(/first choice right for \d+\.\d %/);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('gives the same report by the command, with another number of threads', () => {
    const script = fileURLToPath(new URL('../../../scripts/evaluate.ts', import.meta.url));
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [script, ...args], { cwd: folder, encoding: 'utf8' });
    const settings = [
      '--folds',
      '2',
      '--images',
      '1',
      '--severities',
      '3',
      '--simulations',
      '10',
      '--model',
      'none',
      '--threads',
      '1',
      '--seed',
      '2',
    ];
    const { status, stdout, stderr } = run(
      '--reference',
      reference,
      '--current',
      other,
      '--corruptions',
      '--faults',
      ...settings,
    );
    expect(stderr).toMatch(/^fit and score: 3\/3 models/m);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^## day\n\n```sh\nnpm run evaluate -- --reference day --current later --corruptions /);
    expect(stdout).toContain(report(evaluation, { ...options, leaveOut: [] }));
    const wrong = run('--reference', join(folder, 'none'));
    expect(wrong.status).not.toBe(0);
    expect(wrong.stderr).toContain('STOPLINE_ERR_INPUT_NOT_FOUND');
  });
});
