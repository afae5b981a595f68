import {
  clamp,
  light,
  outline,
  type Point,
  pulse,
  type Rgb,
  rasterise,
  type Scene,
  scale,
  texel,
  through,
  times,
} from './canvas.ts';

interface Ground {
  albedo: Rgb;
  /** Contrast of the fine grain and of the stains that are metres wide. */
  grain: number;
  stain: number;
  /** Share of the paint that traffic has taken off. */
  wear?: number;
  /** Side of the paving slabs in metres. */
  slab?: number;
}

function paintGround(scene: Scene, points: readonly Point[], ground: Ground): void {
  const { pixels, width, coverage, focal, centre, horizon, eyeX, eyeY } = scene;
  const { albedo, grain, stain, wear = 0, slab = 0 } = ground;
  const lit = times(albedo, light(scene, [0, 1, 0]));
  rasterise(scene, outline(scene, points), (y, from, to) => {
    const z = (focal * eyeY) / Math.max(y + 0.5 - horizon, 0.3);
    const metre = z / focal;
    // One texel per pixel at any distance: the texture is self-similar, so octaves replace mip levels.
    const fine = 2 ** -Math.ceil(Math.log2(metre * 1.4));
    const keep = through(scene, z);
    const [r, g, b] = scale(lit, keep);
    const [airR, airG, airB] = scale(scene.haze, 1 - keep);
    const scaleUp = fine * 0.5 * z;
    const far = z * 2.2 + 130;
    const joints = slab ? pulse(z / slab, 0, 0.05, (z * metre) / eyeY / slab) : 0;
    for (let x = from, i = (y * width + from) * 3; x < to; x++, i += 3) {
      const across = (x + 0.5 - centre) * metre + eyeX;
      const small = texel(across * fine, scaleUp);
      const large = texel(across * 11, far);
      let tone = 1 + grain * small + stain * large;
      if (slab) tone *= 1 - 0.35 * clamp(joints + pulse(across / slab, 0, 0.05, metre / slab));
      let a = coverage[x];
      if (wear) a *= clamp(1.25 - wear * (1 + 1.5 * large + 1.2 * small));
      pixels[i] += (r * tone + airR - pixels[i]) * a;
      pixels[i + 1] += (g * tone + airG - pixels[i + 1]) * a;
      pixels[i + 2] += (b * tone + airB - pixels[i + 2]) * a;
    }
  });
}

const flat = (x0: number, x1: number, z0: number, z1: number): Point[] => [
  [x0, 0, z0],
  [x1, 0, z0],
  [x1, 0, z1],
  [x0, 0, z1],
];

export interface Street {
  lanes: number;
  lane: number;
  half: number;
  pavement: number;
  /** The crossing street: where it begins and ends, and whether it leaves to the left and to the right. */
  cross: readonly [number, number];
  open: Record<-1 | 1, boolean>;
}

