import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import { listSources, profileFile, sourceRule } from '../../src/fit/percamera.ts';
import { encodeProfile, loadProfile } from '../../src/profile/file.ts';
import { renderFolder } from '../fixtures/camera.ts';
import { readError, runHere } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const drives = join(folder, 'drives');

beforeAll(async () => {
  await renderFolder(join(drives, 'front'), 60);
  await renderFolder(join(drives, 'rear', 'day1'), 30, 60);
  await renderFolder(join(drives, 'rear', 'day2'), 30, 90);
  await renderFolder(join(drives, 'side'), 5, 120);
});

const namesBy = async (per: string, paths = [drives]) => {
  const { sources, unmatched } = await listSources(paths, sourceRule(per, paths));
  return { sources: sources.map(({ name, file, images }) => `${name} ${file} ${images}`), unmatched };
};

describe('sources', () => {
  it('are folders, or what a pattern finds in the path', async () => {
    expect(await namesBy('folder')).toEqual({
      sources: [
        'front front.stopline 60',
        'rear/day1 rear-day1.stopline 30',
        'rear/day2 rear-day2.stopline 30',
        'side side.stopline 5',
      ],
      unmatched: 0,
    });
    expect(await namesBy('drives/(front|rear)')).toEqual({
      sources: ['front front.stopline 60', 'rear rear.stopline 60'],
      unmatched: 5,
    });
    expect(await namesBy('folder', [join(drives, 'front')])).toEqual({
      sources: ['front front.stopline 60'],
      unmatched: 0,
    });
    // Their own names tell several paths apart.
    const paths = [join(drives, 'rear', 'day1'), join(drives, 'front')];
    expect((await namesBy('folder', paths)).sources).toEqual(['day1 day1.stopline 30', 'front front.stopline 60']);
  });

  it('have file names that stay in the folder and are legible', () => {
    expect(profileFile('../../../etc/passwd')).toBe('etc-passwd.stopline');
    expect(profileFile('.hidden')).toBe('hidden.stopline');
    expect(profileFile('Kamera Süd\u0000:1')).toBe('Kamera-Süd-1.stopline');
    expect(profileFile('///')).toBe('source.stopline');
    expect(Buffer.byteLength(profileFile('\u{20000}'.repeat(500)))).toBeLessThan(240);
  });

  it('that would be written to one file are refused before anything is measured', async () => {
    const clash = join(folder, 'clash');
    for (const [i, name] of ['cam 1', 'cam-1'].entries()) {
      mkdirSync(join(clash, name), { recursive: true });
      copyFileSync(join(drives, 'front', `frame${i}.jpg`), join(clash, name, 'a.jpg'));
    }
    await expect(namesBy('folder', [clash])).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringMatching(/"cam 1" and "cam-1" would both be written to cam-1\.stopline/),
    });
  });

  it('must match something', async () => {
    await expect(namesBy('no such')).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    expect(() => sourceRule('(', [drives])).toThrow(/profile-per/);
    expect(() => sourceRule('none', [drives])).toThrow(/profile-per/);
  });
});

describe('stopline fit --profile-per', () => {
  const out = join(folder, 'profiles');
  /** What one run measures the next one knows. */
  const quick = ['--simulations', '0', '--power', '0', '--out', out, '--cache', join(folder, 'measured')];

  it('writes a Profile for each source; one that cannot be fitted is reported and does not stop the others', async () => {
    const { code, stdout } = await runHere(['fit', drives, '--profile-per', 'drives/([^/]+)', ...quick]);
    expect(code).toBe(65);
    expect(readdirSync(out).sort()).toEqual(['front.stopline', 'rear.stopline']);
    expect(stdout).toMatch(/^front: 60 images, warn .* -> .*front\.stopline$/m);
    expect(stdout).toMatch(/^rear: 60 images, warn .* -> .*rear\.stopline$/m);
    expect(stdout).toMatch(/^side: STOPLINE_ERR_FIT_TOO_FEW_IMAGES: .*received 5/m);
    const rear = await loadProfile(join(out, 'rear.stopline'));
    expect(rear.name).toBe('rear');
    const front = await loadProfile(join(out, 'front.stopline'));
    // The same Profile as a fit of that camera alone.
    const createdAt = new Date(front.createdAt);
    const alone = await fit({
      paths: [drives],
      only: ({ folder: current }) => basename(current) === 'front',
      name: 'front',
      createdAt,
      simulations: 0,
      power: 0,
    });
    expect(Buffer.from(encodeProfile(front))).toEqual(Buffer.from(encodeProfile(alone.profile)));
  });

  it('as JSON: an entry for each source', async () => {
    const { code, stdout, stderr } = await runHere([
      'fit',
      drives,
      '--profile-per',
      'drives/(front|side)',
      ...quick,
      '--json',
      '--strict',
    ]);
    expect(code).toBe(65);
    const { sources, unmatched, folder: named, leftOut } = JSON.parse(stdout.split('\n')[0]);
    expect(named).toBe(out);
    expect(leftOut).toEqual([
      { reason: expect.stringContaining('of no source'), count: 60, examples: Array(3).fill(expect.any(String)) },
    ]);
    expect(stderr).toMatch(/Left out:\n {2}60 image of no source/);
    expect(stdout.split('\n')[1]).toContain('STOPLINE_ERR_INPUT_LEFT_OUT');
    expect(unmatched).toBe(60);
    expect(sources).toMatchObject([
      {
        source: 'front',
        file: join(out, 'front.stopline'),
        profile: { name: 'front' },
        outliers: { count: expect.any(Number) },
      },
      { source: 'side', error: { code: 'STOPLINE_ERR_FIT_TOO_FEW_IMAGES' } },
    ]);
  });

  it('refuses a file where the folder should be', async () => {
    const file = join(drives, 'front', 'frame0.jpg');
    const refused = await runHere(['fit', drives, '--profile-per', 'folder', '--out', file, '--json']);
    expect(refused.code).toBe(73);
    expect(readError(refused).code).toBe('STOPLINE_ERR_OUTPUT_UNWRITABLE');
    expect(existsSync(join(drives, 'front', 'front.stopline'))).toBe(false);
  });
});
