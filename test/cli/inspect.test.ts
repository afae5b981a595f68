import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import { decode } from '../../src/image/decode.ts';
import { encodeLike } from '../../src/image/encode.ts';
import { profileVersion } from '../../src/profile/checksum.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { decodeTensors, encodeTensors } from '../../src/profile/safetensors.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { jpegFrame } from '../fixtures/camera.ts';
import { main, readError, runHere, stopline } from '../fixtures/cli.ts';
import { fitOnce } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const profile = join(folder, 'camera.stopline');
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  // Rates at which one frame in four is warned about, so that one is found.
  const falseAlarmRate = { warn: 0.3, block: 0.06 };
  const fitted = await fitOnce({
    images: 60,
    simulations: 0,
    power: 0,
    model: 'none',
    name: 'test camera',
    falseAlarmRate,
  });
  copyFileSync(fitted.profilePath, profile);
  mkdirSync(at('reference'));
  const clean = await frameWith('pass');
  writeFileSync(at('clean.jpg'), clean);
  writeFileSync(at('some.jpg'), await frameWith('warn'));
  symlinkSync(at('clean.jpg'), at('link.jpg'));
  const { frame, container } = await decode(clean);
  writeFileSync(at('night.jpg'), await encodeLike(await corrupt(frame, 'night', 3, 1), container));
  writeFileSync(at('cut.jpg'), clean.subarray(0, clean.length >> 1));
  writeFileSync(at('zeros.jpg'), new Uint8Array(1000));
  writeFileSync(at('empty.jpg'), '');
  const flipped = Uint8Array.from(clean);
  flipped[3] ^= 0xff;
  writeFileSync(at('flipped.jpg'), flipped);
  writeFileSync(at('svg.jpg'), '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>');
});

/** A frame that was not fitted and gets this verdict: at these rates one in four is warned, and two in three pass. */
async function frameWith(verdict: Verdict['verdict']): Promise<Uint8Array> {
  const inspector = await createInspector({ profile });
  for (let index = 100; index < 160; index++) {
    const bytes = await jpegFrame(index);
    if ((await inspector.inspect(bytes)).verdict === verdict) return bytes;
  }
  throw new Error(`none of 60 frames got ${verdict}`);
}

