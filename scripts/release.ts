/**
 * Prepares a release: `npm run release -- 0.2.0`. Checks that everything that a release needs is there, cuts the notes out of the
 * changelog, sets the version, commits, tags, and packs the tarball whose contents `npm run check:package` has proved. Nothing is
 * published: the last lines say what to type for that.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cutNotes, isLater, listOddSubjects } from './release/notes.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();

function prepare(next: string): void {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const isFirst = next === version && run('git', 'tag', '--list', `v${next}`) === '';
  if (!isFirst && !isLater(next, version)) {
    throw new Error(`Expected a version later than ${version} but received ${next}. Such as: npm run release -- 0.2.0`);
  }
  const changed = run('git', 'status', '--porcelain');
  if (changed !== '') throw new Error(`Expected a clean checkout but these are changed:\n${changed}`);
  const changelog = join(root, 'CHANGELOG.md');
  const cut = cutNotes(readFileSync(changelog, 'utf8'), next, new Date().toISOString().slice(0, 10));

  const [last] = run('git', 'tag', '--list', 'v*', '--sort=-creatordate').split('\n');
  const subjects = last === '' ? '' : run('git', 'log', '--no-merges', '--format=%s', `${last}..HEAD`);
  const odd = listOddSubjects(subjects.split('\n').filter((subject) => subject !== ''));
  if (odd.length > 0)
    throw new Error(`Expected subjects of at most 72 characters, such as "fix(gate): ...":\n${odd.join('\n')}`);

  // The long ones first: after them nothing can fail that would leave a version without a tag.
  for (const [script, ...flags] of [['build:native', '--all'], ['check'], ['test:only'], ['check:package']]) {
    console.log(`npm run ${script}`);
    execFileSync('npm', ['run', '-s', script as string, '--', ...flags], { cwd: root, stdio: 'inherit' });
  }
  writeFileSync(changelog, cut.changelog);
  run('npm', 'version', next, '--no-git-tag-version', '--allow-same-version');
  run('git', 'commit', '--all', '--message', `chore(release): ${next}`);
  run('git', 'tag', '--annotate', `v${next}`, '--message', `Stopline ${next}`);
  const folder = join(root, 'artifacts/release');
  mkdirSync(folder, { recursive: true });
  const notes = join(folder, `${next}.md`);
  writeFileSync(notes, cut.notes);
  const tarball = run('npm', 'pack', '--silent', '--pack-destination', folder).split('\n').at(-1);
  console.log(`Tagged v${next}. To publish: git push --follow-tags && npm publish artifacts/release/${tarball}`);
  console.log(`Notes: artifacts/release/${next}.md`);
}

try {
  const [next] = process.argv.slice(2);
  if (next === undefined) throw new Error('Expected a version: npm run release -- 0.2.0');
  prepare(next);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
