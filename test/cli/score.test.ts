import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { openJob } from '../../src/run/rows/job.ts';
import type { Row } from '../../src/run/rows/row.ts';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { main, type Run, readError, runHere, stopline } from '../fixtures/cli.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const profile = at('camera.stopline');
const incoming = at('incoming');
const jsonl = at('verdicts.jsonl');
let run: Run;

beforeAll(async () => {
  // Rows with embeddings: test/e2e/embedding.test.ts.
  copyFileSync((await fitOnce(plainProfile)).profilePath, profile);
  const [first] = await renderFolder(incoming, 12, 100);
  await renderFolder(at('incoming', 'b'), 3, 200);
  writeFileSync(at('incoming', 'bad.jpg'), readFileSync(first).subarray(0, 1500));
  writeFileSync(at('incoming', '=1+1, "quoted".png'), '');
  writeFileSync(at('incoming', 'notes.txt'), 'not looked at');
  run = await runHere(['score', incoming, '--profile', profile, '--out', jsonl]);
});

const readRows = (text: string): Row[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** RFC 4180, the other way round: an independent reader for what `score` writes. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    rows.at(-1)?.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === '\r\n') rows.push([]);
  }
  rows.pop();
  return rows;
}

describe('stopline score', () => {
  it('writes one row an image in the order of the files, bad images as rows with an error', () => {
    expect(run.code).toBe(0);
    const rows = readRows(readFileSync(jsonl, 'utf8'));
    expect(rows.map(({ path }) => path)).toEqual([
      at('incoming', '=1+1, "quoted".png'),
      at('incoming', 'bad.jpg'),
      ...Array.from({ length: 12 }, (_, i) => at('incoming', `frame${100 + i}.jpg`)),
      ...Array.from({ length: 3 }, (_, i) => at('incoming', 'b', `frame${200 + i}.jpg`)),
    ]);
    expect(rows[0]).toEqual({
      path: at('incoming', '=1+1, "quoted".png'),
      error: { code: 'STOPLINE_ERR_IMAGE_EMPTY', message: expect.stringContaining('0 bytes') },
    });
    expect(rows[1]).toMatchObject({ error: { code: 'STOPLINE_ERR_IMAGE_TRUNCATED' } });
    expect(readdirSync(folder).filter((name) => name.startsWith('verdicts'))).toEqual(['verdicts.jsonl']);
  });

  it('gives each image the verdict that inspect gives it', async () => {
    const rows = readRows(readFileSync(jsonl, 'utf8'));
    const row = rows.at(-1) as Row;
    const { stdout } = await runHere(['inspect', row.path, '--profile', profile, '--json']);
    const { timingMs: _, ...verdict } = JSON.parse(stdout);
    expect(row).toEqual({ path: row.path, ...verdict });
  });

  it('sums up verdicts, shares and errors', () => {
    const rows = readRows(readFileSync(jsonl, 'utf8'));
    const passed = rows.filter((row) => 'verdict' in row && row.verdict === 'pass').length;
    expect(run.stdout).toContain(`17 rows written to ${jsonl} (jsonl)`);
    expect(run.stdout).toMatch(
      new RegExp(`^ {2}pass +${passed} +${Number((100 * (passed / 15)).toPrecision(3))} % +#+$`, 'm'),
    );
    expect(run.stdout).toMatch(/% warned or blocked; [\d.]+ % is promised/);
    expect(run.stdout).toContain('2 images could not be judged');
    expect(run.stdout).toMatch(/1 {2}STOPLINE_ERR_IMAGE_TRUNCATED {2}.*bad\.jpg/);
    expect(run.stderr).toMatch(/^score: 17\/17 images \(100 %\), [\d.]+\/s, 2 failed$/m);
  });

  it('sums up as JSON, whatever the number of threads', async () => {
    const out = at('threads.jsonl');
    const { code, stdout } = await runHere([
      'score',
      incoming,
      '--profile',
      profile,
      '--out',
      out,
      '--json',
      '--threads',
      '2',
    ]);
    expect(code).toBe(0);
    const summary = JSON.parse(stdout);
    const { promised } = (await loadProfile(profile)).falseAlarmRate;
    expect(summary).toMatchObject({ file: out, format: 'jsonl', images: 17, failed: 2, falseAlarmRate: promised });
    expect(summary.verdicts.pass + summary.verdicts.warn + summary.verdicts.block).toBe(15);
    expect(summary.errors.map(({ code, count }: { code: string; count: number }) => [code, count]).sort()).toEqual([
      ['STOPLINE_ERR_IMAGE_EMPTY', 1],
      ['STOPLINE_ERR_IMAGE_TRUNCATED', 1],
    ]);
    expect(readFileSync(out, 'utf8')).toBe(readFileSync(jsonl, 'utf8'));
  });

  it('writes the same values as CSV, by the ending of the file', async () => {
    const out = at('verdicts.csv');
    expect((await runHere(['score', incoming, '--profile', profile, '--out', out])).code).toBe(0);
    const [header, ...cells] = parseCsv(readFileSync(out, 'utf8'));
    const first =
      'path verdict decidedBy pValue score expectedFlipRate errorCode errorMessage reason format width height remarks';
    expect(header.slice(0, 13)).toEqual(first.split(' '));
    expect(header.slice(13)).toEqual(statistics.map(({ name }) => name));
    const rows = readRows(readFileSync(jsonl, 'utf8'));
    expect(cells).toHaveLength(rows.length);
    for (const [i, row] of rows.entries()) {
      const cell = Object.fromEntries(header.map((name, column) => [name, cells[i][column]]));
      expect(cells[i]).toHaveLength(header.length);
      expect(cell.path).toBe(row.path);
      if ('error' in row) {
        expect([cell.verdict, cell.errorCode, cell.errorMessage]).toEqual(['', row.error.code, row.error.message]);
        continue;
      }
      expect([cell.verdict, cell.format]).toEqual([row.verdict, row.image.format]);
      expect([cell.pValue, cell.score, cell.width, cell.height].map(Number)).toEqual([
        ...[row.pValue, row.score, row.image.width, row.image.height],
      ]);
      expect(cell.reason).toBe(row.reasons[0]?.text ?? '');
      for (const { name } of statistics) {
        expect(cell[name] === '' ? null : Number(cell[name])).toBe(row.statistics[name]);
      }
    }
  });

  it('writes a path that a spreadsheet would run as a formula as text', async () => {
    const { code, stdout } = await stopline(
      ['score', '=1+1, "quoted".png', '--profile', profile, '--out', '-', '--format', 'csv'],
      { cwd: incoming },
    );
    expect(code).toBe(0);
    expect(stdout.split('\r\n')[1]).toMatch(/^"'=1\+1, ""quoted"".png",,,,,,STOPLINE_ERR_IMAGE_EMPTY,/);
  });

  it('writes only rows to standard output with --out -', async () => {
    const { code, stdout, stderr } = await runHere(['score', incoming, '--profile', profile, '--out', '-']);
    expect(code).toBe(0);
    expect(readRows(stdout)).toHaveLength(17);
    expect(stderr).toContain('17 rows written to standard output');
  });

  it('ends quietly when its reader has seen enough', async () => {
    const child = spawn(process.execPath, [main, 'score', incoming, '--profile', profile, '--out', '-']);
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/EPIPE|Error/);
  });

  it('says of a finished run that there is nothing to resume, and leaves it as it is', async () => {
    const args = ['score', incoming, '--profile', profile, '--out', at('finished.jsonl')];
    expect((await runHere(args)).code).toBe(0);
    const before = readFileSync(at('finished.jsonl'));
    const again = await runHere([...args, '--resume']);
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toMatch(/finished\.jsonl is finished already, so there is nothing to resume/);
    expect(readFileSync(at('finished.jsonl'))).toEqual(before);
    const json = await runHere([...args, '--resume', '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ file: at('finished.jsonl'), finished: true });
  });

  it('goes on where it was interrupted, and then says nothing of it in the file', async () => {
    const many = at('many');
    mkdirSync(many);
    const bytes = await jpegFrame(300);
    for (let i = 0; i < 400; i++) writeFileSync(join(many, `${i}.jpg`), bytes);
    const out = at('interrupted.jsonl');
    const args = ['score', many, '--profile', profile, '--threads', '1', '--out', out];
    const { code, stderr } = await stopline(args, {
      onSpawn(child) {
        const watcher = watch(folder, (_, name) => {
          // Beyond the tables themselves it holds the first rows; a run without any leaves no job.
          if (name !== 'interrupted.jsonl.job-wal' || statSync(at(name)).size < 100_000) return;
          watcher.close();
          child.kill('SIGINT');
        });
      },
    });
    expect(code).toBe(130);
    const [, rows] =
      /interrupted after (\d+) of 400 images; their rows are in .*interrupted\.jsonl\.job/.exec(stderr) ?? [];
    expect(Number(rows)).toBeLessThan(400);
    expect(existsSync(out)).toBe(false);

    const again = await runHere([...args, '--json']);
    expect([again.code, readError(again).code]).toEqual([2, 'STOPLINE_ERR_JOB_EXISTS']);
    expect(readError(again).message).toContain(`holds ${rows} rows`);
    const other = await runHere([...args, '--json', '--resume', '--decide-by', 'combined', '--format', 'csv']);
    expect([other.code, readError(other).code]).toEqual([65, 'STOPLINE_ERR_JOB_CHANGED']);

    const undisturbed = at('undisturbed.jsonl');
    const [whole, resumed] = [
      await runHere(['score', many, '--profile', profile, '--threads', '1', '--out', undisturbed, '--json']),
      await runHere([...args, '--json', '--resume']),
    ].map(({ stdout }) => JSON.parse(stdout));
    expect(readFileSync(out, 'utf8')).toBe(readFileSync(undisturbed, 'utf8'));
    expect({ ...resumed, file: '', seconds: 0 }).toEqual({ ...whole, file: '', seconds: 0 });
    expect(existsSync(`${out}.job`)).toBe(false);
  });
});

/** A file size limit of the shell stands in for a full disk: the write fails with EFBIG where a disk gives ENOSPC. */
async function limited(kilobytes: number, args: string[]): Promise<{ code: unknown; stderr: string }> {
  const command = `trap '' XFSZ; ulimit -f ${kilobytes}; exec "$0" "$@"`;
  const child = spawn('bash', ['-c', command, process.execPath, main, ...args]);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, stderr };
}

