import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { killAndResume } from '../../../scripts/faults/batch.ts';
import type { Item } from '../../../src/run/inputs/item.ts';
import { fileVersion } from '../../../src/run/inputs/item.ts';
import { unfinishedItems } from '../../../src/run/judgeitems.ts';
import { type JobRow, openJob } from '../../../src/run/rows/job.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

const folder = temporaryFolder();
const identity = { Profile: 'abc', format: 'jsonl' };
const row = (name: string, version = 'v1'): JobRow => ({
  name,
  version,
  line: Buffer.from(`{"path":"${name}"}\n`),
  count: { path: name, verdict: 'pass', reasons: [] },
});
const coded = (name: string) => expect.objectContaining({ code: `STOPLINE_ERR_${name}` });

describe('openJob', () => {
  it('keeps rows in order over processes, whole windows of them without a commit', () => {
    const file = join(folder, 'order.job');
    const first = openJob(file, identity, false);
    for (let i = 0; i < 100; i++) first.add(row(`${i}`));
    expect(first.rows).toBe(64);
    first.close(); // as a crash would: what was not committed is lost
    const second = openJob(file, identity, true);
    expect(second.rows).toBe(64);
    for (let i = 64; i < 100; i++) second.add(row(`${i}`));
    second.commit();
    expect([...second.finished()].map(({ name }) => name)).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`));
    const lines = Buffer.concat([...second.lines()]).toString();
    expect(lines).toBe(Array.from({ length: 100 }, (_, i) => `{"path":"${i}"}\n`).join(''));
    second.close();
  });

  it('refuses another Profile, a second process, and a file that is none', async () => {
    const file = join(folder, 'refuse.job');
    const job = openJob(file, identity, false);
    expect(() => openJob(file, identity, true)).toThrow(coded('JOB_BUSY'));
    job.add(row('a'));
    job.commit();
    job.close();
    expect(() => openJob(file, identity, false)).toThrow(coded('JOB_EXISTS'));
    expect(() => openJob(file, { ...identity, Profile: 'def' }, true)).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_JOB_CHANGED', message: expect.stringContaining('Profile') }),
    );
    openJob(file, identity, true).close();
    writeFileSync(join(folder, 'none.job'), 'x'.repeat(5000));
    expect(() => openJob(join(folder, 'none.job'), identity, true)).toThrow(coded('JOB_INVALID'));
    truncateSync(file, statSync(file).size - 4096);
    expect(() => openJob(file, identity, true)).toThrow(coded('JOB_INVALID'));
    expect(() => openJob(join(folder, 'no', 'x.job'), identity, true)).toThrow(coded('OUTPUT_UNWRITABLE'));
    const gone = openJob(join(folder, 'gone.job'), identity, true);
    gone.add(row('a'));
    gone.commit();
    await gone.remove();
    expect(readdirSync(folder).filter((name) => name.startsWith('gone'))).toEqual([]);
  });
});

describe('unfinishedItems', () => {
  const path = join(folder, 'a.jpg');
  writeFileSync(path, '1');
  const started = openJob(join(folder, 'items.job'), identity, false);
  started.add(row(path, fileVersion(path)));
  started.add(row('b'));
  started.commit();
  const items = (...names: string[]) =>
    (async function* (): AsyncGenerator<Item> {
      for (const name of names) {
        yield name === path
          ? { name, folder, path }
          : { name, folder: '', version: 'v1', read: async () => Buffer.of() };
      }
    })();
  const rest = async (...names: string[]) => {
    const seen: string[] = [];
    const left: string[] = [];
    for await (const { name } of unfinishedItems(items(...names), started, ({ name }) => seen.push(name)))
      left.push(name);
    return { seen, left };
  };

  it('gives what has no row yet, and shows all', async () => {
    expect(await rest(path, 'b', 'c')).toEqual({ seen: [path, 'b', 'c'], left: ['c'] });
  });

  it.each([
    ['one more in between', [path, 'a2', 'b'], 'image 2 but found "a2"'],
    ['one less', [path], 'expected "b" as image 2 but found nothing'],
  ])('notices %s', async (_, names, text) => {
    await expect(rest(...names)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_JOB_CHANGED',
      message: expect.stringContaining(text),
    });
  });

  it('notices that a file was written again', async () => {
    writeFileSync(path, '22');
    await expect(rest(path, 'b')).rejects.toMatchObject({
      code: 'STOPLINE_ERR_JOB_CHANGED',
      message: expect.stringContaining('has another size or time'),
    });
    started.close();
  });
});

describe('a run that is killed with SIGKILL', () => {
  it('resumes to the same bytes, wherever it was killed', async () => {
    const report = await killAndResume({ kills: 4, images: 150, seed: 5 });
    expect(report).toMatchObject({ different: 0 });
    expect(report.kills).toBeGreaterThanOrEqual(4);
    expect(report.files).toBeGreaterThanOrEqual(1);
  });
});
