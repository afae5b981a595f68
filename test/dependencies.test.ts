import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');

describe('docs/dependencies.md', () => {
  const sections = new Map(
    read('docs/dependencies.md')
      .split('\n## ')
      .slice(1)
      .map((section) => [section.split('\n', 1)[0], [...section.matchAll(/^\| `([^`]+)` \| (.+) \|$/gm)]]),
  );
  const named = (title: string) => (sections.get(title) ?? []).map(([, name]) => name).sort();
  const { dependencies, optionalDependencies, peerDependencies, devDependencies } = JSON.parse(read('package.json'));

  it('gives a reason for every package, and for no other', () => {
    const optional = Object.keys({ ...optionalDependencies, ...peerDependencies }).sort();
    expect(named('Needed to run')).toEqual(Object.keys(dependencies).sort());
    expect(named('Optional')).toEqual(optional);
    const others = Object.keys(devDependencies).filter((name) => !optional.includes(name));
    expect(named('To develop and test')).toEqual(others.sort());
    for (const rows of sections.values()) for (const [, name, why] of rows) expect(why, name).toMatch(/^[A-Z].*\.$/);
  });

  it('is true of what is installed: each version is one and is pinned', () => {
    const lock = JSON.parse(read('package-lock.json')).packages;
    for (const name of Object.keys(dependencies)) {
      expect(lock[`node_modules/${name}`], name).toMatchObject({
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        integrity: expect.stringMatching(/^sha512-/),
      });
    }
  });
});

describe('docs/threat-model.md', () => {
  it('names a test or a fault that exists for every promise', () => {
    const text = read('docs/threat-model.md');
    const rows = [...text.matchAll(/^\| (T\d+) \| .* \| (.+) \|$/gm)];
    expect(rows.length).toBeGreaterThan(15);
    const faults = read('scripts/faults.ts');
    for (const [, threat, checks] of rows) {
      const names = [...checks.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
      expect(names.length, threat).toBeGreaterThan(0);
      for (const name of names) {
        const [, fault] = /^faults (\w+)$/.exec(name) ?? [];
        if (fault) expect(faults, name).toContain(`./faults/${fault}.ts`);
        else if (name.startsWith('npm run '))
          expect(JSON.parse(read('package.json')).scripts).toHaveProperty([name.slice(8)]);
        else expect(() => read(name), name).not.toThrow();
      }
    }
  });
});
