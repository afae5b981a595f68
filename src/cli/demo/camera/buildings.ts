import {
  board,
  clamp,
  type Drawing,
  disc,
  light,
  mix,
  outline,
  type Point,
  pick,
  plus,
  project,
  pulse,
  type Rgb,
  rasterise,
  type Scene,
  scale,
  side,
  texel,
  through,
  times,
} from './canvas.ts';
import { castBox, castPolygon, type Street } from './street.ts';

interface Wall {
  /** A wall along the road stands at x = x0 = x1; one that faces the camera stands at z = z0 = z1. */
  x0: number;
  x1: number;
  z0: number;
  z1: number;
  height: number;
  /** Below this height a nearer house hides it. */
  base: number;
}

interface Facade {
  albedo: Rgb;
  /** Bay width and storey height in metres, and the share of each that is glass. */
  bay: number;
  storey: number;
  glass: readonly [across: number, up: number];
  shop: Rgb;
  tag: number;
}

function paintWall(scene: Scene, wall: Wall, facade: Facade): void {
  const { pixels, width, coverage, focal, centre, horizon, eyeX, eyeY, ambient, zenith, haze } = scene;
  const { x0, x1, z0, z1, height, base } = wall;
  const { albedo, bay, storey, glass, shop, tag } = facade;
  const along = x0 === x1;
  const lit = light(scene, along ? [x0 > eyeX ? -1 : 1, 0, 0] : [0, 0, -1]);
  const plaster = times(albedo, lit);
  const front = times(shop, lit);
  const reflection = plus(scale(ambient, 0.13), scale(zenith, 0.07));
  const [keeps, depths, panes, places, cells] = scene.columns;
  const corners: Point[] = [
    [x0, base, z0],
    [x0, height, z0],
    [x1, height, z1],
    [x1, base, z1],
  ];
  const points = outline(scene, corners);
  const left = Math.max(0, Math.floor(Math.min(points[0], points[4])) - 1);
  const right = Math.min(width, Math.ceil(Math.max(points[0], points[4])) + 2);
  for (let x = left; x < right; x++) {
    const column = x + 0.5 - centre;
    const reach = (focal * (x0 - eyeX)) / column;
    const z = along ? clamp(reach > 0 ? reach : z1, z0, z1) : z0;
    const place = along ? z : (column * z) / focal + eyeX;
    const step = along ? z / Math.max(Math.abs(column), 1) : z / focal;
    depths[x] = z;
    keeps[x] = through(scene, z);
    places[x] = place * 22;
    cells[x] = Math.floor(place / bay) * 37 + tag;
    panes[x] = pulse(place / bay, 0.5 - glass[0] / 2, 0.5 + glass[0] / 2, step / bay);
  }
  const [hazeR, hazeG, hazeB] = haze;
  const [glassR, glassG, glassB] = reflection;
  const perStorey = 1 / storey;
  const stretch = perStorey / focal;
  const low = 0.5 - glass[1] / 2;
  const high = 0.5 + glass[1] / 2;
  rasterise(scene, points, (y, from, to) => {
    const rise = (y + 0.5 - horizon) / focal;
    const end = Math.min(to, right);
    for (let x = Math.max(from, left), i = (y * width + x) * 3; x < end; x++, i += 3) {
      const z = depths[x];
      const up = eyeY - rise * z;
      const shopFloor = up < 3.6;
      const floor = (up - 3.6) * perStorey;
      let pane = panes[x];
      if (up > height - 0.8) pane = 0;
      if (pane > 0)
        pane = shopFloor
          ? up > 0.5 && up < 2.7
            ? Math.min(1, pane * 1.6)
            : 0
          : pane * pulse(floor, low, high, z * stretch);
      let shine = 0;
      if (pane > 0) {
        const cell = texel(cells[x], Math.floor(floor) * 53 + tag);
        shine = pane * (0.35 + 1.1 * Math.max(0, 0.3 + cell) + 0.25 * (floor - Math.floor(floor)));
      }
      const edge = up > height - 0.7 ? 1.22 : up > 3.6 && up < 4 ? 0.8 : 1;
      const tone = (1 - pane) * edge * (1 + 0.2 * texel(places[x], up * 22));
      const keep = keeps[x];
      const body = shopFloor && up > 0.5 ? front : plaster;
      const a = coverage[x];
      pixels[i] += (hazeR + (body[0] * tone + glassR * shine - hazeR) * keep - pixels[i]) * a;
      pixels[i + 1] += (hazeG + (body[1] * tone + glassG * shine - hazeG) * keep - pixels[i + 1]) * a;
      pixels[i + 2] += (hazeB + (body[2] * tone + glassB * shine - hazeB) * keep - pixels[i + 2]) * a;
    }
  });
}

const plasters: readonly Rgb[] = [
  [0.42, 0.36, 0.27],
  [0.3, 0.14, 0.09],
  [0.5, 0.47, 0.42],
  [0.24, 0.24, 0.25],
  [0.44, 0.3, 0.17],
  [0.36, 0.38, 0.4],
  [0.22, 0.11, 0.08],
  [0.55, 0.5, 0.38],
];

const shopfronts: readonly Rgb[] = [
  [0.1, 0.1, 0.11],
  [0.3, 0.28, 0.24],
  [0.16, 0.05, 0.03],
  [0.04, 0.1, 0.08],
  [0.05, 0.08, 0.16],
  [0.34, 0.25, 0.14],
];

