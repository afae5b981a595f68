import type { PlacedImage } from '../../core/filters.ts';
import { openWorkspace, type Workspace } from '../../core/workspace.ts';
import { blurInPlace, type Pixels, resize } from './filter.ts';
import type { Random } from './random.ts';
import { blend, drawLine, plasma, smoothstep } from './texture.ts';

/** Drops per frame height squared of area, and the radius of the largest as a share of the height. */
const drops = [
  [5, 0.045],
  [11, 0.055],
  [20, 0.065],
  [34, 0.075],
  [55, 0.09],
] as const;

/** A small, smooth copy: what an out-of-focus drop shows of the scene. */
function miniature(space: Workspace, { data, width, height }: Pixels): PlacedImage {
  const factor = Math.max(1, Math.min(width, height) / 48);
  const w = Math.max(1, Math.round(width / factor));
  const h = Math.max(1, Math.round(height / factor));
  const cells = (count: number, size: number) =>
    space.write(Int32Array.from({ length: size }, (_, i) => Math.min(count - 1, Math.floor((i * count) / size))));
  const [columns, rows, pixels] = [cells(w, width), cells(h, height), space.write(data)];
  const [at, counts] = [space.zeros(w * h * 3), space.zeros(w * h)];
  space.kernels.stopline_cells(pixels, width, height, columns, rows, w, at, counts);
  const [sums, sizes] = [space.floats(at, w * h * 3), space.floats(counts, w * h)];
  for (let i = 0; i < sums.length; i++) sums[i] /= sizes[Math.floor(i / 3)];
  return { at, width: w, height: h, channels: 3 };
}

/**
 * Water drops on the lens or windscreen: each is a small fish-eye lens that shows the scene upside down and out of focus,
 * darker towards its rim (Halimeh and Roser 2009, "Raindrop detection on car windshields using geometric-photometric
 * environment construction"). Sizes scale with the height.
 */
export function lensDrops(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { data, width, height } = pixels;
  const [density, largest] = drops[severity - 1];
  const space = openWorkspace();
  const scene = miniature(space, pixels);
  blurInPlace(space, scene, 0.8);
  const shown = space.floats(scene.at, scene.width * scene.height * 3);
  const out = data.slice();
  const count = Math.max(1, Math.round((density * width) / height));
  for (let n = 0; n < count; n++) {
    const radius = Math.max(1.5, largest * height * (0.3 + 0.7 * random.uniform() ** 2));
    const cx = random.uniform(0, width);
    const cy = random.uniform(0, height);
    const wobble = [random.uniform(0.04, 0.14), random.uniform(0, 7), random.uniform(0.02, 0.08), random.uniform(0, 7)];
    // A little more than the outline reaches: what is rounded then does not matter.
    const widest = 1.001 + wobble[0] + wobble[2];
    const stretch = random.uniform(1, 1.35);
    const top = Math.max(0, Math.floor(cy - radius * 1.7));
    const bottom = Math.min(height - 1, Math.ceil(cy + radius * 1.7));
    const left = Math.max(0, Math.floor(cx - radius * 1.3));
    const right = Math.min(width - 1, Math.ceil(cx + radius * 1.3));
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const dx = (x - cx) / radius;
        const dy = (y - cy) / (radius * stretch);
        const distance = Math.sqrt(dx * dx + dy * dy);
        if (distance > widest) continue;
        const angle = Math.atan2(dy, dx);
        const outline = 1 + wobble[0] * Math.sin(2 * angle + wobble[1]) + wobble[2] * Math.sin(3 * angle + wobble[3]);
        const r = distance / outline;
        if (r >= 1) continue;
        const alpha = 1 - smoothstep(0.8, 1, r);
        // Refraction grows towards the rim, so the scene is squeezed there.
        const bend = 0.55 + 0.45 * r * r;
        const u = 0.5 + 0.4 * (cx / width - 0.5) - 0.5 * bend * dx;
        const v = 0.5 + 0.3 * (cy / height - 0.5) - 0.5 * bend * dy;
        const sx = Math.min(scene.width - 1, Math.max(0, Math.floor(u * scene.width)));
        const sy = Math.min(scene.height - 1, Math.max(0, Math.floor(v * scene.height)));
        const shade = 1.02 - 0.45 * r ** 5 - 0.1 * dy;
        const from = (sy * scene.width + sx) * 3;
        const to = (y * width + x) * 3;
        for (let c = 0; c < 3; c++) {
          const v8 = Math.min(255, shade * shown[from + c] + 6);
          out[to + c] = out[to + c] + alpha * (v8 - out[to + c]) + 0.5;
        }
      }
    }
  }
  return out;
}

/** Opacity of the ice (ImageNet-C `frost` weights), how far it grows in from the border (share of the shorter side), crystals. */
const ice = [
  { opacity: 0.4, reach: 0.16, crystals: 26 },
  { opacity: 0.6, reach: 0.24, crystals: 40 },
  { opacity: 0.7, reach: 0.34, crystals: 60 },
  { opacity: 0.75, reach: 0.46, crystals: 85 },
  { opacity: 0.8, reach: 0.62, crystals: 110 },
] as const;

