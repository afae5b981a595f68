import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../src');
/** A room imports only from rooms that stand before it; the doors (`index`, `fastify`) import any and are imported by none. */
const order = 'errors settings config core image profile run drift fit gate report server cli index fastify'.split(' ');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => /\.[jt]s$/.test(file));
const importPattern = /^(?:import|export)\b[^'";]*?from '(\.[^']+)'|^import '(\.[^']+)'|import\('(\.[^']+)'\)/gm;
/** Types count, too: who reads a file has to open what it imports. */
const imports = new Map(
  files.map((file) => [
    file,
    [...readFileSync(join(root, file), 'utf8').matchAll(importPattern)].map((match) =>
      posix.join(posix.dirname(file), match[1] ?? match[2] ?? match[3]),
    ),
  ]),
);
const rank = (file: string) => order.indexOf(file.split('/')[0].replace(/\.ts$/, ''));

it('every file of src stands in a room', () => {
  expect(files.filter((file) => rank(file) < 0)).toEqual([]);
  expect(imports.get('cli/main.ts')).toContain('cli/fit.ts');
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