describe('stopline score on a disk that becomes full', () => {
  it('stops with what was saved, and goes on when there is room', async () => {
    const many = at('full');
    mkdirSync(many);
    const bytes = await jpegFrame(301);
    for (let i = 0; i < 200; i++) writeFileSync(join(many, `${i}.jpg`), bytes);
    const out = at('full.jsonl');
    const args = ['score', many, '--profile', profile, '--threads', '1', '--out', out];
    const { code, stderr } = await limited(900, args);
    expect(stderr).toContain('STOPLINE_ERR_JOB_UNWRITABLE: ');
    expect(code).toBe(74);
    expect(existsSync(out)).toBe(false);
    const resumed = await runHere([...args, '--resume']);
    expect(resumed.stderr).toMatch(/200\/200 images/);
    const rows = readRows(readFileSync(out, 'utf8'));
    expect(rows.map(({ path }) => path)).toEqual(Array.from({ length: 200 }, (_, i) => join(many, `${i}.jpg`)));
  });
});

describe('stopline score refuses, and leaves no file', () => {
  const out = at('refused.jsonl');
  const cases: [string, () => string[], number, string][] = [
    ['a path that does not exist', () => [at('none'), '--profile', profile, '--out', out], 66, 'INPUT_NOT_FOUND'],
    ['a folder without images', () => [emptyFolder(), '--profile', profile, '--out', out], 66, 'INPUT_NO_IMAGES'],
    ['one good and one missing path', () => [incoming, at('none'), '--profile', profile, '--out', out], 66, 'INPUT_NOT_FOUND'],
    ['a Profile that does not exist', () => [incoming, '--profile', at('none'), '--out', out], 78, 'PROFILE_UNREADABLE'],
    ['a Profile that is none', () => [incoming, '--profile', jsonl, '--out', out], 78, 'PROFILE_'],
    ['an output folder that does not exist', () => [incoming, '--profile', profile, '--out', at('no', 'x')], 73, 'OUTPUT_UNWRITABLE'],
    ['an output that is a folder', () => [incoming, '--profile', profile, '--out', folder], 73, 'OUTPUT_UNWRITABLE'],
  ]; // biome-ignore format: a table
  it.each(cases)('%s', async (_, args, code, name) => {
    const result = await runHere(['score', ...args(), '--json']);
    expect(result.code).toBe(code);
    expect(readError(result).code).toMatch(`STOPLINE_ERR_${name}`);
    expect(readdirSync(folder).filter((entry) => entry.startsWith('refused'))).toEqual([]);
  });

  it('a disk that is full from the start', async () => {
    const { code, stderr } = await limited(4, ['score', incoming, '--profile', profile, '--out', out]);
    expect(stderr).toContain('stopline: STOPLINE_ERR_OUTPUT_UNWRITABLE: ');
    expect(code).toBe(73);
    expect(readdirSync(folder).filter((entry) => entry.startsWith('refused'))).toEqual([]);
  });

  function emptyFolder(): string {
    mkdirSync(at('empty'), { recursive: true });
    return at('empty');
  }
});

describe('a run that fails before its first row', () => {
  it('leaves nothing in the way of the next', async () => {
    const out = at('failed.jsonl');
    const args = ['score', 's3://footage/', '--s3-endpoint', 'http://127.0.0.1:1', '--profile', profile];
    const env = { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x', AWS_REGION: 'us-east-1' };
    const run = await runHere([...args, '--out', out], { env });
    expect(run.code, run.stderr).toBe(75);
    expect(readdirSync(folder).filter((name) => name.startsWith('failed'))).toEqual([]);
    // Nor does the job of one that was killed before its first row.
    openJob(`${out}.job`, { Profile: 'another' }, false).close();
    const next = await runHere(['score', at('incoming', 'b'), '--profile', profile, '--out', out]);
    expect(next.code, next.stderr).toBe(0);
  });
});
