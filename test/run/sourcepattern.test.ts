import { expect, it } from 'vitest';
import { matchSources } from '../../src/run/sourcepattern.ts';

it('takes names as they are, and * for any text', () => {
  const pattern = matchSources(['front', 'yard-*', 'a.b']);
  const names = ['front', 'front2', 'yard-', 'yard-7', 'my-yard-7', 'a.b', 'axb'];
  expect(names.filter((name) => pattern?.test(name))).toEqual(['front', 'yard-', 'yard-7', 'a.b']);
  expect(matchSources(undefined)).toBeUndefined();
});
