import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadProfile } from '../../src/profile/file.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { runHere as runAlone } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { startObjectStore } from '../fixtures/s3.ts';

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
/** The reference is the same in all of them: it is measured once. */
const runHere: typeof runAlone = (args, { env } = {}) =>
  runAlone(args, { env: { XDG_CACHE_HOME: path('cache'), ...env } });
const quick = ['--simulations', '0', '--power', '0', '--threads', '1'];

beforeAll(async () => {
  await renderFolder(path('drives'), 80);
  const fitted = await runHere([
    'fit',
    path('drives'),
    '--out',
    path('camera.stopline'),
    '--model',
    'none',
    '--group-by',
    'none',
    ...quick,
  ]);
  expect(fitted.code, fitted.stderr).toBe(0);
  // The camera's encoder was set to another quality, and that is to stay so.
  mkdirSync(path('accepted'));
  for (let i = 0; i < 24; i++) writeFileSync(path(`accepted/${i}.jpg`), await jpegFrame(200 + i, 40));
  // A quarantine has verdicts beside its images.
  writeFileSync(path('accepted/0.json'), '{}');
  mkdirSync(path('torn'));
  for (let i = 0; i < 3; i++) writeFileSync(path(`torn/${i}.jpg`), await jpegFrame(300 + i, 40));
  writeFileSync(path('torn/3.jpg'), 'no image');
  writeFileSync(path('torn/notes.txt'), 'seen');
});

describe('profile accept', () => {
  const args = (accepted: string, ...rest: string[]) => [
    'profile',
    'accept',
    accepted,
    '--profile',
    path('camera.stopline'),
    '--reference',
    path('drives'),
    '--group-by',
    'none',
    ...quick,
    ...rest,
  ];

  it('takes what a labelling tool gave back: the images that are labelled accept', async () => {
    const lines = [0, 1, 2, 3].map((i) => ({ path: path(`accepted/${i}.jpg`), label: i < 3 ? 'accept' : 'reject' }));
    writeFileSync(path('labels.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const run = await runHere(args(path('labels.jsonl'), '--out', path('dry.stopline'), '--dry-run'));
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toContain('3 images of 4 accepted in');
    expect(run.stdout).toMatch(/fitted images +80 +83/);
  });

  it('says what would change and writes nothing with --dry-run', async () => {
    const run = await runHere(args(path('accepted'), '--out', path('dry.stopline'), '--dry-run'));
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toMatch(/fitted images +80 +104/);
    expect(run.stdout).toMatch(/accepted images +0 pass, \d+ warn, \d+ block +\d+ pass/);
    expect(existsSync(path('dry.stopline'))).toBe(false);
  });

  it('says what was left out and what could not be read, which is an error with --strict', async () => {
    const run = await runHere(args(path('torn'), '--out', path('dry.stopline'), '--dry-run', '--strict'));
    expect(run.code).toBe(65);
    expect(run.stdout).toMatch(/accepted images +\d pass, \d warn, \d block/);
    expect(run.stdout).toMatch(/1 file skipped\n.*3\.jpg\n +STOPLINE_ERR_IMAGE_/);
    expect(run.stderr).toMatch(/Left out:\n {2}1 no image by its name: \.txt \(.*notes\.txt\)/);
    expect(run.stderr).toMatch(/STOPLINE_ERR_INPUT_LEFT_OUT/);
  });

  it('refuses what the limits refuse, also of the reference', async () => {
    // The frames have 160 x 90 pixels.
    const run = await runHere(args(path('accepted'), '--out', path('dry.stopline'), '--dry-run'), {
      // What was measured once is known, whatever the limits are by now.
      env: { STOPLINE_MAX_PIXELS: '14399', XDG_CACHE_HOME: path('empty') },
    });
    expect(run.code).toBe(65);
    expect(run.stderr).toContain('STOPLINE_ERR_FIT_TOO_FEW_IMAGES');
  });

  it('makes a version of the same name by which more images like the accepted ones pass, also of a bucket', async () => {
    const names = readdirSync(path('accepted'));
    const objects = new Map(names.map((name) => [`kept/accepted/${name}`, readFileSync(path(`accepted/${name}`))]));
    const { endpoint, env, stop } = await startObjectStore(objects);
    const out = ['--out', path('next.stopline'), '--json'];
    const run = await runHere(args('s3://kept/accepted/', ...out, '--s3-endpoint', endpoint), { env });
    await stop();
    expect(run.code, run.stderr).toBe(0);
    const difference = JSON.parse(run.stdout);
    expect(difference).toMatchObject({ images: [80, 104], power: [], file: path('next.stopline') });
    expect(difference.accepted.after.pass).toBeGreaterThan(difference.accepted.before.pass);
    const [before, after] = [await loadProfile(path('camera.stopline')), await loadProfile(path('next.stopline'))];
    expect(difference.profile).toEqual({ name: before.name, sha256: after.sha256 });
    const fresh = await Promise.all(Array.from({ length: 10 }, (_, i) => jpegFrame(900 + i, 40)));
    const passes = async (profile: typeof before) => {
      const inspector = await createInspector({ profile });
      const verdicts = await Promise.all(fresh.map((image) => inspector.inspect(image)));
      return verdicts.filter(({ verdict }) => verdict === 'pass').length;
    };
    expect([await passes(before), (await passes(after)) > 5]).toEqual([0, true]);
  });

  it('wants the reference, because a Profile does not hold its images', async () => {
    const run = await runHere([
      'profile',
      'accept',
      path('accepted'),
      '--profile',
      path('camera.stopline'),
      '--out',
      path('x'),
    ]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--reference');
  });
});