export function build(scene: Scene, street: Street, drawings: Drawing[]): void {
  const { random } = scene;
  const { half, pavement, cross, open } = street;
  const lowest = 6 + 8 * random();
  for (const way of [-1, 1] as const) {
    let before = { end: 0, x: 0, height: 0 };
    for (let z = 9 + 8 * random(); z < 190; ) {
      const length = 9 + 15 * random();
      const shop: Rgb = scale(pick(random, shopfronts), 0.6 + 0.6 * random());
      const storey = 3 + 0.5 * random();
      const height = 4.4 + storey * Math.round((lowest + 14 * random() ** 2) / storey - 1);
      const glass = [0.35 + 0.4 * random(), 0.45 + 0.25 * random()] as const;
      const facade = {
        albedo: pick(random, plasters),
        bay: 2.2 + 1.6 * random(),
        storey,
        glass,
        shop,
        tag: Math.floor(random() * side),
      };
      const setback = random() < 0.3 ? 3 * random() : 0;
      const garden = random() < 0.16;
      const step = random() < 0.15 ? 4 * random() : 0;
      const last = z;
      if (open[way] && z < cross[1] + 3.5 && z + length > cross[0] - 3.5) {
        // No house stands in the crossing street: end before it, or begin after it.
        if (cross[0] - 3.5 - z < 5) {
          z = cross[1] + 3.5;
          continue;
        }
        z = cross[0] - 3.5;
      } else z += length;
      const [start, end] = [last, z];
      z += step;
      const x = way * (half + pavement + setback);
      const wide = x + way * 16;
      if (garden) {
        for (let i = 0; i < 4; i++)
          plant(scene, x + way * (2 + 8 * random()), start + (end - start) * random(), 5 + 4 * random(), drawings);
        continue;
      }
      castBox(scene, Math.min(x, wide), Math.max(x, wide), start, end, height);
      const base = before.end === start && Math.abs(before.x) <= Math.abs(x) ? before.height : 0;
      before = { end, x, height };
      // Whatever stands nearer than the far end of a house stands in the street, before its wall.
      drawings.push([
        end,
        () => {
          paintWall(scene, { x0: x, x1: x, z0: start, z1: end, height, base: 0 }, facade);
          if (base < height) paintWall(scene, { x0: x, x1: wide, z0: start, z1: start, height, base }, facade);
        },
      ]);
    }
  }
}

export function plant(scene: Scene, x: number, z: number, height: number, drawings: Drawing[]): void {
  const { random } = scene;
  const radius = height * (0.26 + 0.1 * random());
  const tint = mix(mix([0.035, 0.075, 0.02], [0.1, 0.13, 0.03], random()), [0.2, 0.1, 0.02], random() ** 6);
  const blobs = Array.from({ length: 4 }, () => ({
    x: x + (random() - 0.5) * radius,
    y: height - radius * (0.9 + 0.9 * random()),
    size: radius * (0.65 + 0.3 * random()),
    texture: random() * side,
  }));
  const [shiftX, shiftZ] = [-scene.sun[0] / scene.sun[1], -scene.sun[2] / scene.sun[1]];
  for (const blob of blobs) {
    const ring = disc(x + shiftX * blob.y, z + shiftZ * blob.y, blob.size, blob.size, 12);
    const points = ring.flatMap((_, i) => (i & 1 ? [] : [[ring[i], 0, ring[i + 1]] as Point]));
    castPolygon(scene, outline(scene, points), 0.95, 0.7);
  }
  castBox(scene, x - 0.12, x + 0.12, z, z + 0.2, height * 0.6);
  drawings.push([
    z,
    () => {
      board(scene, x - 0.14, x + 0.14, 0, height - radius, z, [0.09, 0.07, 0.05]);
      for (const blob of blobs) paintCrown(scene, blob, z, tint);
    },
  ]);
}

function paintCrown(scene: Scene, blob: { x: number; y: number; size: number; texture: number }, z: number, tint: Rgb) {
  const { pixels, width, height, focal, sun, haze } = scene;
  const [cx, cy] = project(scene, [blob.x, blob.y, z]);
  const radius = (blob.size * 1.35 * focal) / z;
  const dark = times(tint, scale(scene.ambient, 0.75));
  const bright = plus(times(tint, scale(scene.direct, 1.25)), times(tint, scene.ambient));
  const keep = through(scene, z);
  const k = 44 / radius;
  const toSun = sun[2] < 0 ? 0.35 : -0.1;
  const [top, bottom] = [Math.max(0, Math.floor(cy - radius)), Math.min(height, Math.ceil(cy + radius))];
  for (let y = top; y < bottom; y++) {
    const dy = (y + 0.5 - cy) / radius;
    const reach = Math.sqrt(Math.max(0, 1 - dy * dy)) * radius;
    const from = Math.max(0, Math.floor(cx - reach));
    const to = Math.min(width, Math.ceil(cx + reach));
    for (let x = from, i = (y * width + from) * 3; x < to; x++, i += 3) {
      const dx = (x + 0.5 - cx) / radius;
      const clump = texel((x - cx) * k + blob.texture, (y - cy) * k);
      const leaf = texel(x * 1.7 + blob.texture, y * 1.7);
      const a = clamp((0.5 - dx * dx - dy * dy + 0.45 * clump + 0.3 * leaf) * Math.max(3, radius * 0.12));
      if (a === 0) continue;
      const lit = clamp(0.3 + toSun + 0.5 * (dx * sun[0] - dy * sun[1]) + 0.55 * clump + 0.45 * leaf);
      pixels[i] += (haze[0] + (dark[0] + (bright[0] - dark[0]) * lit - haze[0]) * keep - pixels[i]) * a;
      pixels[i + 1] += (haze[1] + (dark[1] + (bright[1] - dark[1]) * lit - haze[1]) * keep - pixels[i + 1]) * a;
      pixels[i + 2] += (haze[2] + (dark[2] + (bright[2] - dark[2]) * lit - haze[2]) * keep - pixels[i + 2]) * a;
    }
  }
}
