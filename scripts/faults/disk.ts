import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeKeys } from '../../src/profile/signature.ts';
import type { Outcome, Stage } from './target.ts';

const main = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));

/** The order in which a file must reach the disk for its name never to stand for half of it. */
const wanted = [/^fsync|^fdatasync/, /^rename/, /^fsync|^fdatasync/];

/** Calls on the temporary file and the folder of a traced write, in order. */
function readCalls(trace: string): string[] {
  return trace
    .split('\n')
    .map((line) => line.replace(/^\d+ +/, '').replace(/^\[pid +\d+\] /, ''))
    .filter((line) => /^(fsync|fdatasync|rename\w*)\(/.test(line) && !/ENOENT/.test(line));
}

function isOrdered(calls: readonly string[]): boolean {
  let at = 0;
  for (const call of calls) if (at < wanted.length && wanted[at].test(call)) at += 1;
  return at === wanted.length;
}

const calls = 'fsync,fdatasync,rename,renameat,renameat2';

/** A Profile is written while the disk is full, while fsync fails, and while every call is looked at. */
export async function run(stage: Stage): Promise<Outcome> {
  execFileSync('strace', ['-V'], { stdio: 'ignore' });
  const { folder, profile } = stage;
  const file = join(folder, 'written.stopline');
  copyFileSync(profile, file);
  const before = readFileSync(file);
  writeFileSync(join(folder, 'key.pem'), makeKeys().privateKey);
  const traceFile = join(folder, 'trace');
  // Without the cache of compiled code, whose files the injected faults would hit first.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
  const sign = [process.execPath, main, 'profile', 'sign', file, '--key', join(folder, 'key.pem')];
  const traced = (inject: string[]) =>
    spawnSync('strace', ['-f', '-qq', '-o', traceFile, '-e', `trace=${calls}`, ...inject, ...sign], {
      encoding: 'utf8',
      env,
    });
  /** The file may not grow beyond 50 KB: as on a full disk, the write stops in the middle. */
  const full = () => spawnSync('/bin/sh', ['-c', 'ulimit -f 100; exec "$0" "$@"', ...sign], { encoding: 'utf8', env });
  const results: string[] = [];
  const isUntouched = () =>
    readFileSync(file).equals(before) &&
    !readdirSync(dirname(file)).some((name) => name.startsWith(`.${basename(file)}`));
  const failing = { 'fsync gives EIO': () => traced(['-e', 'inject=fsync:error=EIO:when=1']), 'no more room': full };
  for (const [name, write] of Object.entries(failing)) {
    const { status, stderr } = write();
    const isGood = status === 73 && stderr.includes('OUTPUT_UNWRITABLE') && isUntouched();
    results.push(
      `${name}: exit ${status}, ${isUntouched() ? 'the old file stands, nothing left over' : 'the file was hurt'}${isGood ? '' : ' (wrong)'}`,
    );
  }
  const plain = traced([]);
  const order = readCalls(readFileSync(traceFile, 'utf8'));
  results.push(
    `then exit ${plain.status}, ${isOrdered(order) ? 'fsync, rename, fsync of the folder' : `not in order: ${order.join(' ')} (wrong)`}`,
  );
  // The control: a writer that renames without syncing, and one that forgets the folder, must be found out.
  const controls = [['rename("a", "b")'], ['fsync(3)', 'rename("a", "b")'], ['rename("a", "b")', 'fsync(3)']];
  const caught = controls.filter((control) => !isOrdered(control)).length;
  results.push(`${caught} of ${controls.length} careless writers found out`);
  return {
    ok: !results.some((text) => text.includes('(wrong)')) && caught === controls.length && plain.status === 0,
    figures: results.join('; '),
  };
}
