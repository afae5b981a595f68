import { spawnSync } from 'node:child_process';

/** The commit that is checked out, and whether its sources were changed since. */
export function readCommit(): string {
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).stdout.trim();
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', ':/src', ':/scripts', ':/native-bench');
  return `${git('rev-parse', '--short', 'HEAD') || 'unknown'}${changed === '' ? '' : ' with changes'}`;
}
