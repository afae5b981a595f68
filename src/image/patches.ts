import { blurPixels, type Pixels } from './corruptions/filter.ts';
import type { Random } from './corruptions/random.ts';

/** What hides a part. */
interface Cover {
  colour: readonly [number, number, number];
  /** Of what is seen through it, in pixels; 0 for none. */
  blur: number;
  /** How much of the colour is mixed in. */
  opacity: number;
  /** The scene upside down and small, as a drop shows it. */
  turned: boolean;
}

/** An outline: how far inside a point lies, in pixels; negative outside. Beyond `rim` either way it may be told as infinite. */
interface Outline {
  inside: (x: number, y: number, rim: number) => number;
  box: { left: number; top: number; right: number; bottom: number };
}

/** How often what hides is many small things, as drops and insects are, and not one or two larger ones. */
const manyShare = 0.35;

/**
 * Puts things on the lens: blobs and bars, soft or sharp, that are opaque, a veil, out of focus or show the scene upside down. They
 * stand for what nobody can list (a leaf, a wiper, a finger print, a drop, an insect), so shape, size, place, colour, softness
 * and blur are drawn at random.
 * @returns a new picture of the same size; the same for a state of `random`
 */
export function hideParts(pixels: Pixels, random: Random): Uint8Array {
  const out = { ...pixels, data: pixels.data.slice() };
  const { height } = pixels;
  const many = random.uniform() < manyShare;
  const count = many ? 6 + random.integer(24) : 1 + random.integer(2);
  const alike = drawCover(random, height);
  for (let thing = 0; thing < count; thing++) {
    const outline = drawOutline(pixels, random, many ? 0.06 : 0.3);
    const soft = Math.max(1, random.uniform(0.02, 0.8) ** 1.5 * (many ? 0.03 : 0.12) * height);
    coverPart(out, outline, many ? alike : drawCover(random, height), soft);
  }
  return out.data;
}

const kinds = ['opaque', 'opaque', 'veil', 'blur', 'blur', 'drop', 'drop'] as const;

function drawCover(random: Random, height: number): Cover {
  const kind = kinds[random.integer(kinds.length)];
  const level = random.uniform() < 0.7 ? random.uniform(8, 90) : random.uniform(90, 245);
  const tint = () => level * random.uniform(0.7, 1.1);
  const colour = random.uniform() < 0.4 ? ([level, level, level] as const) : ([tint(), tint(), tint()] as const);
  const blur = random.uniform(0.004, 0.025) * height;
  if (kind === 'opaque') return { colour, blur: 0, opacity: random.uniform(0.75, 1), turned: false };
  if (kind === 'veil') return { colour, blur: 0.5 * blur, opacity: random.uniform(0.3, 0.8), turned: false };
  if (kind === 'blur')
    return { colour, blur, opacity: random.uniform() < 0.5 ? 0 : random.uniform(0, 0.3), turned: false };
  return { colour, blur, opacity: random.uniform(0, 0.15), turned: true };
}

/** Covers at most `largest` of the height in radius. */
function drawOutline({ width, height }: Pixels, random: Random, largest: number): Outline {
  const radius = Math.max(3, random.uniform(0.15, 1) * largest * height);
  const x0 = random.uniform(0, width);
  const y0 = random.uniform(0, height);
  const angle = random.uniform(0, Math.PI);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  if (largest > 0.1 && random.uniform() < 0.25) {
    // A bar from border to border, no wider than a wiper.
    const half = Math.max(2, random.uniform(0.008, 0.06) * height);
    const inside = (x: number, y: number) => half - Math.abs((x - x0) * cos + (y - y0) * sin);
    return { inside, box: { left: 0, top: 0, right: width - 1, bottom: height - 1 } };
  }
  const stretch = random.uniform(1, 2.2);
  const [wave, phase, lobes] = [random.uniform(0, 0.25), random.uniform(0, 7), 2 + random.integer(4)];
  // One pixel more than the waves reach: what is rounded then does not matter.
  const [least, most] = [radius * (1 - wave) - 1, radius * (1 + wave) + 1];
  const inside = (x: number, y: number, rim: number) => {
    const u = ((x - x0) * cos + (y - y0) * sin) / stretch;
    const v = (y - y0) * cos - (x - x0) * sin;
    const distance = Math.sqrt(u * u + v * v);
    if (distance > most + rim) return Number.NEGATIVE_INFINITY;
    if (distance < least - rim) return Number.POSITIVE_INFINITY;
    return radius * (1 + wave * Math.sin(lobes * Math.atan2(v, u) + phase)) - Math.hypot(u, v);
  };
  const reach = 1.5 * radius * stretch;
  const within = (value: number, limit: number) => Math.min(limit - 1, Math.max(0, Math.round(value)));
  const [left, right] = [within(x0 - reach, width), within(x0 + reach, width)];
  return { inside, box: { left, right, top: within(y0 - reach, height), bottom: within(y0 + reach, height) } };
}

/** Mixes what hides into the pixels, over `soft` pixels at its rim. */
function coverPart(pixels: Pixels, { inside, box }: Outline, cover: Cover, soft: number): void {
  const { data, width } = pixels;
  const wide = box.right - box.left + 1;
  const isPlain = !cover.turned && cover.blur <= leastBlur;
  const behind = isPlain ? data : seeThrough(pixels, box, cover);
  const { colour, opacity } = cover;
  for (let y = box.top; y <= box.bottom; y++) {
    for (let x = box.left; x <= box.right; x++) {
      const share = Math.min(1, inside(x, y, soft) / soft + 0.5);
      if (share <= 0) continue;
      const at = (y * width + x) * 3;
      const from = isPlain ? at : ((y - box.top) * wide + x - box.left) * 3;
      for (let c = 0; c < 3; c++) {
        const seen = behind[from + c] + opacity * (colour[c] - behind[from + c]);
        data[at + c] = data[at + c] + share * (seen - data[at + c]) + 0.5;
      }
    }
  }
}

/** A smaller blur is none. */
const leastBlur = 0.3;

/** What is seen behind a part that is out of focus, or upside down and small. */
function seeThrough({ data, width, height }: Pixels, box: Outline['box'], { blur, turned }: Cover): Uint8Array {
  const wide = box.right - box.left + 1;
  const tall = box.bottom - box.top + 1;
  const part = new Uint8Array(wide * tall * 3);
  for (let y = 0, to = 0; y < tall; y++) {
    const line = width * (turned ? Math.floor(((tall - 1 - y + 0.5) * height) / tall) : box.top + y);
    for (let x = 0; x < wide; x++, to += 3) {
      const column = turned ? Math.floor(((wide - 1 - x + 0.5) * width) / wide) : box.left + x;
      const from = (line + column) * 3;
      part[to] = data[from];
      part[to + 1] = data[from + 1];
      part[to + 2] = data[from + 2];
    }
  }
  return blur > leastBlur ? blurPixels({ data: part, width: wide, height: tall }, blur) : part;
}
