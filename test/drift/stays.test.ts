import { expect, it } from 'vitest';
import { findStaying, type Stays, takeChances } from '../../src/drift/stays.ts';
import { placeCount, placeGrid } from '../../src/image/places.ts';

const usual = new Float64Array(placeCount).fill(0.05);
const smudged = 11 * placeGrid.columns + 14;

/** The chances of an image of a street: a vehicle hides a tile for one image, then the next. */
function look(image: number, { isSmudged = false } = {}): Float64Array {
  const chances = new Float64Array(placeCount).fill(0.04);
  chances[image % placeCount] = 0.95;
  if (isSmudged) chances.set([0.9, 0.9], smudged);
  return chances;
}

function watch(before: Stays | undefined, from: number, to: number, isSmudged: boolean): Stays {
  let stays = before;
  for (let image = from; image < to; image++) stays = takeChances(stays, look(image, { isSmudged }));
  return stays as Stays;
}

it('finds what stays within fifty images, says where, and forgets it when it is gone; what passes is none', () => {
  const clean = watch(undefined, 0, 200, false);
  expect(findStaying(clean, usual).parts).toEqual([]);
  const smeared = watch(clean, 200, 250, true);
  const { parts, map } = findStaying(smeared, usual);
  expect(parts.map(({ text }) => text)).toEqual(['lower right corner, 1 % of the picture']);
  expect(Number(map[smudged])).toBeGreaterThan(4);
  expect(findStaying(watch(smeared, 250, 300, false), usual).parts).toEqual([]);
});

it('says nothing of a few images, and nothing of what the reference has, too', () => {
  expect(findStaying(watch(undefined, 0, 10, true), usual).parts).toEqual([]);
  const scratched = usual.slice();
  scratched.set([0.8, 0.8], smudged);
  expect(findStaying(watch(undefined, 0, 100, true), scratched).parts).toEqual([]);
});

it('is small: less than two kilobytes when it is saved', () => {
  expect(JSON.stringify(watch(undefined, 0, 40, true)).length).toBeLessThan(2000);
});
