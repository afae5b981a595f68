import { describe, expect, it } from 'vitest';
import { placeCount, placeGrid, placeMeasures } from '../../src/image/places.ts';
import {
  describePlaces,
  findParts,
  packChances,
  placeFeatures,
  placeOdds,
  strongestPlace,
  tellLayout,
  unpackChances,
} from '../../src/profile/places.ts';

const { columns, rows } = placeGrid;

function fill(left: number, top: number, wide: number, tall: number, value = 1): Float64Array {
  const chances = new Float64Array(placeCount);
  for (let y = top; y < top + tall; y++) for (let x = left; x < left + wide; x++) chances[y * columns + x] = value;
  return chances;
}

describe('findParts', () => {
  it.each([
    ['upper left corner, 2.1 % of the picture', fill(0, 0, 2, 2)],
    ['lower right corner, 6.3 % of the picture', fill(12, 9, 4, 3)],
    ['middle, 2.1 % of the picture', fill(7, 5, 2, 2)],
    ['left side, 1 % of the picture', fill(0, 5, 1, 2)],
    ['lower part, 25 % of the picture', fill(0, 9, columns, 3)],
    ['middle from top to bottom, 6.3 % of the picture', fill(8, 0, 1, rows)],
    ['most of the view, 75 % of the picture', fill(0, 0, columns, 9)],
  ])('%s', (text, chances) => {
    const [part, ...others] = findParts(chances);
    expect(part.text).toBe(text);
    expect(others).toEqual([]);
  });

  it('tells parts that do not touch one by one, the largest first, and many as one', () => {
    const two = fill(0, 0, 2, 2);
    two.set([1, 1, 1], 11 * columns + 12);
    expect(findParts(two).map(({ text }) => text.split(',')[0])).toEqual(['upper left corner', 'lower right corner']);
    two[0 * columns + 8] = 1;
    expect(findParts(two)).toHaveLength(2);
    const many = new Float64Array(placeCount);
    for (const tile of [0, 4, 8, 12, 64]) many[tile] = 1;
    expect(findParts(many).map(({ text }) => text)).toEqual(['5 places, 2.6 % of the picture']);
    expect(findParts(new Float64Array(placeCount))).toEqual([]);
  });

  it('says the rectangle in shares of the picture', () => {
    expect(findParts(fill(12, 9, 4, 3))[0]).toMatchObject({ left: 0.75, top: 0.75, right: 1, bottom: 1 });
  });
});

it('takes the strongest two by two tiles', () => {
  const odds = new Float64Array(placeCount).fill(-4);
  odds[0] = 8;
  expect(strongestPlace(odds)).toBe(-1);
  odds.set([4, 4], 50);
  odds.set([4, 4], 50 + columns);
  expect(strongestPlace(odds)).toBe(4);
});

describe('tellLayout', () => {
  const measures = placeMeasures.length;
  /** Light above dark, and something tall on the left. */
  const centre = Float64Array.from({ length: placeCount * measures }, (_, i) => {
    const tile = Math.floor(i / measures);
    return (tile < placeCount / 2 ? 3 : -3) + (tile % columns < 4 ? 2 : 0);
  });
  const model = { centre, spread: new Float64Array(centre.length).fill(1) };
  const show = (isAcross: boolean, isDown: boolean, shift = 0.4) =>
    Float32Array.from({ length: centre.length }, (_, i) => {
      const [tile, k] = [Math.floor(i / measures), i % measures];
      const [x, y] = [tile % columns, Math.floor(tile / columns)];
      const other = (isDown ? rows - 1 - y : y) * columns + (isAcross ? columns - 1 - x : x);
      return centre[other * measures + k] + shift * Math.sin(i);
    });

  it('says the way round in which everything is in its place', () => {
    expect(tellLayout(model, show(false, false))).toBe('upright');
    expect(tellLayout(model, show(true, false))).toBe('mirrored');
    expect(tellLayout(model, show(false, true))).toBe('upsideDown');
    expect(tellLayout(model, show(true, true))).toBe('upsideDown');
  });

  it('says nothing of a picture that fits in no way, nor of one that looks alike in all', () => {
    expect(tellLayout(model, show(false, true, 40))).toBe('upright');
    const even = { ...model, centre: new Float64Array(centre.length) };
    expect(tellLayout(even, show(false, true, 0))).toBe('upright');
    expect(
      tellLayout(
        even,
        Float32Array.from(centre, () => 0.5),
      ),
    ).toBe('upright');
  });
});

it('packs chances in a digit each', () => {
  const packed = packChances(fill(0, 0, 3, 1, 0.5));
  expect(packed).toHaveLength(placeCount);
  expect(packed.slice(0, 5)).toBe('55500');
  expect(unpackChances(packed)?.[0]).toBeCloseTo(5 / 9, 9);
  expect(unpackChances('12')).toBeUndefined();
  expect(unpackChances('x'.repeat(placeCount))).toBeUndefined();
});

it('computes the network as its definition says, tile by tile', () => {
  const size = placeCount * placeMeasures.length;
  const places = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
  const units = 4;
  const model = {
    centre: new Float64Array(size).map((_, i) => Math.cos(i)),
    spread: new Float64Array(size).fill(0.5),
    level: new Float64Array(placeMeasures.length).fill(0.1),
    range: new Float64Array(placeMeasures.length).fill(0.7),
  };
  const network = {
    ...{ features: placeFeatures, units, classes: 2 },
    hidden: Float64Array.from({ length: units * (placeFeatures + 1) }, (_, i) => Math.sin(3 * i) / 9),
    output: Float64Array.from({ length: (units + 1) * 2 }, (_, i) => Math.cos(5 * i)),
  };
  const features = describePlaces(model, places);
  const odds = placeOdds({ ...model, network }, places);
  for (const tile of [0, 17, placeCount - 1]) {
    const row = features.subarray(tile * placeFeatures, (tile + 1) * placeFeatures);
    let expected = network.output[2 * units + 1] - network.output[2 * units];
    for (let unit = 0; unit < units; unit++) {
      const base = unit * (placeFeatures + 1);
      const sum = row.reduce(
        (total, value, k) => total + network.hidden[base + k] * value,
        network.hidden[base + placeFeatures],
      );
      if (sum > 0) expected += sum * (network.output[2 * unit + 1] - network.output[2 * unit]);
    }
    expect(odds[tile]).toBeCloseTo(Math.max(-8, Math.min(8, expected)), 9);
  }
});
