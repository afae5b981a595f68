import { describe, expect, it } from 'vitest';
import { cutNotes, isLater, listOddSubjects, listTarballFaults } from '../../../scripts/release/notes.ts';

const changelog = '# Changelog\n\n## Unreleased\n\n- New.\n\n## 0.1.0 (2026-01-02)\n\n- First.\n';

describe('cutNotes', () => {
  it('puts what is unreleased under the version, and leaves an empty section', () => {
    const cut = cutNotes(changelog, '0.2.0', '2026-11-28');
    expect(cut.notes).toBe('- New.\n');
    expect(cut.changelog).toBe(
      '# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-11-28)\n\n- New.\n\n## 0.1.0 (2026-01-02)\n\n- First.\n',
    );
  });

  it('makes the first release of a changelog without versions', () => {
    const cut = cutNotes('# Changelog\n\n## Unreleased\n\n- All.\n', '0.1.0', '2026-11-28');
    expect(cut.changelog).toBe('# Changelog\n\n## Unreleased\n\n## 0.1.0 (2026-11-28)\n\n- All.\n');
  });

  it.each([
    [
      'nothing is new',
      '# Changelog\n\n## Unreleased\n\n## 0.1.0 (2026-01-02)\n\n- First.\n',
      '0.2.0',
      /there are none/,
    ],
    ['the version is there', changelog, '0.1.0', /has its section already/],
    ['no section is open', '# Changelog\n', '0.1.0', /Expected a section/],
  ])('refuses where %s', (_, text, version, message) => {
    expect(() => cutNotes(text, version, '2026-11-28')).toThrow(message);
  });
});

describe('isLater', () => {
  it.each([
    ['0.2.0', '0.1.9', true],
    ['0.10.0', '0.9.0', true],
    ['1.0.0', '0.9.9', true],
    ['0.1.0', '0.1.0', false],
    ['0.1.0', '0.2.0', false],
    ['0.2', '0.1.0', false],
    ['v0.2.0', '0.1.0', false],
  ])('%s after %s: %s', (next, version, later) => {
    expect(isLater(next, version)).toBe(later);
  });
});

describe('listOddSubjects', () => {
  it('takes subjects that say what they change, in a line', () => {
    expect(listOddSubjects(['fix(gate): a route counts', 'feat!: another file', 'docs: a page'])).toEqual([]);
  });

  it('finds the others', () => {
    const long = `fix(gate): ${'x'.repeat(62)}`;
    expect(listOddSubjects([long, 'Fixed it', 'fix(gate):'])).toEqual([long, 'Fixed it', 'fix(gate):']);
  });
});

describe('listTarballFaults', () => {
  const files = [
    ...[
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/bin.js',
      'dist/core/stopline.wasm',
      'docs/README.md',
      'deploy/compose.yaml',
    ],
    ...['x64', 'arm64'].flatMap((architecture) =>
      ['stopline', 'decode', 'confine'].map((addon) => `prebuilds/linux-${architecture}/${addon}.node`),
    ),
    ...['examples/README.md', 'README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'package.json'],
  ].map((name) => `package/${name}`);
  const texts: Record<string, string> = {
    'package.json': '{ "version": "0.2.0", "bin": { "stopline": "dist/cli/bin.js" } }',
    'CHANGELOG.md': '# Changelog\n\n## 0.2.0 (2026-11-28)\n',
  };
  const list = (given: readonly string[], version = '0.2.0') =>
    listTarballFaults(given, (name) => texts[name], version);

  it('finds none in a whole one', () => {
    expect(list(files)).toEqual([]);
  });

  it('finds what is missing, what does not belong there, and another version', () => {
    expect(list(files.filter((name) => !name.includes('arm64')))).toEqual([
      'lacks prebuilds/linux-arm64/stopline.node, prebuilds/linux-arm64/confine.node',
    ]);
    expect(list(files.filter((name) => !name.endsWith('x64/confine.node')))).toEqual([
      'lacks prebuilds/linux-x64/confine.node',
    ]);
    expect(list([...files, 'package/test/a.test.ts', 'package/camera.stopline'])).toEqual([
      'holds test/a.test.ts, camera.stopline',
    ]);
    expect(list(files, '0.3.0')).toEqual(['says version 0.2.0', 'has a changelog without 0.3.0']);
    expect(list(files.filter((name) => !name.endsWith('bin.js')))).toEqual([
      'lacks dist/cli/bin.js',
      'has no dist/cli/bin.js, which package.json names as a command',
    ]);
  });
});
