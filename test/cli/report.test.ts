import { copyFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderFolder } from '../fixtures/camera.ts';
import { runHere } from '../fixtures/cli.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
let profile: string;

beforeAll(async () => {
  profile = (await fitOnce(plainProfile)).profilePath;
  await renderFolder(at('incoming'), 3, 300);
  symlinkSync('../incoming/frame300.jpg', at('incoming/link.jpg'));
  for (const format of ['jsonl', 'csv', 'parquet']) {
    const run = await runHere(['score', at('incoming'), '--profile', profile, '--out', at(`run.${format}`)]);
    expect(run.code, run.stderr).toBe(0);
  }
});

describe('stopline report', () => {
  it.each([
    ['csv', 'CSV'],
    ['parquet', 'Parquet'],
  ])('of rows in %s says what to give', async (ending, name) => {
    // By what the file holds, whatever it is called.
    for (const file of [`run.${ending}`, 'renamed.txt']) {
      copyFileSync(at(`run.${ending}`), at('renamed.txt'));
      const run = await runHere(['report', at(file), '--profile', profile, '--out', at('page.html')]);
      expect(run.code).toBe(2);
      expect(run.stderr).toContain(`holds them as ${name}`);
      expect(run.stderr).toContain('--out verdicts.jsonl');
    }
  });

  it('of rows as JSON lines is drawn, whatever the file is called', async () => {
    copyFileSync(at('run.jsonl'), at('rows.txt'));
    const run = await runHere(['report', at('rows.txt'), '--profile', profile, '--out', at('page.html')]);
    expect(run.code, run.stderr).toBe(0);
  });

  it('of a Profile is drawn', async () => {
    const run = await runHere(['report', profile, '--out', at('profile.html')]);
    expect(run.code, run.stderr).toBe(0);
  });
});
