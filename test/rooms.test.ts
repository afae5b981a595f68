import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, it } from 'vitest';
import { findArrows, readImports, rooms } from '../scripts/rooms.ts';

const root = join(import.meta.dirname, '..');
/** A room imports only from rooms that stand before it; the doors (`index`, `fastify`, ...) import any and are imported by none. */
const order = [
  'version',
  'errors',
  'schema',
  'share',
  'settings',
  'config',
  ...rooms.map(({ name }) => name),
  'index',
  'fastify',
  'express',
  'hono',
  'frame',
  'koa',
  'node',
];
const imports = readImports();
const files = [...imports.keys()];
const rank = (file: string) => order.indexOf(file.split('/')[0].replace(/\.ts$/, ''));

it('every file of src stands in a room', () => {
  expect(files.filter((file) => rank(file) < 0)).toEqual([]);
  expect(imports.get('cli/commands.ts')).toContain('cli/fit.ts');
});

it('no room imports from a room after it', () => {
  const against = [...imports].flatMap(([file, targets]) =>
    targets.filter((target) => rank(target) > rank(file)).map((target) => `${file} imports ${target}`),
  );
  expect(against).toEqual([]);
});

it('no file imports itself through others', () => {
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] => {
    if (path.includes(file)) return [[...path.slice(path.indexOf(file)), file].join(' > ')];
    if (done.has(file)) return [];
    done.add(file);
    return (imports.get(file) ?? []).flatMap((target) => visit(target, [...path, file]));
  };
  expect(files.flatMap((file) => visit(file, []))).toEqual([]);
});

it('the picture leaves out an arrow only where a longer way says the same', () => {
  const none: string[] = [];
  const some = new Map([
    ['image/a.ts', ['core/a.ts', 'errors.ts']],
    ['profile/a.ts', ['image/a.ts', 'core/a.ts', 'profile/b.ts']],
    ['cli/a.ts', ['core/a.ts']],
  ]);
  const drawn = Object.fromEntries([...findArrows(some)].filter(([, targets]) => targets.length > 0));
  expect(drawn).toEqual({ image: ['core'], profile: ['image'], cli: ['core'] });
  expect(findArrows(new Map()).get('cli')).toEqual(none);
});

it('the architecture names every room in order with its sentence, every file beside them, and no path that is not there', () => {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, name, sentence]) => ({ name, sentence }));
  expect(rows).toEqual(rooms);
  const named = [page, readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8')].flatMap((text) =>
    [...text.matchAll(/`((?:src|test|scripts|docs)\/[\w./-]*)`/g)].map(([, path]) => path),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(files.filter((file) => !file.includes('/') && !named.includes(`src/${file}`))).toEqual([]);
  const asked = page.split('## Where do I put X?')[1].matchAll(/^\| an? .* \| .+ \|$/gm);
  expect([...asked].length).toBeGreaterThanOrEqual(10);
});

it('scripts and benchmarks take from the tests only what stands in test/fixtures', () => {
  const outside = ['scripts', 'native-bench', 'models'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => posix.join(folder, file)),
  );
  const wrong = outside.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/from '(\.[^']+)'/g)]
      .map(([, target]) => posix.join(posix.dirname(file), target))
      .filter((target) => target.startsWith('test/') && !target.startsWith('test/fixtures/'))
      .map((target) => `${file} imports ${target}`),
  );
  expect(outside).toContain('scripts/faults/gate.ts');
  expect(wrong).toEqual([]);
});
