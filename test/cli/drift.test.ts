import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { encodeFrame, renderFolder, renderFrame } from '../fixtures/camera.ts';
import { readError, runHere } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const profile = at('camera.stopline');
const rows = at('verdicts.jsonl');

beforeAll(async () => {
  await renderFolder(at('reference'), 100);
  const fit = [
    'fit',
    at('reference'),
    '--ordered',
    '--simulations',
    '0',
    '--power',
    '0',
    '--model',
    'none',
    '--warn',
    '0.02',
  ];
  const run = await runHere([...fit, '--block', '0.01', '--out', profile]);
  expect(run.code).toBe(0);
  expect(run.stdout).toContain('count as independent');
  await renderFolder(at('cameras', 'good'), 40, 300);
  await renderFolder(at('cameras', 'bad'), 30, 400);
  for (let i = 0; i < 30; i++) {
    const frame = await corrupt(renderFrame(430 + i, { width: 160, height: 90 }), 'fog', 5, 1);
    writeFileSync(at('cameras', 'bad', `frame${430 + i}.jpg`), await encodeFrame(frame));
  }
  mkdirSync(at('cameras', 'stuck'));
  const [still] = await renderFolder(at('still'), 1, 700);
  for (let i = 0; i < 15; i++) writeFileSync(at('cameras', 'stuck', `frame${i}.jpg`), readFileSync(still));
});

describe('stopline drift', () => {
  it('says when each alarm would have come, by source, and exits with 1', async () => {
    const { code, stdout } = await runHere(['drift', at('cameras'), '--profile', profile, '--json']);
    expect(code).toBe(1);
    const { sources } = JSON.parse(stdout);
    const findSource = (name: string) => sources.find(({ source }: { source: string }) => source.endsWith(name));
    expect(sources).toHaveLength(3);
    expect(findSource('good').transitions.map(({ to }: { to: string }) => to)).not.toContain('drifted');
    const alarm = findSource('bad').transitions.find(({ to }: { to: string }) => to === 'drifted');
    expect(alarm.image).toBeGreaterThan(30);
    expect(alarm.image).toBeLessThanOrEqual(50);
    expect(alarm.path).toBe(at('cameras', 'bad', `frame${399 + alarm.image}.jpg`));
    expect(alarm.report.moved.length).toBeGreaterThan(0);
    expect(
      findSource('stuck').transitions.map(({ to, image }: { to: string; image: number }) => [to, image]),
    ).toContainEqual(['frozen', 10]);
  });

  it('tells which classes drifted, by a column of the manifest, of images and of rows', async () => {
    const lines = Array.from({ length: 60 }, (_, i) => `cameras/bad/frame${400 + i}.jpg,${i < 30 ? 'green' : 'red'}`);
    writeFileSync(at('answers.csv'), ['path,class', ...lines].join('\n'));
    const judged = ['--profile', profile, '--source-column', 'class'];
    const run = await runHere(['drift', '--manifest', at('answers.csv'), ...judged]);
    expect(run.code, run.stderr).toBe(1);
    expect(run.stdout).toMatch(/^source +images +now +first alarm +probable cause$/m);
    expect(run.stdout).toMatch(/^green +30 +(ok|learning|suspect) +- +-$/m);
    expect(run.stdout).toMatch(/^red +30 +drifted +image \d+ +\S/m);
    await runHere(['score', '--manifest', at('answers.csv'), '--profile', profile, '--out', at('classes.jsonl')]);
    const replayed = await runHere(['drift', at('classes.jsonl'), ...judged]);
    expect(replayed.stdout).toBe(run.stdout);
    const wrong = await runHere([
      'drift',
      at('classes.jsonl'),
      '--profile',
      profile,
      '--source-column',
      'lane',
      '--json',
    ]);
    expect(readError(wrong)).toMatchObject({ message: expect.stringContaining('the images have class') });
    const both = await runHere(['drift', at('classes.jsonl'), ...judged, '--source-pattern', 'folder', '--json']);
    expect(readError(both).code).toBe('STOPLINE_ERR_OPTION_INVALID');
  });

  it('replays the rows of score to the same effect, and in words', async () => {
    const scored = await runHere(['score', at('cameras', 'bad'), '--profile', profile, '--out', rows]);
    expect(scored.code).toBe(0);
    const fromRows = await runHere(['drift', rows, '--profile', profile]);
    const fromImages = await runHere(['drift', at('cameras', 'bad'), '--profile', profile]);
    expect(fromRows.code).toBe(1);
    const lines = (text: string) => text.split('\n').slice(1);
    expect(lines(fromRows.stdout)).toEqual(lines(fromImages.stdout));
    expect(fromRows.stdout).toMatch(/^ {2}[.?+-]+#+$/m);
    expect(fromRows.stdout).toMatch(/-> drifted/);
    expect(fromRows.stdout).toContain('at most one false alarm in 10000 images');
    const { isTTY, columns } = process.stdout;
    try {
      Object.assign(process.stdout, { isTTY: true, columns: 40 });
      const narrow = await runHere(['drift', rows, '--profile', profile]);
      const lines = stripVTControlCharacters(narrow.stdout).split('\n');
      expect(lines.find((line) => /^ {2}[.?+-]+#+$/.test(line))).toHaveLength(40);
    } finally {
      Object.assign(process.stdout, { isTTY, columns });
    }
  });

  it('exits with 0 where nothing drifts, and refuses rows that are none or of another Profile', async () => {
    expect((await runHere(['drift', at('cameras', 'good'), '--profile', profile])).code).toBe(0);
    writeFileSync(at('broken.jsonl'), '{"path": "a.jpg"}\n');
    const broken = await runHere(['drift', at('broken.jsonl'), '--profile', profile, '--json']);
    expect(readError(broken)).toMatchObject({
      code: 'STOPLINE_ERR_REQUEST_INVALID',
      message: expect.stringContaining('line 1'),
    });
    const [first] = readFileSync(rows, 'utf8').split('\n');
    writeFileSync(at('other.jsonl'), first.replaceAll((await loadProfile(profile)).sha256, 'f'.repeat(64)));
    const other = await runHere(['drift', at('other.jsonl'), '--profile', profile, '--json']);
    expect(readError(other)).toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining('ffffffffffff'),
    });
  });
});
