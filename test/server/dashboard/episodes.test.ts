import { expect, it } from 'vitest';
import { groupEpisodes, readKind } from '../../../src/server/dashboard/episodes.js';
import type { QuarantineItem } from '../../../src/server/dashboard/types.js';

const minute = 60_000;
const item = (id: string, minutes: number, more: Partial<QuarantineItem> = {}): QuarantineItem => ({
  id,
  at: minutes * minute,
  source: 'front',
  requestId: id,
  verdict: 'block',
  pValue: 0.001,
  reason: `noisier than the reference: noiseSigma ${minutes} DN is above all 120 reference images`,
  format: 'jpeg',
  bytes: 1,
  ...more,
});

it.each([
  ['noisier than the reference: noiseSigma 39.26 DN is above all', 'noisier than the reference'],
  ['much darker than the reference: median brightness 5, usually 41 to 148', 'darker than the reference'],
  ['noiseSigma -3 DN', 'noiseSigma'],
  ['much darker than the reference: median brightness 31', 'darker than the reference'],
  ['', 'no single statistic stands out'],
  [undefined, 'no single statistic stands out'],
])('a reason is of a kind without its numbers: %s', (reason, kind) => {
  expect(readKind(reason)).toBe(kind);
});

it('images of one camera and kind are one episode until a pause of ten minutes', () => {
  const episodes = groupEpisodes([item('e', 40), item('d', 31), item('c', 21), item('b', 20), item('a', 12)]);
  expect(episodes.map(({ items, from, to }) => [items.map(({ id }) => id).join(''), from, to])).toEqual([
    ['ed', 31 * minute, 40 * minute],
    ['cba', 12 * minute, 21 * minute],
  ]);
});

it('other cameras and other kinds between them do not cut an episode', () => {
  const other = { reason: 'darker than the reference: lumaMean 3' };
  const episodes = groupEpisodes([item('d', 5), item('c', 4, { source: 'rear' }), item('b', 3, other), item('a', 2)]);
  expect(episodes.map(({ source, kind, items }) => `${source} ${kind} ${items.length}`)).toEqual([
    'front noisier than the reference 2',
    'rear noisier than the reference 1',
    'front darker than the reference 1',
  ]);
});

it('an episode keeps its key while older images are added', () => {
  const [short] = groupEpisodes([item('b', 3)]);
  const [long] = groupEpisodes([item('b', 3), item('a', 2)]);
  expect(long.key).toBe(short.key);
});
