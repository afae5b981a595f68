import { expect, it } from 'vitest';
import { matchSources } from '../../src/run/sourcepattern.ts';

it('takes names as they are, and * for any text', () => {
  const pattern = matchSources(['front', 'yard-*', 'a.b']);
  const names = ['front', 'front2', 'yard-', 'yard-7', 'my-yard-7', 'a.b', 'axb'];
  expect(names.filter((name) => pattern?.test(name))).toEqual(['front', 'yard-', 'yard-7', 'a.b']);
  expect(matchSources(undefined)).toBeUndefined();
});

it.each([
  ['*', '', true],
  ['*', 'a\nb', true],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['*ab*b*', 'xabyb', true],
  ['*ab*ab', 'ab', false],
  ['**b', 'ab', true],
  ['a*', 'ba', false],
  ['', '', true],
  ['a', 'ab', false],
])('says of %j and %j: %s', (pattern, name, isOne) => {
  expect(matchSources([pattern])?.test(name)).toBe(isOne);
});

it('looks at a name once, whatever the number of stars', () => {
  // As a regular expression this one would not end.
  expect(matchSources([`${'*a'.repeat(60)}*b`])?.test('a'.repeat(128))).toBe(false);
  expect(matchSources([`${'*a'.repeat(60)}*`])?.test('a'.repeat(128))).toBe(true);
});
