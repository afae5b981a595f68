import { describe, expect, it } from 'vitest';
import { crossFitPlaces, type PlacedView } from '../../src/fit/places.ts';
import type { Sample } from '../../src/fit/samples.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { hideParts } from '../../src/image/patches.ts';
import { changedShares, measurePlaces } from '../../src/image/places.ts';
import { findParts, placeChances, placeOdds, strongestPlace } from '../../src/profile/places.ts';

const [width, height] = [160, 90];
type Draw = (x: number, y: number) => number;

/** A street that stays, under other light and noise, with a dark vehicle somewhere on the road. */
function drawStanding(image: number): Uint8Array {
  const random = new Random(image);
  const light = random.uniform(0.8, 1.2);
  const [carX, carY] = [random.integer(width), 55 + random.integer(25)];
  const wall: Draw = (x, y) => 60 + 50 * (((x >> 3) ^ (y >> 3)) & 1) + 20 * Math.sin(x / 3);
  const noise = random.normals(width * height, 0, 2);
  return drawGrey((x, y) => {
    const isCar = Math.abs(x - carX) < 12 && Math.abs(y - carY) < 5;
    const scene = y < 45 ? wall(x, y) : isCar ? 30 + 40 * ((x >> 1) & 1) : 90 + 12 * Math.sin((x + 2 * y) / 2);
    return light * scene + noise[y * width + x];
  });
}

/** Nothing but noise of another grain and level in every part of every image. */
function drawNothing(image: number): Uint8Array {
  const random = new Random(image);
  const levels = random.normals(200, 128, 60);
  const grains = random.normals(200, 0, 20);
  const noise = random.normals(width * height);
  return drawGrey((x, y) => {
    const part = (x >> 3) + 20 * (y >> 4);
    return levels[part % 200] + grains[part % 200] * noise[y * width + x];
  });
}

function drawGrey(draw: Draw): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const grey = Math.max(0, Math.min(255, draw(x, y)));
      const at = 3 * (y * width + x);
      data[at] = grey;
      data[at + 1] = grey;
      data[at + 2] = grey;
    }
  }
  return data;
}

const asFrame = (data: Uint8Array) => ({ data, width, height, channels: 3 as const });

function makeReference(draw: (image: number) => Uint8Array, images: number) {
  const drawn = Array.from({ length: images }, (_, i) => draw(i));
  const samples = drawn.map((data, i): Sample => {
    const places = measurePlaces(asFrame(data));
    const rest = { path: '', group: `${i}`, statistics: new Float64Array(), properties: {} };
    return { id: `${i}`, fold: i % 5, places, ...rest };
  });
  const views = drawn.map((data, i): PlacedView => {
    const hidden = hideParts({ data, width, height }, new Random(i));
    return {
      fold: i % 5,
      places: measurePlaces(asFrame(hidden)),
      hidden: changedShares(asFrame(data), asFrame(hidden)),
    };
  });
  return { samples, views };
}

describe('crossFitPlaces', () => {
  it('finds what hides a corner of a view that stays, and says where; a vehicle is none', () => {
    const { samples, views } = makeReference(drawStanding, 60);
    const fitted = crossFitPlaces(samples, views);
    if (!fitted) throw new Error('Expected a view that stays to be told by place.');
    const { found } = fitted.description;
    expect(found.flagged / found.images).toBeGreaterThan(0.6);
    const fresh = Array.from({ length: 40 }, (_, i) => drawStanding(1000 + i));
    const measureStrength = (data: Uint8Array) => strongestPlace(placeOdds(fitted.model, measurePlaces(asFrame(data))));
    const clean = fresh.map(measureStrength).sort((a, b) => a - b);
    const covered = fresh.map((data) => coverCorner(data));
    const caught = covered.filter((data) => measureStrength(data) > clean[clean.length - 2]).length;
    expect(caught).toBeGreaterThan(36);
    const places = measurePlaces(asFrame(covered[0]));
    const [part] = findParts(placeChances(placeOdds(fitted.model, places)));
    expect(part.text).toMatch(/^lower right corner, /);
  });

  it('tells nothing by place where no two images have anything in common', () => {
    const { samples, views } = makeReference(drawNothing, 40);
    const fitted = crossFitPlaces(samples, views);
    // What little it finds is said as it is.
    if (fitted) expect(fitted.description.found.flagged / fitted.description.found.images).toBeGreaterThanOrEqual(0.2);
    expect(crossFitPlaces(samples, [])).toBeUndefined();
  });
});

/** A soft dark thing of about 5 % of the picture. */
function coverCorner(data: Uint8Array): Uint8Array {
  return data.map((value, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const share = Math.max(0, Math.min(1, (22 - Math.hypot(x - 150, y - 80)) / 6));
    return Math.round(value + share * (35 - value));
  });
}
