/** What a release does to CHANGELOG.md. */

const unreleased = '## Unreleased';

export interface Cut {
  /** The changelog, whose unreleased changes now stand under the version, with an empty section before them. */
  changelog: string;
  /** What is new in the version, as Markdown without its heading. */
  notes: string;
}

/**
 * Gives the unreleased changes a version and a date.
 * @param date as 2026-11-28
 * @throws {Error} nothing is new, or the version is there already
 */
export function cutNotes(changelog: string, version: string, date: string): Cut {
  const [head, rest] = changelog.split(`${unreleased}\n`);
  if (rest === undefined) throw new Error(`Expected a section "${unreleased}" in CHANGELOG.md`);
  if (changelog.includes(`\n## ${version} (`))
    throw new Error(`Expected a new version but ${version} has its section already`);
  const next = rest.search(/^## /m);
  const notes = (next < 0 ? rest : rest.slice(0, next)).trim();
  if (notes === '') throw new Error(`Expected changes under "${unreleased}" but there are none`);
  const older = next < 0 ? '' : `\n${rest.slice(next)}`;
  return { notes: `${notes}\n`, changelog: `${head}${unreleased}\n\n## ${version} (${date})\n\n${notes}\n${older}` };
}

/** Whether one version of three numbers comes after another. */
export function isLater(next: string, version: string): boolean {
  if (!/^\d+\.\d+\.\d+$/.test(next)) return false;
  const [one, other] = [next, version].map((text) => text.split('.').map(Number));
  const at = one.findIndex((number, i) => number !== other[i]);
  return at >= 0 && one[at] > other[at];
}

/** Subjects of commits that are too long for a line, or do not say what they change: `type(scope): what changes for the user`. */
export function listOddSubjects(subjects: readonly string[]): string[] {
  return subjects.filter((subject) => subject.length > 72 || !/^[a-z]+(\([a-z0-9-]+\))?!?: \S/.test(subject));
}

/** What a packed tarball has to bring, by path within the package. */
const needed = [
  'dist/index.js',
  'dist/index.d.ts',
  'dist/cli/bin.js',
  'dist/core/stopline.wasm',
  'prebuilds/linux-x64/stopline.node',
  'prebuilds/linux-x64/confine.node',
  'prebuilds/linux-arm64/stopline.node',
  'prebuilds/linux-arm64/confine.node',
  'docs/README.md',
  'deploy/compose.yaml',
  'examples/README.md',
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'SECURITY.md',
];

/**
 * What is wrong with a tarball of a version; empty where nothing is.
 * @param files as tar lists them, such as `package/dist/index.js`
 * @param read gives the text of a file within the package
 */
export function listTarballFaults(files: readonly string[], read: (name: string) => string, version: string): string[] {
  const inside = new Set(files.map((file) => file.replace(/^package\//, '')));
  const missing = needed.filter((name) => !inside.has(name));
  const odd = [...inside].filter((name) => /^(test|src|scripts|site|artifacts|\.)|\.stopline$|\.tgz$/.test(name));
  const packed = JSON.parse(read('package.json')) as { version: string; bin: Record<string, string> };
  const faults = [
    ...(missing.length > 0 ? [`lacks ${missing.join(', ')}`] : []),
    ...(odd.length > 0 ? [`holds ${odd.slice(0, 5).join(', ')}`] : []),
    ...(packed.version === version ? [] : [`says version ${packed.version}`]),
    ...Object.values(packed.bin)
      .filter((path) => !inside.has(path))
      .map((path) => `has no ${path}, which package.json names as a command`),
  ];
  return read('CHANGELOG.md').includes(`\n## ${version} (`)
    ? faults
    : [...faults, `has a changelog without ${version}`];
}
