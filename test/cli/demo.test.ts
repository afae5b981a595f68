import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadProfile } from '../../src/profile/file.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import { readError, runHere, stopline } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();

describe('stopline demo', () => {
  it('needs no files: fits, serves, judges and leaves a Profile and a page', async () => {
    const out = join(folder, 'demo');
    const { code, stdout, stderr } = await stopline(['demo', '--frames', '50', '--out', out, '--json']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^render: 50\/50 frames/m);
    expect(stderr).toMatch(/^1 of 3, measure: 50\/50 images/m);
    expect(stderr).toMatch(/^service: listening at http:\/\/127\.0\.0\.1:\d+$/m);

    const { files, conditions, falseAlarms, gate } = JSON.parse(stdout);
    const profile = await loadProfile(files.profile);
    expect(profile.reference.images).toBe(50);
    expect(conditions.map(({ label, images }: { label: string; images: number }) => [label, images])).toEqual([
      ['clean', 25],
      ...['rain', 'JPEG compression', 'blur', 'night', 'fog'].flatMap((cause) => [
        [`${cause} 1`, 3],
        [`${cause} 3`, 3],
      ]),
    ]);
    for (const { images, failed, verdicts } of conditions) {
      expect(failed).toBe(0);
      expect(verdicts.pass + verdicts.warn + verdicts.block).toBe(images);
    }
    // What nobody would call clean must not pass.
    const stopped = conditions.filter(({ label }: { label: string }) =>
      /^(blur|night|fog|JPEG compression) 3/.test(label),
    );
    for (const { verdicts } of stopped) expect(verdicts.pass).toBe(0);
    const [clean] = conditions;
    for (const { level, alarms, images, interval, promised, isKept } of falseAlarms) {
      expect(alarms).toBe(clean.verdicts.block + (level === 'warn' ? clean.verdicts.warn : 0));
      expect(interval).toEqual(clopperPearson(alarms, images));
      expect(isKept).toBe(interval.low <= promised);
    }

    // A real model answered what passed the gate, and was not asked about the other.
    expect(gate.map(({ label }: { label: string }) => label)).toEqual([
      'clean',
      'rain 3',
      'JPEG compression 3',
      'blur 3',
      'night 3',
      'fog 3',
    ]);
    for (const { status, verdict, answer } of gate) {
      if (verdict === 'block') expect([status, answer]).toEqual([422, expect.stringMatching(/^refused: \w+$/)]);
      else expect([status, answer]).toEqual([200, expect.stringMatching(/^1 x \d+ numbers of the model$/)]);
    }
    const page = readFileSync(files.page, 'utf8');
    // Six clean frames, three of every condition, all inside the page.
    expect([...page.matchAll(/<figure[^>]*><img src="data:image\/webp;base64,/g)]).toHaveLength(6 + 10 * 3);
    expect(page).not.toMatch(/<script|https?:|sheet\.png/);
    expect(readdirSync(files.frames)).toHaveLength(11);
    expect(existsSync(join(out, 'sheet.png'))).toBe(false);

    // The next commands that it names work.
    const next = await runHere(['inspect', join(out, 'frames', 'fog-3.jpg'), '--profile', files.profile]);
    expect([3, 4]).toContain(next.code);
  });

  it('says how many frames a Profile needs', async () => {
    const run = await runHere(['demo', '--frames', '20', '--out', join(folder, 'few'), '--json']);
    expect(run.code).toBe(65);
    expect(readError(run).code).toBe('STOPLINE_ERR_FIT_TOO_FEW_IMAGES');
  });

  it('refuses a number of frames that is none', async () => {
    const run = await runHere(['demo', '--frames', '0', '--out', join(folder, 'none'), '--json']);
    expect(run.code).toBe(2);
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});
