import {
  board,
  type Drawing,
  disc,
  fill,
  hazy,
  light,
  mix,
  outline,
  type Point,
  pick,
  plus,
  project,
  type Rgb,
  type Scene,
  scale,
  through,
  times,
} from './canvas.ts';
import { castBox } from './street.ts';

interface Car {
  length: number;
  width: number;
  height: number;
  /** Heights of boot and bonnet, and the cabin along the car: rear foot, rear roof, front roof, front foot. */
  boot: number;
  bonnet: number;
  cabin: readonly [number, number, number, number];
}

const models: readonly Car[] = [
  { length: 4.5, width: 1.8, height: 1.46, boot: 0.98, bonnet: 0.86, cabin: [0.45, 1.25, 2.55, 3.3] },
  { length: 4.1, width: 1.78, height: 1.5, boot: 0.95, bonnet: 0.88, cabin: [0.08, 0.6, 2.3, 3.1] },
  { length: 4.6, width: 1.9, height: 1.72, boot: 1.08, bonnet: 1.02, cabin: [0.08, 0.5, 2.6, 3.35] },
  { length: 5.2, width: 2, height: 2.3, boot: 1.15, bonnet: 1.15, cabin: [0.03, 0.12, 3.7, 4.5] },
];
const paints: readonly Rgb[] = [
  [0.62, 0.62, 0.6],
  [0.32, 0.33, 0.35],
  [0.02, 0.02, 0.024],
  [0.1, 0.105, 0.11],
  [0.34, 0.02, 0.02],
  [0.03, 0.07, 0.26],
  [0.48, 0.48, 0.47],
  [0.6, 0.4, 0.03],
  [0.03, 0.1, 0.07],
  [0.28, 0.22, 0.15],
];

/** Turns (along, up, across) of a car into the world. */
type Place = (along: number, up: number, across: number) => Point;

/** A car whose middle stands at (x, z). `heading`: 0 away, 2 towards the camera, 1 right, 3 left. */
const placed =
  (x: number, z: number, heading: number): Place =>
  (along, up, across) => {
    const [c, s] = [[1, 0, -1, 0][heading], [0, 1, 0, -1][heading]];
    return [x + along * s + across * c, up, z + along * c - across * s];
  };

/** A car whose middle stands at (x, z). */
export function drive(scene: Scene, x: number, z: number, heading: number, drawings: Drawing[]): void {
  const { random } = scene;
  const car = models[Math.floor(random() ** 1.3 * models.length)];
  const paint = pick(random, paints);
  const braking = random() < 0.5;
  const at = placed(x, z, heading);
  const [l, w] = heading & 1 ? [car.width / 2, car.length / 2] : [car.length / 2, car.width / 2];
  castBox(scene, x - w + 0.1, x + w - 0.1, z - l + 0.1, z + l - 0.1, car.height * 0.92);
  drawings.push([
    z - l,
    () => {
      // The dark under the car: no sun and little sky gets there.
      const ring = [-1, 1].flatMap((a) => [-1, 1].map((b) => [x + w * a, z + l * a * b] as const));
      const under = [ring[0], ring[1], ring[3], ring[2]];
      fill(scene, outline(scene, under.map(([px, pz]): Point => [px, 0, pz])), [0, 0, 0], 0, 0.6); // biome-ignore format: one thought
      new CarPainter(scene, car, paint, at).paint(braking);
    },
  ]);
}

const glass: Rgb = [0.02, 0.024, 0.027];

/** Paints the faces of one car that the camera sees. */
class CarPainter {
  readonly #scene: Scene;
  readonly #car: Car;
  readonly #paint: Rgb;
  readonly #at: Place;
  /** How far the middle of the car is away. */
  readonly #distance: number;
  /** The share of light that comes through the haze. */
  readonly #keep: number;
  readonly #half: number;
  /** Half the width of the roof. */
  readonly #roof: number;
  readonly #rear: number;
  readonly #front: number;
  /** The cabin along the car: rear foot, rear roof, front roof, front foot. */
  readonly #cabin: readonly number[];

  constructor(scene: Scene, car: Car, paint: Rgb, at: Place) {
    this.#scene = scene;
    this.#car = car;
    this.#paint = paint;
    this.#at = at;
    this.#distance = at(0, 0.6, 0)[2];
    this.#keep = through(scene, this.#distance);
    this.#half = car.width / 2;
    this.#roof = car.width * 0.4;
    this.#rear = -car.length / 2;
    this.#front = car.length / 2;
    this.#cabin = car.cabin.map((along) => along - car.length / 2);
  }