/** One feather: a stem with side branches at 60 degrees, the angle at which ice grows. */
function growCrystal(
  space: Workspace,
  mask: PlacedImage,
  x: number,
  y: number,
  angle: number,
  length: number,
  depth: number,
  random: Random,
): void {
  const unit = Math.min(mask.width, mask.height) / 360;
  const alpha = 0.95 - 0.15 * (2 - depth);
  const bent = angle + random.uniform(-0.12, 0.12);
  const ex = x + length * Math.cos(bent);
  const ey = y + length * Math.sin(bent);
  drawLine(space, mask, [x, y, ex, ey], { radius: (0.35 + 0.45 * depth) * unit, alpha, radiusEnd: 0.1 * unit });
  if (depth === 0 || length < 6 * unit) return;
  const twigs = Math.min(depth === 2 ? 9 : 4, Math.max(2, Math.round(length / (9 * unit))));
  for (let k = 1; k <= twigs; k++) {
    const t = (k - random.uniform(0, 0.6)) / (twigs + 1);
    for (const side of [-1, 1]) {
      const size = length * (1 - t) * random.uniform(0.25, 0.5);
      const [from, to] = [x + t * (ex - x), y + t * (ey - y)];
      growCrystal(space, mask, from, to, bent + (side * Math.PI) / 3, size, depth - 1, random);
    }
  }
}

/**
 * Frost on the glass: a milky film that thins out from the border and feathers of ice that grow inwards. ImageNet-C pastes
 * photographs of frost; here the texture is grown, so it fits any frame size and carries no image licence.
 */
export function frost(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const { data, width, height } = pixels;
  const { opacity, reach, crystals } = ice[severity - 1];
  const shorter = Math.min(width, height);
  const space = openWorkspace();
  const mask = { at: space.zeros(width * height), width, height, channels: 1 };
  for (let i = 0; i < crystals; i++) {
    const along = random.uniform(0, 2 * (width + height));
    const [x, y, inward] =
      along < width
        ? [along, 0, Math.PI / 2]
        : along < 2 * width
          ? [along - width, height - 1, -Math.PI / 2]
          : along < 2 * width + height
            ? [0, along - 2 * width, 0]
            : [width - 1, along - 2 * width - height, Math.PI];
    const length = reach * shorter * random.uniform(0.5, 1.3);
    growCrystal(space, mask, x, y, inward + random.uniform(-0.8, 0.8), length, 2, random);
  }
  const film = plasma(space, { width, height }, { decay: 1.5, random, firstCells: 4 });
  const milky = resize(space, miniature(space, pixels), width, height);
  const at = space.write(data);
  space.kernels.stopline_frost(at, width, height, film.at, mask.at, milky.at, reach * shorter, opacity);
  return space.readBytes(at, data.length);
}

/** ImageNet-C `spatter`: mean, deviation, sigma of the liquid, threshold, intensity (water) or sigma of the mud. */
const splashes = [
  { mean: 0.65, deviation: 0.3, sigma: 4, threshold: 0.69, amount: 0.6, mud: false },
  { mean: 0.65, deviation: 0.3, sigma: 3, threshold: 0.68, amount: 0.6, mud: false },
  { mean: 0.65, deviation: 0.3, sigma: 2, threshold: 0.68, amount: 0.5, mud: false },
  { mean: 0.65, deviation: 0.3, sigma: 1, threshold: 0.65, amount: 1.5, mud: true },
  { mean: 0.67, deviation: 0.4, sigma: 1, threshold: 0.65, amount: 1.5, mud: true },
] as const;

/**
 * Splashed water (1 to 3: pale turquoise light on an embossed film) or mud (4 and 5). The liquid is ImageNet-C's; its
 * Canny-and-distance shading is replaced by the slope of the film, which looks alike and needs no OpenCV.
 */
export function spatter({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const { mean, deviation, sigma, threshold, amount, mud } = splashes[severity - 1];
  const space = openWorkspace();
  const size = width * height;
  const liquid = { at: random.placeNormals(space, size, mean, deviation), width, height, channels: 1 };
  blurInPlace(space, liquid, sigma);
  if (mud) {
    const mask = space.floats(liquid.at, size);
    for (let i = 0; i < size; i++) mask[i] = mask[i] > threshold ? 1 : 0;
    blurInPlace(space, liquid, amount);
    const soft = space.floats(liquid.at, size);
    for (let i = 0; i < size; i++) if (soft[i] < 0.8) soft[i] = 0;
    return blend(space, data, liquid.at, [63, 42, 20]);
  }
  const spread = deviation / (2 * Math.sqrt(Math.PI) * sigma);
  const at = space.write(data);
  space.kernels.stopline_splash(at, width, height, liquid.at, threshold, spread, sigma, amount);
  return space.readBytes(at, data.length);
}

/** Share of the lens that is soiled, and how opaque the soil is. */
const soiling = [
  [0.03, 0.6],
  [0.07, 0.7],
  [0.13, 0.8],
  [0.22, 0.88],
  [0.36, 0.94],
] as const;

/** Dried mud on the lens: out-of-focus patches without sharp edges (as annotated in WoodScape, Yogamani et al. 2019). */
export function dirt({ data, width, height }: Pixels, severity: number, random: Random): Uint8Array {
  const [share, opacity] = soiling[severity - 1];
  const space = openWorkspace();
  const size = width * height;
  const field = plasma(space, { width, height }, { decay: 1.7, random, firstCells: 8 }).at;
  const thousandths = space.reserve(4 * 1001);
  space.kernels.stopline_thousandths(field, size, thousandths);
  const counts = space.words(thousandths, 1001);
  let level = 1000;
  for (let covered = 0; level > 0 && covered < share * size; level--) covered += counts[level];
  const threshold = level / 1000;
  space.kernels.stopline_above(field, size, threshold - 0.07, threshold + 0.07, opacity);
  const colour = [72 + random.uniform(-12, 12), 60 + random.uniform(-10, 10), 44 + random.uniform(-10, 10)] as const;
  return blend(space, data, field, colour);
}
