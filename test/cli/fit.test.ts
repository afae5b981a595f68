import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeFit } from '../../src/cli/fitsummary.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { type Run, readError, runHere, stopline } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const reference = join(folder, 'reference');
const out = join(folder, 'camera.stopline');
let run: Run;
/** Where it is not the measuring that is looked at, the reference is measured once. */
const runMeasured = (args: readonly string[]) => runHere(args, { env: { XDG_CACHE_HOME: join(folder, 'measured') } });

beforeAll(async () => {
  const paths = await renderFolder(reference, 60);
  writeFileSync(join(reference, 'cut.jpg'), readFileSync(paths[0]).subarray(0, 2000));
  writeFileSync(join(reference, 'empty.png'), '');
  writeFileSync(join(reference, 'zcopy.jpg'), readFileSync(paths[1]));
  run = await runHere(['fit', '--simulations', '0', '--power', '0', reference, '--out', out, '--name', 'front camera']);
});

describe('stopline fit', () => {
  it('writes a Profile and says what is in it', async () => {
    expect(run.code).toBe(0);
    const profile = await loadProfile(out);
    expect(profile.name).toBe('front camera');
    expect(profile.reference).toMatchObject({ images: 60, skipped: 2, duplicates: 1 });
    const { fitted, split } = profile.reference;
    expect(fitted).toBe(60);
    expect(run.stdout).toContain(profile.sha256);
    expect(run.stdout).toContain('60 distinct images, all of them fitted');
    expect(run.stdout).toContain(`${split.groups} by time block, left out in 5 parts in turn to calibrate (seed 1`);
    expect(run.stdout).toContain('2 files skipped');
    expect(run.stdout).toMatch(/cut\.jpg\n {4}STOPLINE_ERR_IMAGE_TRUNCATED: /);
    expect(run.stdout).toMatch(/empty\.png\n {4}STOPLINE_ERR_IMAGE_EMPTY: /);
    expect(run.stdout).toContain(`inspect <image> --profile ${out}`);
  });

  it('says which rate it can promise where the one asked for needs more images', async () => {
    const { promised } = (await loadProfile(out)).falseAlarmRate;
    const text = `${Number((promised.block * 100).toPrecision(3))} %`;
    expect(run.stdout).toMatch(new RegExp(`block +at most ${text} false alarms promised \\(asked: 0.1 %\\)`));
    expect(run.stdout).toContain('warning: A false-alarm rate of 0.001 for block needs');
  });

  it('says that its promise is about the one drive there is', () => {
    expect(run.stdout).toMatch(
      /new drive +not known: all images are of one folder\. .* this promise is about this drive/,
    );
  });

  it('says of every other way to leave images out what a new drive meets, or that it is not known', async () => {
    const profile = await loadProfile(out);
    const { split, folders } = profile.reference;
    const tell = (by: typeof split.by, more: { folders?: typeof folders; unseenDrive?: object } = {}) => {
      const { unseenDrive } = more;
      const reference = { ...profile.reference, split: { ...split, by }, folders: more.folders ?? folders };
      const falseAlarmRate = { ...profile.falseAlarmRate, ...(unseenDrive && { unseenDrive }) };
      const told = { ...profile, reference, falseAlarmRate } as typeof profile;
      const text = describeFit({ profile: told, skipped: [], outliers: { count: 0, images: [] }, warnings: [] }, out);
      return text.split('\n').find((line) => line.includes('new drive'));
    };
    expect(tell('folder')).toMatch(/as checked, because whole folders were left out/);
    expect(tell('pattern')).toMatch(/as checked, because whole groups were left out/);
    expect(tell('image')).toBeUndefined();
    expect(tell('time block', { folders: [...folders, ...folders] })).toMatch(
      /not known: leaving out any folder whole/,
    );
    const unseenDrive = { drives: 2, images: 50, flagged: 5, low: 0.033, high: 0.218 };
    expect(tell('time block', { unseenDrive })).toMatch(/5 of 50 images \(10 %; .* 2 folders were left out whole/);
  });

  it('holds rates by a fitted tail, says so everywhere, and takes no other kind', async () => {
    const file = join(folder, 'tail.stopline');
    const fitted = ['fit', reference, '--out', file, '--simulations', '0', '--power', '0', '--model', 'none'];
    const { code, stdout } = await runMeasured([...fitted, '--threshold', 'tail']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/warn +1 % false alarms expected by a fitted tail, none promised/);
    expect(stdout).toMatch(/block +0\.1 % false alarms expected by a fitted tail, none promised/);
    expect(stdout).toContain('an estimate, not a promise. What warn and block stands for is rarer');
    const { falseAlarmRate } = await loadProfile(file);
    expect(falseAlarmRate).toMatchObject({ promised: { warn: 0.01, block: 0.001 }, threshold: 'tail' });
    const frame = join(reference, readdirSync(reference).find((name) => /^\w*\d+\.jpg$/.test(name)) as string);
    const inspected = await runHere(['inspect', frame, '--profile', file]);
    expect(inspected.stdout).toContain('false alarms expected by a fitted tail: warn 1 %');
    const wrong = await runHere([...fitted, '--threshold', 'gpd']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('rank, tail');
  });

  it('shows progress on standard error as plain lines, because that is no terminal here', () => {
    expect(run.stderr).toMatch(
      /^1 of \d, measure: 63\/63 images \(100 %\) in \d+ s(, 1 known from before)?, 2 failed$/m,
    );
    expect(run.stderr).not.toContain('\u001b');
  });

  it('gives the same file for a seed whatever the number of threads, and another for another seed', async () => {
    const fitWith = async (...args: string[]) => {
      const file = join(folder, 'other.stopline');
      const { code, stdout } = await runHere([
        'fit',
        '--simulations',
        '0',
        '--power',
        '0',
        reference,
        '--out',
        file,
        '--json',
        // An embedding is compared by the tests of the library.
        '--model',
        'none',
        ...args,
      ]);
      expect(code).toBe(0);
      const { createdAt: _, sha256: __, ...description } = JSON.parse(stdout).profile;
      return { description, tensors: (await loadProfile(file)).tensors };
    };
    const one = await fitWith('--threads', '1', '--seed', '5');
    const two = await fitWith('--threads', '2', '--seed', '5');
    expect(two).toEqual(one);
    expect((await fitWith('--seed', '6')).tensors).not.toEqual(one.tensors);
  });

  it('measures nothing again that it has measured before, and fits the same', async () => {
    const cache = join(folder, 'cache');
    const fitOnce = async (...args: string[]) => {
      const file = join(folder, 'cached.stopline');
      const common = ['--simulations', '0', '--power', '0', '--model', 'none', '--cache', cache];
      const fitted = await runHere(['fit', reference, '--out', file, ...common, ...args]);
      expect(fitted.code).toBe(0);
      const { createdAt: _, sha256: __, ...profile } = await loadProfile(file);
      return { profile, stderr: fitted.stderr };
    };
    const first = await fitOnce('--no-cache');
    expect(existsSync(cache)).toBe(false);
    expect((await fitOnce()).stderr).not.toMatch(/6\d known from before/);
    const again = await fitOnce();
    expect(again.profile).toEqual(first.profile);
    expect(again.stderr).toMatch(
      /^1 of 2, measure: 63\/63 images \(100 %\) in \d+ s, 61 known from before, 2 failed$/m,
    );
    // Other options, the same measurements.
    expect((await fitOnce('--seed', '3', '--group-by', 'none')).stderr).toMatch(/61 known from before/);
  });

  it('answers Ctrl-C at once, and goes on from there', async () => {
    const cache = join(folder, 'stopped');
    const args = ['fit', reference, '--out', join(folder, 'stopped.stopline')];
    args.push('--simulations', '60', '--model', 'none', '--cache', cache);
    let isAsked = false;
    const stopped = await stopline(args, {
      onSpawn(child) {
        child.stderr?.on('data', (text: string) => {
          if (isAsked || !text.includes('2 of 3')) return;
          isAsked = true;
          child.kill('SIGINT');
        });
      },
    });
    expect(stopped.stderr).toMatch(/^stopline: interrupted$/m);
    // Ended by itself, or, where it did not come to that within a second, by the signal.
    expect([130, null]).toContain(stopped.code);
    // What it was at took long still.
    expect(stopped.stderr).not.toContain('3 of 3');
    expect(existsSync(join(folder, 'stopped.stopline'))).toBe(false);
    const next = await runHere([...args, '--power', '0', '--simulations', '0']);
    expect(next.code).toBe(0);
    expect(next.stderr).toMatch(/measure: .* 61 known from before/);
  });

  it('says how long it will take, and what would be faster', async () => {
    const many = join(folder, 'many');
    mkdirSync(many);
    const bytes = await jpegFrame(1);
    for (let i = 0; i < 200; i++) writeFileSync(join(many, `${i}.jpg`), bytes);
    const { stderr, stdout } = await runHere([
      ...['fit', many, '--out', join(folder, 'many.stopline'), '--threads', '1', '--power', '100'],
    ]);
    expect(stderr).toMatch(
      /^About \d+ (s|min) on 1 thread: measure 200 images, simulate causes on 120, train, report power\.$/m,
    );
    expect(stderr).toMatch(/^Faster: --power 0 \(/m);
    expect(stdout + stderr).not.toMatch(/Infinity|NaN/);
    const quiet = await runHere(['fit', many, '--out', join(folder, 'many.stopline'), '--quiet']);
    expect(quiet.stderr).toMatch(/^stopline: STOPLINE_ERR_FIT_TOO_FEW_IMAGES: .*\n$/);
  });

  it('fits without keeping anything where it cannot', async () => {
    const { code, stderr } = await runHere([
      ...['fit', reference, '--out', join(folder, 'nowhere.stopline'), '--simulations', '0', '--power', '0'],
      ...['--model', 'none', '--cache', out],
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^stopline: warning: measurements are not kept in ".*camera\.stopline": /m);
  });

  it('prints the Profile, skipped files and warnings as JSON', async () => {
    const file = join(folder, 'json.stopline');
    const { stdout, code } = await runMeasured([
      ...[
        'fit',
        '--simulations',
        '0',
        '--power',
        '0',
        reference,
        '--out',
        file,
        '--json',
        '--warn',
        '0.1',
        '--block',
        '0.05',
      ],
      ...['--group-by', '(\\d)\\.jpg$', '--model', 'none'],
    ]);
    expect(code).toBe(0);
    const { profile, skipped, warnings, file: named } = JSON.parse(stdout);
    expect(named).toBe(file);
    expect(profile.falseAlarmRate).toMatchObject({
      asked: { warn: 0.1, block: 0.05 },
      promised: { warn: 0.1, block: 0.05 },
    });
    // The last digits are the groups; `zcopy.jpg` has none, but it is a copy.
    expect(profile.reference.split).toMatchObject({ groups: 10, folds: 5 });
    expect(skipped.map(({ error }: { error: { code: string } }) => error.code).sort()).toEqual([
      'STOPLINE_ERR_IMAGE_EMPTY',
      'STOPLINE_ERR_IMAGE_TRUNCATED',
    ]);
    expect(warnings.length).toBeGreaterThan(0);
  });

  it('keeps control characters of file names out of the terminal', async () => {
    const hostile = join(folder, 'hostile');
    await renderFolder(hostile, 50);
    writeFileSync(join(hostile, 'a\u001b]0;owned\u0007\n.jpg'), 'no image');
    const { code, stdout, stderr } = await runHere([
      'fit',
      ...['--simulations', '0', '--power', '0', '--model', 'none'],
      hostile,
      '--out',
      join(folder, 'h.stopline'),
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain('a\ufffd]0;owned\ufffd\ufffd.jpg');
    expect(stdout + stderr).not.toMatch(/[^\P{Cc}\n]/u);
  });
});

describe('stopline fit refuses, and leaves no file', () => {
  const target = join(folder, 'never', 'x.stopline');
  const refused = join(folder, 'refused.stopline');

  const cases: [string, () => string[], number, string, RegExp][] = [
    ['a path that does not exist', () => [join(folder, 'none'), '--out', refused], 66, 'INPUT_NOT_FOUND', /does not exist/],
    ['a folder without images', () => [emptyFolder(), '--out', refused], 66, 'INPUT_NO_IMAGES', /found none/],
    ['too few images', () => [fewImages(), '--out', refused], 65, 'FIT_TOO_FEW_IMAGES', /at least 50.*99 to promise.*there are 3 files/],
    ['an output folder that does not exist', () => [reference, '--out', target], 73, 'OUTPUT_UNWRITABLE', /folder does not exist/],
    ['an output that is a folder', () => [reference, '--out', reference], 73, 'OUTPUT_UNWRITABLE', /not a regular file/],
    ['too few exposures', () => [reference, '--out', refused, '--simulations', '5'], 2, 'OPTION_INVALID', /none or 10 to 1000/],
    ['too few, by the older name', () => [reference, '--out', refused, '--exposures', '5'], 2, 'OPTION_INVALID', /none or 10 to 1000/],
    ['a rate above a half', () => [reference, '--out', refused, '--warn', '0.7'], 2, 'OPTION_INVALID', /0\.7/],
    ['a block rate above the warn rate', () => [reference, '--out', refused, '--warn', '0.01', '--block', '0.02'], 2, 'OPTION_INVALID', /block/],
    ['a pattern that is no regular expression', () => [reference, '--out', refused, '--group-by', '('], 2, 'OPTION_INVALID', /group-by/],
    ['a pattern that puts all images into one group', () => [reference, '--out', refused, '--group-by', 'frame'], 2, 'OPTION_INVALID', /two groups/],
    ['groups of which one has nearly all images', () => [reference, '--out', refused, '--group-by', 'frame5\\.|me'], 2, 'OPTION_INVALID', /two groups of similar size.*left to fit/],
  ]; // biome-ignore format: a table
  it.each(cases)('%s', async (_, args, code, name, message) => {
    const result = await runMeasured(['fit', ...args(), '--model', 'none', '--json']);
    expect(result.code).toBe(code);
    expect(readError(result)).toEqual({ code: `STOPLINE_ERR_${name}`, message: expect.stringMatching(message) });
    expect(result.stderr).toContain(`stopline: STOPLINE_ERR_${name}: `);
    expect(existsSync(refused)).toBe(false);
    expect(readdirSync(folder).filter((entry) => entry.endsWith('.tmp'))).toEqual([]);
  });

  function emptyFolder(): string {
    const empty = join(folder, 'empty');
    mkdirSync(empty, { recursive: true });
    writeFileSync(join(empty, 'notes.txt'), 'no image');
    return empty;
  }

  function fewImages(): string {
    const few = join(folder, 'few');
    mkdirSync(few, { recursive: true });
    for (const name of readdirSync(reference).slice(5, 8)) {
      writeFileSync(join(few, name), readFileSync(join(reference, name)));
    }
    return few;
  }

  it('a folder that may not be read', async (test) => {
    const closed = join(folder, 'closed');
    mkdirSync(closed);
    writeFileSync(join(closed, 'a.jpg'), await jpegFrame(0));
    chmodSync(closed, 0o000);
    // Root reads everything, so the command runs as another user where the tests run as root.
    const isRoot = process.getuid?.() === 0;
    if (isRoot && !(await canRunAs(65534)))
      return test.skip('root reads everything, and another user cannot run node here');
    const open = join(folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const args = ['fit', '--simulations', '0', '--power', '0', closed, '--out', join(open, 'x.stopline'), '--json'];
    const result = await stopline(args, isRoot ? { uid: 65534, cwd: '/' } : {});
    chmodSync(closed, 0o755);
    expect(result.code).toBe(66);
    expect(readError(result)).toEqual({
      code: 'STOPLINE_ERR_INPUT_UNREADABLE',
      message: expect.stringMatching(/closed.*permission denied/),
    });
    expect(readdirSync(open)).toEqual([]);
  });

  async function canRunAs(uid: number): Promise<boolean> {
    const result = await stopline(['--version'], { uid, cwd: '/' }).catch(() => undefined);
    return result?.code === 0;
  }

  it('images above the limits of the settings, which count as they do for inspect', async () => {
    const args = ['fit', reference, '--out', refused, '--model', 'none', '--no-cache', '--json'];
    const run = await runHere(args, { env: { STOPLINE_MAX_SIDE: '100' } });
    expect(run.code).toBe(65);
    expect(readError(run)).toEqual({
      code: 'STOPLINE_ERR_FIT_TOO_FEW_IMAGES',
      message: expect.stringMatching(/Expected sides of at most 100/),
    });
  });

  it('a Profile that cannot be replaced stays what it was', async () => {
    const before = { bytes: readFileSync(out), inode: statSync(out).ino };
    const result = await runHere(['fit', '--simulations', '0', '--power', '0', fewImages(), '--out', out]);
    expect(result.code).toBe(65);
    expect({ bytes: readFileSync(out), inode: statSync(out).ino }).toEqual(before);
  });
});