describe('stopline inspect', () => {
  it('exits with 0 for an image like the reference and says so', async () => {
    const { code, stdout, stderr } = await runHere(['inspect', at('clean.jpg'), '--profile', profile]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^PASS {2}.*clean\.jpg\n {2}p-value 0?\.\d+ \(false alarms promised: warn 30 %, block 6 %\)/,
    );
    expect(stdout).toContain('Profile "test camera"');
    expect(stdout).not.toContain('\u001b');
  });

  it('exits with 4 for a frame at night, with reasons in words and bars', async () => {
    const { code, stdout } = await runHere(['inspect', at('night.jpg'), '--profile', profile]);
    expect(code).toBe(4);
    expect(stdout).toMatch(/^BLOCK /);
    expect(stdout).toMatch(/^ {2}1\. much darker than the reference: median brightness \d+, usually \d+ to \d+$/m);
    expect(stdout).toMatch(/^Probable cause {2}light or exposure$/m);
    expect(stdout).toMatch(/^What to do {2}on shift: [A-Z].*\.\n {12}data scientist: [A-Z].*\.$/m);
    // Names of statistics are for those who ask.
    expect(stdout).not.toContain('luma');
    const all = await runHere(['inspect', at('night.jpg'), '--profile', profile, '--verbose']);
    expect(all.stdout).toMatch(/^ {7}darker than the reference: lumaP50 \d+ DN is below all 60 reference images/m);
    // The median is far below the reference: the value lies left of its bar.
    expect(all.stdout).toMatch(/^lumaP50 +[\d.-]+ .*[<o] *\[/m);
  });

  it('judges several, also where one is bad, and exits with the highest status', async () => {
    const args = ['inspect', at('clean.jpg'), at('night.jpg'), at('some.jpg'), '--profile', profile];
    const { code, stdout } = await runHere(args);
    expect(code).toBe(4);
    expect(stdout.match(/^(PASS|BLOCK|WARN) /gm)).toEqual(['PASS ', 'BLOCK ', 'WARN ']);
    const json = await runHere([...args.slice(0, 2), at('cut.jpg'), ...args.slice(3), '--json']);
    expect(json.code).toBe(65);
    const [clean, cut, some] = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect([clean.path, clean.verdict, some.verdict]).toEqual([at('clean.jpg'), 'pass', 'warn']);
    expect(cut).toMatchObject({ path: at('cut.jpg'), error: { code: 'STOPLINE_ERR_IMAGE_TRUNCATED' } });
  });

  it('judges what comes on standard input', async () => {
    const run = await stopline(['inspect', '-', '--profile', profile], {
      onSpawn: (child) => child.stdin?.end(readFileSync(at('night.jpg'))),
    });
    expect(run.code).toBe(4);
    expect(run.stdout).toMatch(/^BLOCK {2}standard input$/m);
  });

  it.each([
    [
      'a folder',
      'reference',
      /is a folder\. To judge all of them: .* score .*reference --profile .* --out verdicts\.jsonl/,
    ],
    ['an archive', 'frames.tar', /is many images\. To judge all of them: .* score /],
    ['objects', 's3://bucket/frames/', /is in a bucket\. To judge all of them: .* score /],
    [
      'an address',
      'https://me:s3cret@host/x.jpg',
      /Fetch it first: curl -sSL 'https:\/\/\*\*\*@host\/x\.jpg' \| .* inspect - /,
    ],
  ])('names the command for %s', async (_, name, message) => {
    const { code, stderr } = await runHere(['inspect', name.includes('://') ? name : at(name), '--profile', profile]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('s3cret');
  });

  it('exits with 3 for an image between the two rates', async () => {
    const { code, stdout } = await runHere(['inspect', at('some.jpg'), '--profile', profile]);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^WARN /);
  });

  it('prints the verdict as JSON in the promised shape', async () => {
    const { stdout } = await runHere(['inspect', at('night.jpg'), '--profile', profile, '--json']);
    const verdict = JSON.parse(stdout);
    const bytes = readFileSync(at('night.jpg'));
    expect(verdict).toMatchObject({
      verdict: 'block',
      pValue: expect.any(Number),
      score: expect.any(Number),
      falseAlarmRate: { warn: 0.3, block: 0.06 },
      detectors: expect.arrayContaining([expect.objectContaining({ name: 'statistics', score: expect.any(Number) })]),
      image: { format: 'jpeg', width: 160, height: 90, bytes: bytes.length },
      profile: { name: 'test camera' },
      timingMs: { total: expect.any(Number) },
    });
    expect(verdict.image.sha256).toMatch(/^[0-9a-f]{64}$/);
    const measured = verdict.reasons.find((reason: { reference?: unknown }) => reason.reference);
    expect(measured).toEqual({
      group: expect.stringMatching(/^\w+$/),
      kind: expect.stringMatching(/^\w+$/),
      advice: expect.stringMatching(/\.$/),
      evidence: expect.arrayContaining([expect.objectContaining({ statistic: measured.statistic })]),
      statistic: expect.any(String),
      value: expect.any(Number),
      unit: expect.any(String),
      direction: expect.stringMatching(/^(high|low)$/),
      pValue: expect.any(Number),
      reference: { p01: expect.any(Number), p50: expect.any(Number), p99: expect.any(Number) },
      text: expect.any(String),
    });
    expect(verdict.statistics[measured.statistic]).toBe(measured.value);
  });

  it('takes the Profile from the environment, and measures the same with either core', async () => {
    const env = { STOPLINE_PROFILE: profile };
    const run = async (...args: string[]) => {
      const { timingMs: _, ...rest } = JSON.parse(
        (await runHere(['inspect', at('clean.jpg'), '--json', ...args], { env })).stdout,
      );
      return rest;
    };
    const [automatic, wasm] = [await run(), await run('--core', 'wasm')];
    expect(wasm.verdict).toBe(automatic.verdict);
    for (const [name, value] of Object.entries(automatic.statistics)) {
      if (value === null) expect(wasm.statistics[name]).toBeNull();
      else expect(wasm.statistics[name]).toBeCloseTo(value as number, 6);
    }
  });

  it('draws the image on a terminal that can, and nowhere else', async () => {
    // A terminal of its own, from util-linux; it writes line ends as terminals do.
    const onTerminal = async (env: Record<string, string>, ...args: string[]) => {
      const line = [process.execPath, main, 'inspect', at('night.jpg'), '--profile', profile, '--verbose', ...args];
      const command = `stty cols 200; ${line.map((word) => `'${word}'`).join(' ')}`;
      const { PATH, NODE_COMPILE_CACHE } = process.env;
      const child = promisify(execFile)('script', ['-qec', command, '/dev/null'], {
        env: { PATH, NODE_COMPILE_CACHE, TERM: 'xterm-256color', ...env },
      });
      return (await child.catch((error) => error)).stdout as string;
    };
    const colours = { COLORTERM: 'truecolor' };
    const drawn = await onTerminal(colours);
    const lines = drawn.split('\r\n').filter((text) => text.includes('\u2580'));
    // 160x90 in 44 columns is 12.4 characters high; at night it is dark.
    expect(lines).toHaveLength(13);
    // Beside the table, line by line.
    expect(lines[0]).toMatch(/^statistic .*p99 +.\[38;2;\d+;\d+;\d+;48;2/s);
    const [, ...colour] = /38;2;(\d+);(\d+);(\d+)/.exec(lines[6]) ?? [];
    expect(Math.max(...colour.map(Number))).toBeLessThan(100);
    const plain = await onTerminal({ ...colours, NO_COLOR: '1' });
    expect(plain).toContain('statistic');
    expect(plain).not.toContain('\u2580');
    expect(plain).not.toContain('\u001b');
    expect(await onTerminal({})).not.toContain('\u2580');
    expect(await onTerminal(colours, '--json')).not.toContain('\u2580');
  });

  it('loads neither what starts workers nor what runs networks where it needs neither', async () => {
    const hook = `import { registerHooks } from 'node:module';
      const loaded = [];
      registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
      process.on('exit', () => process.stderr.write(loaded.join('\\n')));`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` };
    const { code, stderr } = await stopline(['inspect', at('clean.jpg'), '--profile', profile], { env });
    expect(code).toBe(0);
    const loaded = stderr.split('\n');
    expect(loaded.filter((url) => url.endsWith('/profile/inspector.ts'))).toHaveLength(1);
    expect(loaded.filter((url) => /piscina|\/run\/pool\.|embedding\/open\./.test(url))).toEqual([]);
  });

  it('follows a link that the user names', async () => {
    expect((await runHere(['inspect', at('link.jpg'), '--profile', profile])).code).toBe(0);
  });
});

describe('stopline inspect refuses', () => {
  const truncated = () => readFileSync(profile).subarray(0, 5000);
  const bitFlipped = () => {
    const bytes = Uint8Array.from(readFileSync(profile));
    bytes[bytes.length - 100] ^= 1;
    return bytes;
  };
  const newer = () => {
    const { metadata, tensors } = decodeTensors(readFileSync(profile));
    return encodeTensors({ ...metadata, version: String(profileVersion + 1) }, tensors);
  };

  const cases: [string, string, (() => Uint8Array | string) | undefined, number, string][] = [
    ['an image that does not exist', 'none.jpg', undefined, 66, 'INPUT_NOT_FOUND'],
    ['a folder', 'reference', undefined, 2, 'OPTION_INVALID'],
    ['a truncated image', 'cut.jpg', undefined, 65, 'IMAGE_TRUNCATED'],
    ['a corrupted image', 'flipped.jpg', undefined, 65, 'IMAGE_'],
    ['an empty image', 'empty.jpg', undefined, 65, 'IMAGE_EMPTY'],
    ['zeros', 'zeros.jpg', undefined, 65, 'IMAGE_UNSUPPORTED'],
    ['an SVG named .jpg', 'svg.jpg', undefined, 65, 'IMAGE_UNSUPPORTED'],
    ['a truncated Profile', 'clean.jpg', truncated, 78, 'PROFILE_TRUNCATED'],
    ['a Profile with a flipped bit', 'clean.jpg', bitFlipped, 78, 'PROFILE_CHECKSUM'],
    ['a Profile of a newer version', 'clean.jpg', newer, 78, 'PROFILE_VERSION'],
    ['an empty Profile', 'clean.jpg', () => '', 78, 'PROFILE_'],
    ['a Profile that is an image', 'clean.jpg', () => readFileSync(at('clean.jpg')), 78, 'PROFILE_'],
  ]; // biome-ignore format: a table
  it.each(cases)('%s', async (_, image, bytes, code, name) => {
    if (bytes) writeFileSync(at('bad.stopline'), bytes());
    const args = ['inspect', at(image), '--profile', bytes ? at('bad.stopline') : profile];
    const run = await runHere(args);
    expect(run.code).toBe(code);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(new RegExp(`^stopline: STOPLINE_ERR_${name}\\w*: .+\n$`));
  });

  it.each([
    ['cut.jpg', () => profile, 65, 'IMAGE_TRUNCATED'],
    ['clean.jpg', () => at('clean.jpg'), 78, 'PROFILE_'],
  ])('%s with the error as JSON on standard output, too', async (image, file, code, name) => {
    const run = await runHere(['inspect', at(image), '--profile', file(), '--json']);
    expect(run.code).toBe(code);
    const error = readError(run);
    expect(error.code).toMatch(`STOPLINE_ERR_${name}`);
    expect(run.stderr).toBe(`stopline: ${error.code}: ${error.message}\n`);
  });

  it('a Profile that does not exist, and says how to make one', async () => {
    const run = await runHere(['inspect', at('clean.jpg'), '--profile', at('none.stopline')]);
    expect(run).toMatchObject({ code: 78, stdout: '' });
    expect(run.stderr).toMatch(/PROFILE_UNREADABLE.*stopline fit/);
  });

  it('a file name with escape sequences without printing them', async () => {
    const run = await runHere(['inspect', at('\u001b[2J.jpg'), '--profile', profile]);
    expect(run.code).toBe(66);
    expect(run.stderr).toContain('\\x1b[2J.jpg');
    expect(run.stderr).not.toContain('\u001b');
  });
});
