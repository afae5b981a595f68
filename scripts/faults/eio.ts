import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Outcome, Stage } from './target.ts';

const main = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));

/** Which call fails on which file of a run of `score`, and from which time on: a disk that is broken stays broken. */
const faults = {
  'write of the log of rows': { file: '.job-wal', inject: 'pwrite64:error=EIO:when=9+' },
  'fsync of the log of rows': { file: '.job-wal', inject: 'fdatasync,fsync:error=EIO:when=1+' },
  'write of the rows': { file: '.job', inject: 'pwrite64:error=EIO:when=2+' },
  'fsync of the rows': { file: '.job', inject: 'fdatasync,fsync:error=EIO:when=2+' },
  'write of the output': { file: '.partial', inject: 'write,pwrite64,writev:error=EIO:when=1+' },
  'fsync of the output': { file: '.partial', inject: 'fsync,fdatasync:error=EIO:when=1' },
};

/** The disk fails under a batch: it ends with a code, and goes on with --resume to the bytes of a run that nothing disturbed. */
export async function run(stage: Stage): Promise<Outcome> {
  const { folder, frame, profile, count: images = 700 } = stage;
  const incoming = join(folder, 'incoming');
  mkdirSync(incoming);
  for (let i = 0; i < images; i++)
    writeFileSync(join(incoming, `frame${i}.jpg`), i % 17 === 3 ? frame.subarray(0, 900) : frame);
  // Without the cache of compiled code, whose files the injected faults would hit, too.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
  const score = (out: string, prefix: string[] = []) => {
    const [command, ...args] = [
      ...prefix,
      process.execPath,
      main,
      'score',
      incoming,
      '--profile',
      profile,
      '--out',
      out,
    ];
    return spawnSync(command, [...args, '--resume', '--json'], { encoding: 'utf8', env });
  };
  const undisturbed = join(folder, 'undisturbed.jsonl');
  score(undisturbed);
  const expected = readFileSync(undisturbed);
  const isWhole = (out: string) => existsSync(out) && readFileSync(out).equals(expected);

  const wrong: string[] = [];
  let told = 0;
  for (const [name, { file, inject }] of Object.entries(faults)) {
    const out = join(folder, 'disturbed.jsonl');
    const trace = join(folder, 'trace');
    const calls = inject.slice(0, inject.indexOf(':'));
    const strace = [
      'strace',
      '-f',
      '-qq',
      '-o',
      trace,
      '-P',
      out + file,
      '-e',
      `trace=${calls}`,
      '-e',
      `inject=${inject}`,
    ];
    const { status, stderr } = score(out, strace);
    const wasHit = readFileSync(trace, 'utf8').includes('(INJECTED)');
    if (!wasHit) wrong.push(`${name}: never called`);
    // Told with a code, and nothing under the name of the output that could be taken for the whole; or it was whole already,
    // and only the rows behind it were to be cleared away.
    const isTold = status !== 0 && /STOPLINE_ERR_(JOB|OUTPUT)_/.test(stderr) && !existsSync(out);
    if (!isTold && !(status === 0 && isWhole(out)))
      wrong.push(`${name}: exit ${status}, ${stderr.trim().split('\n').at(-1)?.slice(0, 200)}`);
    told += isTold ? 1 : 0;
    const resumed = score(out);
    if (resumed.status !== 0 || !isWhole(out))
      wrong.push(`${name}: resumed with ${resumed.status}, other bytes ${resumed.stderr.slice(-200)}`);
    rmSync(out, { force: true });
  }
  const places = Object.keys(faults).length;
  return {
    ok: wrong.length === 0 && told >= 4,
    figures: `EIO in ${places} places of a batch of ${images} images: ${told} told with a code, ${places - told} after the output was whole; ${wrong.length === 0 ? 'each resumed to the same bytes' : wrong.join('; ')}`,
  };
}