export function paintRoad(scene: Scene, street: Street): void {
  const { random } = scene;
  const { lanes, lane, half, pavement, cross, open } = street;
  const tone = 0.075 + 0.07 * random();
  const asphalt: Ground = { albedo: [tone, tone * 0.99, tone * 0.97], grain: 0.45, stain: 0.2 };
  const paving: Ground = {
    albedo: scale([0.3, 0.28, 0.25], 0.7 + 0.5 * random()),
    grain: 0.25,
    stain: 0.16,
    slab: 1.2,
  };
  const kerb: Ground = { albedo: [0.36, 0.35, 0.33], grain: 0.1, stain: 0.1 };
  const paint: Ground = { albedo: [0.62, 0.62, 0.6], grain: 0.06, stain: 0, wear: 0.15 + 0.4 * random() };
  const yellow: Ground = { ...paint, albedo: [0.62, 0.42, 0.08] };
  const grass: Ground = { albedo: [0.09, 0.11, 0.045], grain: 0.35, stain: 0.25 };
  paintGround(scene, flat(-half, half, 2, 4000), asphalt);
  for (const way of [-1, 1]) {
    paintGround(scene, flat(way * (half + pavement - 0.2), way * 900, 2, 4000), grass);
    paintGround(scene, flat(way * half, way * (half + pavement), 2, 900), paving);
    paintGround(scene, flat(way * (half - 0.1), way * (half + 0.3), 2, 900), kerb);
  }
  for (const way of [-1, 1] as const) {
    if (!open[way]) continue;
    paintGround(scene, flat(way * half, way * 120, cross[0] - 3, cross[1] + 3), paving);
    paintGround(scene, flat(way * half, way * 120, cross[0] - 0.3, cross[1] + 0.3), kerb);
    paintGround(scene, flat(way * (half - 0.4), way * 120, cross[0], cross[1]), asphalt);
  }
  for (let i = 0; i < lanes; i++) {
    const middle = -half + (i + 0.5) * lane;
    const track: Ground = { albedo: scale(asphalt.albedo, 0.82), grain: 0.4, stain: 0.2, wear: 0.75 };
    for (const wheel of [-0.8, 0.8])
      paintGround(scene, flat(middle + wheel - 0.3, middle + wheel + 0.3, 2, 300), track);
    if (random() < 0.5) {
      const z = 14 + 40 * random();
      const patch = flat(middle - 1.3 * random(), middle + 1.4 * random(), z, z + 2 + 7 * random());
      paintGround(scene, patch, { ...asphalt, albedo: scale(asphalt.albedo, 0.6 + 0.65 * random()) });
    }
  }
  for (let i = 1; i < lanes; i++) {
    const x = -half + i * lane;
    const spans = [
      [2, cross[0] - 4.6],
      [cross[1] + 4.6, 260],
    ];
    for (const [start, end] of spans) {
      if (i * 2 === lanes) {
        paintGround(scene, flat(x - 0.2, x - 0.08, start, end), yellow);
        paintGround(scene, flat(x + 0.08, x + 0.2, start, end), yellow);
      } else {
        for (let z = start; z < Math.min(end, 130); z += 9)
          paintGround(scene, flat(x - 0.08, x + 0.08, z, Math.min(end, z + 3.5)), paint);
      }
    }
  }
  paintGround(scene, flat(0, half, cross[0] - 5, cross[0] - 4.5), paint);
  paintGround(scene, flat(-half, 0, cross[1] + 4.5, cross[1] + 5), paint);
  for (const z of [cross[0] - 3.8, cross[1] + 0.8])
    for (let x = -half + 0.5; x < half - 0.4; x += 1.1) paintGround(scene, flat(x, x + 0.55, z, z + 3), paint);
}

/** Marks the shadow of an upright box on the ground: the hull of its base and of its top moved along the light. */
export function castBox(scene: Scene, x0: number, x1: number, z0: number, z1: number, height: number, depth = 1): void {
  const { sun } = scene;
  const [shiftX, shiftZ] = [(-sun[0] / sun[1]) * height, (-sun[2] / sun[1]) * height];
  const base = [x0, x1].flatMap((x) => [z0, z1].map((z) => [x, z] as const));
  const points = [...base, ...base.map(([x, z]) => [x + shiftX, z + shiftZ] as const)];
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const chain = (list: typeof points) => {
    const hull: typeof points = [];
    for (const p of list) {
      for (let a = hull.at(-2), b = hull.at(-1); a && b; a = hull.at(-2), b = hull.at(-1)) {
        if ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break;
        hull.pop();
      }
      hull.push(p);
    }
    return hull.slice(0, -1);
  };
  const hull = [...chain(points), ...chain(points.toReversed())];
  castPolygon(scene, outline(scene, hull.map(([x, z]): Point => [x, 0, z])), depth); // biome-ignore format: one thought
}

export function castPolygon(scene: Scene, points: readonly number[], depth: number, dapple = 0): void {
  const { shadow, width, coverage } = scene;
  rasterise(scene, points, (y, from, to) => {
    for (let x = from, i = y * width + from; x < to; x++, i++) {
      const dark = coverage[x] * depth * (dapple ? clamp(0.75 + dapple * texel(x, y * 2)) : 1);
      if (dark > shadow[i]) shadow[i] = dark;
    }
  });
}

export function applyShadow(scene: Scene): void {
  const { pixels, shadow, width, height, horizon, focal, eyeY, direct, ambient, sun } = scene;
  for (let y = Math.max(0, Math.ceil(horizon)); y < height; y++) {
    const keep = through(scene, (focal * eyeY) / Math.max(y + 0.5 - horizon, 0.3));
    const [r, g, b] = direct.map((d, c) => (keep * d * sun[1]) / (d * sun[1] + ambient[c]));
    for (let j = y * width, i = j * 3; j < (y + 1) * width; j++, i += 3) {
      if (shadow[j] === 0) continue;
      pixels[i] *= 1 - r * shadow[j];
      pixels[i + 1] *= 1 - g * shadow[j];
      pixels[i + 2] *= 1 - b * shadow[j];
    }
  }
}