  paint(braking: boolean): void {
    this.#paintFlanks();
    this.#paintEnd(this.#rear, this.#car.boot, braking ? [1.6, 0.06, 0.04] : [0.2, 0.012, 0.012]);
    this.#paintEnd(this.#front, this.#car.bonnet - 0.1);
    this.#paintLids();
    this.#paintSideWindows();
    this.#paintScreens();
  }

  #paintFlanks(): void {
    const { boot, bonnet } = this.#car;
    const [at, rear, front, footFront] = [this.#at, this.#rear, this.#front, this.#cabin[3]];
    for (const flank of [-1, 1]) {
      const out = this.#turn(0, 0, flank);
      const s = flank * this.#half;
      const body = [at(rear, 0.28, s), at(rear, boot, s), at(footFront, bonnet + 0.06, s), at(front, bonnet - 0.12, s)];
      this.#paintFace([...body, at(front, 0.28, s)], out, this.#paint, 0.02, 0.15);
      for (const wheel of this.#distance < 60 ? [rear + 0.85, front - 0.85] : []) this.#paintWheel(wheel, s, out);
    }
  }

  #paintWheel(along: number, across: number, out: Point): void {
    for (const [size, albedo] of [
      [0.33, [0.015, 0.015, 0.015]],
      [0.19, [0.22, 0.22, 0.23]],
    ] as const) {
      const ring = disc(0, 0.33, size, size, 14);
      const rim = ring.flatMap((_, i) => (i & 1 ? [] : [this.#at(along + ring[i], ring[i + 1], across * 1.005)]));
      this.#paintFace(rim, out, albedo);
    }
  }

  /** The rear or the front of the car. `tailLight` is the colour of the lamps of a rear; those of a front are white. */
  #paintEnd(end: number, belt: number, tailLight?: Rgb): void {
    const half = this.#half;
    const out = this.#turn(tailLight ? -1 : 1, 0, 0);
    const paint = (low: number, high: number, from: number, to: number, albedo: Rgb) =>
      this.#paintFace(this.#standAcross(end, low, high, from, to), out, albedo);
    this.#paintFace(this.#standAcross(end, 0.25, belt, -half, half), out, this.#paint, 0.015, 0.12);
    if (this.#distance > 90) return;
    paint(0.22, 0.42, -half, half, [0.03, 0.03, 0.03]);
    if (!tailLight) paint(0.45, 0.66, -half * 0.5, half * 0.5, [0.015, 0.015, 0.016]);
    paint(0.48, 0.6, -0.26, 0.26, [0.55, 0.55, 0.5]);
    for (const flank of [-1, 1]) {
      const lamp = this.#standAcross(end, belt - 0.26, belt - 0.08, flank * half * 0.96, flank * half * 0.64);
      this.#paintGlow(lamp, out, tailLight ?? scale(this.#scene.haze, 1.1));
    }
    paint(0, 0.27, -half * 0.95, -half * 0.7, [0.01, 0.01, 0.01]);
    paint(0, 0.27, half * 0.95, half * 0.7, [0.01, 0.01, 0.01]);
  }

  /** Bonnet and boot. */
  #paintLids(): void {
    const { boot, bonnet } = this.#car;
    const half = this.#half;
    const [footRear, , , footFront] = this.#cabin;
    const hood = this.#spanPanel(footFront, this.#front, bonnet + 0.06, bonnet - 0.1, half * 0.96, half * 0.9);
    this.#paintFace(hood, this.#turn(0.1, 1, 0), this.#paint, 0.06);
    const lid = this.#spanPanel(this.#rear, footRear, boot, boot, half * 0.92, half * 0.92);
    this.#paintFace(lid, this.#turn(0, 1, 0), this.#paint, 0.06);
  }

  #paintSideWindows(): void {
    const { height, boot, bonnet } = this.#car;
    const [at, half, roof] = [this.#at, this.#half, this.#roof];
    const [footRear, roofRear, roofFront, footFront] = this.#cabin;
    for (const flank of [-1, 1]) {
      const out = this.#turn(0, 0.3, flank * 0.95);
      const corners = (inset: number, low: number) => [
        at(footRear + inset, boot + low, flank * half * 0.96),
        at(roofRear + inset * 0.6, height - low * 1.4, flank * roof),
        at(roofFront - inset * 0.6, height - low * 1.4, flank * roof),
        at(footFront - inset * 2, bonnet + 0.06 + low, flank * half * 0.96),
      ];
      this.#paintFace(corners(0, 0), out, this.#paint, 0.02);
      this.#paintFace(corners(0.16, 0.06), out, glass, 0.05);
    }
  }

  /** The rear window, the windscreen and the roof between them. */
  #paintScreens(): void {
    const { height, boot, bonnet } = this.#car;
    const [half, roof] = [this.#half, this.#roof];
    const [footRear, roofRear, roofFront, footFront] = this.#cabin;
    const slant = (rise: number, run: number) => [rise / Math.hypot(rise, run), run / Math.hypot(rise, run)];
    const [backUp, backOut] = slant(roofRear - footRear, height - boot);
    const [frontUp, frontOut] = slant(footFront - roofFront, height - bonnet);
    const back = this.#turn(-backOut, backUp, 0);
    const forth = this.#turn(frontOut, frontUp, 0);
    const panel = this.#spanPanel.bind(this);
    this.#paintFace(panel(footRear, roofRear, boot, height, half * 0.96, roof), back, this.#paint, 0.02);
    const rearGlass = panel(footRear, roofRear, boot + 0.05, height - 0.06, half * 0.84, roof * 0.9);
    this.#paintFace(rearGlass, back, glass, 0.1, 0.4);
    this.#paintFace(panel(footFront, roofFront, bonnet + 0.06, height, half * 0.96, roof), forth, this.#paint, 0.02);
    const windscreen = panel(footFront, roofFront, bonnet + 0.1, height - 0.05, half * 0.88, roof * 0.93);
    this.#paintFace(windscreen, forth, glass, 0.12, 0.4);
    this.#paintFace(panel(roofRear, roofFront, height, height, roof, roof), this.#turn(0, 1, 0), this.#paint, 0.06);
  }

  /** A direction of the car in the world. */
  #turn(along: number, up: number, across: number): Point {
    const here = this.#at(0, 0, 0);
    const there = this.#at(along, up, across);
    return [there[0] - here[0], there[1], there[2] - here[2]];
  }

  /** The corners of an upright face across the car. */
  #standAcross(along: number, low: number, high: number, from: number, to: number): Point[] {
    const at = this.#at;
    return [at(along, low, from), at(along, high, from), at(along, high, to), at(along, low, to)];
  }

