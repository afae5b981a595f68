import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const server = fileURLToPath(new URL('../../src/server', import.meta.url));

it('nothing in the process that answers decodes, measures or encodes an image: workers do that', () => {
  const files = readdirSync(server, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  expect(files.length).toBeGreaterThan(30);
  const pixels =
    /from '[./]*(?:image\/(?:decode|encode|measure|tiles|simulation)\.ts|profile\/inspector\.ts)'|\bsharp\(/;
  const found = files.filter((name) => pixels.test(readFileSync(join(server, name), 'utf8')));
  expect(found).toEqual([]);
});
