import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isSource, resolveEntry } from '../../src/core/entry.ts';

it('an entry is TypeScript beside TypeScript and JavaScript beside JavaScript', () => {
  const source = new URL('../../src/run/pool.ts', import.meta.url).href;
  expect(existsSync(resolveEntry('./worker', source))).toBe(true);
  expect(resolveEntry('./worker', 'file:///app/dist/run/pool.js')).toBe('/app/dist/run/worker.js');
  expect([isSource(source), isSource('file:///app/dist/run/pool.js')]).toEqual([true, false]);
});