  /** The corners of a face that runs along the car from (a, p) to (b, q), with the half widths of its ends. */
  #spanPanel(a: number, b: number, p: number, q: number, widthA: number, widthB: number): Point[] {
    const at = this.#at;
    return [at(a, p, -widthA), at(a, p, widthA), at(b, q, widthB), at(b, q, -widthB)];
  }

  #paintFace(corners: readonly Point[], normal: Point, albedo: Rgb, shine = 0, slope = 0): void {
    const scene = this.#scene;
    const [x, y, z] = corners[0];
    if ((scene.eyeX - x) * normal[0] + (scene.eyeY - y) * normal[1] + (0 - z) * normal[2] <= 0) return;
    const colour = plus(times(albedo, light(scene, normal)), scale(scene.haze, shine));
    fill(scene, outline(scene, corners), mix(scene.haze, colour, this.#keep), slope);
  }

  #paintGlow(corners: readonly Point[], normal: Point, colour: Rgb): void {
    const scene = this.#scene;
    const [x, , z] = corners[0];
    if ((scene.eyeX - x) * normal[0] + (0 - z) * normal[2] > 0)
      fill(scene, outline(scene, corners), mix(scene.haze, colour, this.#keep));
  }
}

export function walk(scene: Scene, x: number, z: number, drawings: Drawing[]): void {
  const { random } = scene;
  const tall = 1.55 + 0.3 * random();
  const [coat, legs] = [pick(random, paints), scale(pick(random, paints), 0.35)];
  const stride = 0.28 * random();
  castBox(scene, x - 0.2, x + 0.2, z, z + 0.25, tall, 0.9);
  drawings.push([
    z,
    () => {
      const lit = (albedo: Rgb) =>
        hazy(scene, times(albedo, light(scene, [0.4 * Math.sign(scene.sun[0]), 0.2, -0.8])), z);
      const shape = (points: readonly (readonly [number, number])[], albedo: Rgb) => {
        const world = points.map(([dx, dy]): Point => [x + dx, dy * tall, z]);
        fill(scene, outline(scene, world), lit(albedo), 0.1);
      };
      for (const foot of [-stride, stride]) {
        const [hip, toe] = [foot > 0 ? 0.08 : -0.08, foot];
        const points = [[hip - 0.08, 0.5], [hip + 0.08, 0.5], [toe + 0.06, 0], [toe - 0.06, 0]] as const; // biome-ignore format: one limb
        shape(points, legs);
      }
      shape([[-0.19, 0.82], [-0.1, 0.86], [0.1, 0.86], [0.19, 0.82], [0.24, 0.5], [0.15, 0.44], [-0.15, 0.44], [-0.24, 0.5]], coat); // biome-ignore format: one body
      const [hx, hy] = project(scene, [x, tall * 0.93, z]);
      fill(scene, disc(hx, hy, (0.1 * scene.focal) / z, (0.125 * scene.focal) / z, 10), lit([0.3, 0.19, 0.13]));
    },
  ]);
}

export type Aspect = 'red' | 'amber' | 'green';
const lamps: readonly (readonly [Aspect, Rgb])[] = [
  ['red', [2.6, 0.1, 0.05]],
  ['amber', [2.6, 1.1, 0.06]],
  ['green', [0.12, 2.1, 0.9]],
];

/** A head whose lowest edge hangs at `bottom` metres; 0.38 m by 1.14 m with lenses of 300 mm (EN 12368). */
function paintHead(scene: Scene, x: number, bottom: number, z: number, aspect: Aspect): void {
  const black: Rgb = [0.018, 0.018, 0.02];
  board(scene, x - 0.36, x + 0.36, bottom - 0.18, bottom + 1.32, z, [0.4, 0.4, 0.4]);
  board(scene, x - 0.32, x + 0.32, bottom - 0.14, bottom + 1.28, z, black);
  board(scene, x - 0.2, x + 0.2, bottom, bottom + 1.14, z, [0.04, 0.042, 0.042], 0.2);
  for (const [place, [name, colour]] of lamps.entries()) {
    const [cx, cy] = project(scene, [x, bottom + 0.95 - 0.38 * place, z]);
    const r = (0.165 * scene.focal) / z;
    fill(scene, disc(cx, cy - 0.22 * r, r * 1.1), scale(black, 0.5));
    const on = name === aspect;
    fill(
      scene,
      disc(cx, cy, r),
      hazy(scene, on ? colour : times(scale(colour, 0.025), scene.ambient), z),
      on ? 0.15 : 0.4,
    );
    if (!on) continue;
    fill(scene, disc(cx, cy, r * 0.5), plus(colour, [0.5, 0.5, 0.25]), 0, 0.6);
    for (let halo = 1; halo < 4; halo++) fill(scene, disc(cx, cy, r * (1 + 0.5 * halo)), colour, 0, 0.05);
  }
}

const steel: Rgb = [0.16, 0.17, 0.17];

export function signal(
  scene: Scene,
  foot: number,
  heads: readonly number[],
  z: number,
  aspect: Aspect,
  drawings: Drawing[],
): void {
  const tall = heads.some((x) => Math.abs(x - foot) > 0.5) ? 6.6 : 3.6;
  castBox(scene, foot - 0.12, foot + 0.12, z, z + 0.2, tall);
  drawings.push([
    z,
    () => {
      board(scene, foot - 0.11, foot + 0.11, 0, tall + 0.2, z, steel);
      board(scene, foot - 0.2, foot + 0.2, 0, 0.5, z, scale(steel, 0.7));
      for (const x of heads) {
        const arm = Math.abs(x - foot) > 0.5;
        if (arm) board(scene, Math.min(x, foot), Math.max(x, foot), tall - 0.16, tall, z, steel, 0.3);
      }
      for (const x of heads) paintHead(scene, x, Math.abs(x - foot) > 0.5 ? 5.2 : 2.5, z - 0.3, aspect);
    },
  ]);
}

export function lampPost(scene: Scene, x: number, z: number, drawings: Drawing[]): void {
  const reach = -Math.sign(x) * 1.8;
  castBox(scene, x - 0.1, x + 0.1, z, z + 0.2, 8.5);
  drawings.push([
    z,
    () => {
      board(scene, x - 0.08, x + 0.08, 0, 8.5, z, steel);
      board(scene, Math.min(x, x + reach), Math.max(x, x + reach), 8.42, 8.54, z, steel);
      board(scene, x + reach - 0.4, x + reach + 0.4, 8.34, 8.54, z, [0.3, 0.3, 0.3]);
    },
  ]);
}
