/**
 * Prepares a release: `npm run release -- 0.2.0`. Checks that everything that a release needs is there, cuts the notes out of the
 * changelog, sets the version, commits, tags, packs the tarball and looks into it. Nothing is published: the last lines say what to
 * type for that. With `--dry-run` all of it is done in a copy that is gone afterwards, without the long checks, which CI does.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.ts';
import { cutNotes, isLater, listOddSubjects, listTarballFaults } from './release/notes.ts';

const here = fileURLToPath(new URL('..', import.meta.url));

function run(root: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}

/** @throws {Error} The version, the checkout or a subject of a commit is not one of a release. */
function checkState(root: string, next: string): void {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const isFirst = next === version && run(root, 'git', 'tag', '--list', `v${next}`) === '';
  if (!isFirst && !isLater(next, version)) {
    throw new Error(`Expected a version later than ${version} but received ${next}. Such as: npm run release -- 0.2.0`);
  }
  const changed = run(root, 'git', 'status', '--porcelain');
  if (changed !== '') throw new Error(`Expected a clean checkout but these are changed:\n${changed}`);
  const [last] = run(root, 'git', 'tag', '--list', 'v*', '--sort=-creatordate').split('\n');
  const subjects = last === '' ? '' : run(root, 'git', 'log', '--no-merges', '--format=%s', `${last}..HEAD`);
  const odd = listOddSubjects(subjects.split('\n').filter((subject) => subject !== ''));
  if (odd.length > 0)
    throw new Error(`Expected subjects of at most 72 characters, such as "fix(gate): ...":\n${odd.join('\n')}`);
}

function prepare(root: string, next: string, { isDry }: { isDry: boolean }): void {
  checkState(root, next);
  const changelog = join(root, 'CHANGELOG.md');
  const cut = cutNotes(readFileSync(changelog, 'utf8'), next, new Date().toISOString().slice(0, 10));
  // The long ones first: after them nothing can fail that would leave a version without a tag.
  const long = [['build:native', '--all'], ['check'], ['test:only'], ['check:package']];
  for (const [script, ...flags] of isDry ? [] : long) {
    console.log(`npm run ${script}`);
    execFileSync('npm', ['run', '-s', script as string, '--', ...flags], { cwd: root, stdio: 'inherit' });
  }
  writeFileSync(changelog, cut.changelog);
  run(root, 'npm', 'version', next, '--no-git-tag-version', '--allow-same-version');
  run(root, 'git', 'commit', '--all', '--message', `chore(release): ${next}`);
  run(root, 'git', 'tag', '--annotate', `v${next}`, '--message', `Stopline ${next}`);
  const folder = join(root, 'artifacts/release');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${next}.md`), cut.notes);
  const tarball = run(root, 'npm', 'pack', '--silent', '--pack-destination', folder).split('\n').at(-1) as string;
  const packed = join(folder, tarball);
  const files = run(root, 'tar', '--list', '--file', packed).split('\n');
  const read = (name: string) => run(root, 'tar', '--extract', '--to-stdout', '--file', packed, `package/${name}`);
  const faults = listTarballFaults(files, read, next);
  if (faults.length > 0) throw new Error(`Expected a tarball to publish but ${tarball} ${faults.join('; ')}`);
  console.log(`Tagged v${next}, ${files.length} files in ${tarball}.`);
  console.log(`To publish: git push --follow-tags && npm publish artifacts/release/${tarball}`);
  console.log(`Notes: artifacts/release/${next}.md`);
}

/** The last commit in a folder of its own, with the packages and the built cores of this one. */
function tryIn(folder: string, next: string): void {
  run(here, 'git', 'clone', '--quiet', '--local', here, folder);
  // A clone knows nobody, and its commit is gone with it.
  for (const [key, value] of [
    ['user.name', 'Dry run'],
    ['user.email', 'dry@run.invalid'],
  ] as const) {
    run(folder, 'git', 'config', key, value);
  }
  symlinkSync(join(here, 'node_modules'), join(folder, 'node_modules'));
  appendFileSync(join(folder, '.git/info/exclude'), '/node_modules\n');
  if (existsSync(join(here, 'prebuilds')))
    cpSync(join(here, 'prebuilds'), join(folder, 'prebuilds'), { recursive: true });
  prepare(folder, next, { isDry: true });
}

const { values, names } = readArguments({
  command: 'npm run release --',
  about: 'Prepares a release: checks, notes, version, commit, tag, tarball. Nothing is published.',
  options: { 'dry-run': { default: false, says: 'in a copy that is gone afterwards, without the long checks' } },
  given: 'VERSION',
});
const [next] = names;
const isDry = values['dry-run'];
const copy = isDry ? mkdtempSync(join(tmpdir(), 'stopline-release-')) : undefined;
try {
  if (next === undefined) throw new Error('Expected a version: npm run release -- 0.2.0');
  if (copy === undefined) prepare(here, next, { isDry });
  else tryIn(copy, next);
  if (isDry) console.log('A dry run: nothing of this is left.');
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
}
