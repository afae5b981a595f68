import { release } from '../image/frame.ts';
import { sketchColumns, sketchRows } from '../image/sketch.ts';

/*
 * Where a standing camera looks, held against where it looked when it was learnt: by how much the picture is shifted, turned and
 * zoomed, by least squares over its edges (Lucas and Kanade 1981, in the inverse compositional form of Baker and Matthews 2004).
 */

const columns = sketchColumns / 2;
const rows = sketchRows / 2;
const cells = columns * rows;
/** Images that are averaged to the view that is learnt, and images then that teach how much the camera shakes. */
const learnFor = 40;
const steadyFor = 20;
/** Every so-many-th image is looked at. */
const every = 2;
/** Estimates whose median counts. */
const kept = 9;
/** Estimates that agree, each so many times as far as is told, say it at once. */
const sudden = 3;
const suddenTimes = 2;
/** A camera whose images are less like their mean than this moves: then nothing is said of it. */
const leastMatch = 0.45;
/** What is told: share of the width, share of the size, degrees; and so many times what is usual. */
const floors = { shift: 0.006, zoom: 0.012, turn: 0.6, shake: 0.004 };
const times = 6;
/** An image that is less like the view than this share of what is usual may be turned, where that fits better by the second. */
const unlike = 0.75;
const clearly = 0.1;
const iterations = 12;
/** Shares of the width or height that are searched where the picture is far from where it was. */
const searched = 0.5;

/** What became of the view of a camera. */
export interface ViewChange {
  kind: 'moved' | 'turned' | 'zoomed' | 'shaken' | 'mirrored' | 'upsideDown' | 'rotated';
  /** Share of the width of the picture; degrees; or share of the size. 0 where it has no size. */
  by: number;
  /** In one sentence, without a full stop. */
  text: string;
}

/** How a picture lies over another: shifts in shares of the width, turn in degrees, zoom as a share; match from -1 to 1. */
export interface Registration {
  right: number;
  down: number;
  turn: number;
  zoom: number;
  match: number;
}

type Places = 'right' | 'down' | 'turn' | 'zoom';
const places: readonly Places[] = ['right', 'down', 'turn', 'zoom'];

type Estimate = Registration & { turned?: Turned | undefined };
type Usual = { middle: Record<Places, number>; spread: Record<Places, number> };

/** What a watch knows, to be kept: numbers, and the view that was learnt in base64. */
export interface SavedView {
  images: number;
  sum: string;
  estimates: Estimate[];
  matches: number[];
  usualMatch: number;
  usual?: Usual;
  isMoving: boolean;
}

/** Watches the view of one source. */
export class ViewWatch {
  #images = 0;
  /** The view that is learnt; empty where the camera moves, of which nothing is said any more. */
  #sum = new Float32Array(cells);
  #reference: View | undefined;
  #estimates: Estimate[] = [];
  #usualMatch = 0;
  #usual: Usual | undefined;
  #isMoving = false;
  #matches: number[] = [];

  /** @param saved what `save` gave; another length than that of this version is left aside */
  constructor(saved?: SavedView) {
    const bytes = Buffer.from(saved?.sum ?? '', 'base64');
    if (!saved || (!saved.isMoving && bytes.length !== this.#sum.byteLength)) return;
    if (saved.isMoving) this.#sum = new Float32Array(0);
    else this.#sum.set(new Float32Array(new Uint8Array(bytes).buffer));
    this.#images = saved.images;
    this.#estimates = saved.estimates;
    this.#matches = saved.matches;
    this.#usualMatch = saved.usualMatch;
    this.#usual = saved.usual;
    this.#isMoving = saved.isMoving;
    if (this.#images >= learnFor && !saved.isMoving) this.#reference = new View(this.#sum);
  }

  save(): SavedView {
    return {
      images: this.#images,
      sum: Buffer.from(this.#sum.buffer).toString('base64'),
      estimates: this.#estimates,
      matches: this.#matches,
      usualMatch: this.#usualMatch,
      ...(this.#usual && { usual: this.#usual }),
      isMoving: this.#isMoving,
    };
  }

  /** Gives back its memory at once; it must not be used any more. */
  release(): void {
    release(this.#sum);
  }

  /** Why it cannot be told now where the camera looks; undefined where it can. */
  get blind(): string | undefined {
    if (this.#isMoving) return 'the camera moves, or its picture never shows the same view';
    if (!this.#usual) return 'the view is learnt';
    const unlike = this.#estimates.filter(({ match, turned }) => match < leastMatch && turned === undefined);
    return unlike.length > kept / 2 ? 'the view cannot be made out, as at night, in fog or behind a cover' : undefined;
  }

  /** @param sketch see `drawSketch` @returns what is wrong with the view, if anything is */
  observe(sketch: Uint8Array): ViewChange | undefined {
    this.#images++;
    if (this.#isMoving) return undefined;
    const edges = findEdges(halve(sketch));
    if (this.#images <= learnFor) {
      for (let i = 0; i < cells; i++) this.#sum[i] += edges[i] / learnFor;
      if (this.#images === learnFor) this.#reference = new View(this.#sum);
      return undefined;
    }
    if (this.#images % every !== 0 || !this.#reference) return this.#tell();
    const found = this.#reference.register(edges);
    if (!this.#usual) return this.#learn(found);
    const turned = found.match < unlike * this.#usualMatch ? this.#reference.findTurned(edges, found.match) : undefined;
    this.#estimates.push({ ...found, turned });
    if (this.#estimates.length > kept) this.#estimates.shift();
    return this.#tell();
  }

  #learn(found: Registration): undefined {
    this.#matches.push(found.match);
    this.#estimates.push(found);
    if (this.#estimates.length < steadyFor) return undefined;
    const middle = eachPlace((name) => median(this.#estimates.map((one) => one[name])));
    const spread = eachPlace((name) => 1.48 * median(this.#estimates.map((one) => Math.abs(one[name] - middle[name]))));
    this.#usualMatch = median(this.#matches);
    this.#isMoving = this.#usualMatch < leastMatch;
    this.#usual = { middle, spread };
    this.#estimates = [];
    this.#matches = [];
    if (this.#isMoving) {
      this.#reference = undefined;
      this.#sum = new Float32Array(0);
    }
    return undefined;
  }

  /** What nearly all estimates of late say, or the latest few where the view changed far. */
  #tell(): ViewChange | undefined {
    const late = this.#estimates.slice(-sudden);
    return (
      this.#tellChange(this.#estimates, kept, 1) ??
      (this.#doAgree(late) ? this.#tellChange(late, sudden, suddenTimes) : undefined)
    );
  }

  /** Whether estimates are of one view, as a vehicle that passes never makes them. */
  #doAgree(estimates: readonly Estimate[]): boolean {
    const [first] = estimates;
    if (!this.#usual || !first) return false;
    if (estimates.some(({ turned }) => turned !== first.turned)) return false;
    if (first.turned !== undefined) return true;
    const { spread } = this.#usual;
    const near: Record<Places, number> = {
      right: floors.shift,
      down: floors.shift,
      turn: floors.turn,
      zoom: floors.zoom,
    };
    return places.every((name) => {
      const all = estimates.map((one) => one[name]);
      return Math.max(...all) - Math.min(...all) <= Math.max(near[name], times * spread[name]);
    });
  }

  /** @param least estimates that are needed @param farther so many times as far as is told else */
  #tellChange(estimates: readonly Estimate[], least: number, farther: number): ViewChange | undefined {
    if (!this.#usual || estimates.length < least) return undefined;
    const { middle, spread } = this.#usual;
    const turned = estimates.flatMap((one) => one.turned ?? []);
    if (turned.length > least / 2) return describeTurned(turned[turned.length >> 1]);
    const clear = estimates.filter((one) => one.match >= leastMatch && one.turned === undefined);
    if (clear.length <= least / 2) return undefined;
    const now = eachPlace((name) => median(clear.map((one) => one[name])) - middle[name]);
    const wide = eachPlace((name) => 1.48 * median(clear.map((one) => Math.abs(one[name] - middle[name] - now[name]))));
    const isFar = (name: Places, floor: number) =>
      Math.abs(now[name]) > farther * Math.max(floor, times * spread[name]);
    if (isFar('turn', floors.turn)) {
      return {
        kind: 'turned',
        by: now.turn,
        text: `the camera was turned by ${Math.abs(now.turn).toFixed(1)} degrees`,
      };
    }
    if (isFar('zoom', floors.zoom)) {
      const way = now.zoom > 0 ? 'closer' : 'farther';
      return {
        kind: 'zoomed',
        by: now.zoom,
        text: `the picture is zoomed by ${percent(now.zoom)}, and shows things ${way}`,
      };
    }
    if (isFar('right', floors.shift) || isFar('down', floors.shift)) {
      const by = Math.hypot(now.right, now.down);
      return {
        kind: 'moved',
        by,
        text: `the camera was moved: the picture is shifted by ${percent(by)} of its width ${tellWay(now)}`,
      };
    }
    const shake = Math.hypot(wide.right, wide.down);
    const usual = Math.hypot(spread.right, spread.down);
    // Three estimates tell no shaking.
    if (estimates.length >= kept && shake > Math.max(floors.shake, times * usual)) {
      return { kind: 'shaken', by: shake, text: `the camera shakes, by ${percent(shake)} of the width of the picture` };
    }
    return undefined;
  }
}

const turnedTexts = {
  mirrored: 'the picture is mirrored, left and right exchanged',
  upsideDown: 'the picture is upside down and mirrored',
  rotated: 'the picture is rotated by 180 degrees',
} as const;
type Turned = keyof typeof turnedTexts;

function describeTurned(kind: Turned): ViewChange {
  return { kind, by: 0, text: turnedTexts[kind] };
}

function tellWay({ right, down }: Record<Places, number>): string {
  const isAcross = Math.abs(right) > 2.4 * Math.abs(down);
  const isDown = Math.abs(down) > 2.4 * Math.abs(right);
  const across = right > 0 ? 'right' : 'left';
  const upright = down > 0 ? 'down' : 'up';
  return isAcross ? `to the ${across}` : isDown ? upright : `${upright} and to the ${across}`;
}

function percent(share: number): string {
  return `${(100 * Math.abs(share)).toFixed(1)} %`;
}

function eachPlace(find: (name: Places) => number): Record<Places, number> {
  return Object.fromEntries(places.map((name) => [name, find(name)])) as Record<Places, number>;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Half as many cells each way: their noise is less, and a hundredth of the width is half a cell still. */
export function halve(sketch: Uint8Array): Float64Array {
  const found = new Float64Array(cells);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const at = 2 * y * sketchColumns + 2 * x;
      found[y * columns + x] =
        (sketch[at] + sketch[at + 1] + sketch[at + sketchColumns] + sketch[at + sketchColumns + 1]) / 4;
    }
  }
  return found;
}

const reach = 3;
/** Contrast below which a place says nothing: it would be noise. */
const faint = 6;

/** What is left when brightness and contrast of the surroundings are taken away: edges stay, light and shadow go. */
export function findEdges(picture: Float64Array): Float64Array {
  const found = new Float64Array(cells);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      let [sum, squares, count] = [0, 0, 0];
      for (let j = Math.max(0, y - reach); j <= Math.min(rows - 1, y + reach); j++) {
        for (let i = Math.max(0, x - reach); i <= Math.min(columns - 1, x + reach); i++) {
          const value = picture[j * columns + i];
          sum += value;
          squares += value * value;
          count++;
        }
      }
      const mean = sum / count;
      const deviation = Math.sqrt(Math.max(0, squares / count - mean * mean));
      found[y * columns + x] = (picture[y * columns + x] - mean) / (deviation + faint);
    }
  }
  return found;
}

/** A view that others are laid over. Its slopes are made as they are needed: kept for every source they are 41 kB of each. */
export class View {
  readonly #edges: Float32Array | Float64Array;

  /** @param edges see `findEdges`; they must not change any more */
  constructor(edges: Float32Array | Float64Array) {
    this.#edges = edges;
  }

  /** How the value of a cell changes with the four places. */
  #findSlopes(x: number, y: number, into: Float64Array): void {
    const at = y * columns + x;
    const across = (this.#edges[at + 1] - this.#edges[at - 1]) / 2;
    const down = (this.#edges[at + columns] - this.#edges[at - columns]) / 2;
    const u = x - (columns - 1) / 2;
    const v = y - (rows - 1) / 2;
    into[0] = across;
    into[1] = down;
    into[2] = across * u + down * v;
    into[3] = down * u - across * v;
  }

  /** How a picture lies over this one, as far as half of it away. @param edges see `findEdges` */
  register(edges: Float64Array): Registration {
    const near = this.#refine(edges, [0, 0, 0, 0]);
    if (near.match >= 0.7) return near;
    const far = this.#refine(edges, [...this.#search(edges), 0, 0]);
    return far.match > near.match + 0.05 ? far : near;
  }

  /** How it was mirrored or turned, where that fits better than as it is. */
  findTurned(edges: Float64Array, asItIs: number): Turned | undefined {
    const ways: [Turned, (x: number, y: number) => number][] = [
      ['mirrored', (x, y) => y * columns + (columns - 1 - x)],
      ['upsideDown', (x, y) => (rows - 1 - y) * columns + x],
      ['rotated', (x, y) => (rows - 1 - y) * columns + (columns - 1 - x)],
    ];
    let best: Turned | undefined;
    let most = Math.max(leastMatch, asItIs + clearly);
    for (const [kind, find] of ways) {
      const other = Float64Array.from({ length: cells }, (_, i) => edges[find(i % columns, Math.floor(i / columns))]);
      const { match } = this.register(other);
      if (match <= most) continue;
      most = match;
      best = kind;
    }
    return best;
  }

  /** The whole shift at which the pictures are most alike. */
  #search(edges: Float64Array): [right: number, down: number] {
    let best: [number, number] = [0, 0];
    let most = Number.NEGATIVE_INFINITY;
    const [far, high] = [Math.floor(columns * searched), Math.floor(rows * searched)];
    for (let down = -high; down <= high; down++) {
      for (let right = -far; right <= far; right++) {
        const match = this.#matchShifted(edges, right, down);
        if (match <= most) continue;
        most = match;
        best = [right, down];
      }
    }
    return best;
  }

  #matchShifted(edges: Float64Array, right: number, down: number): number {
    let [product, own, other] = [0, 0, 0];
    for (let y = Math.max(0, -down); y < Math.min(rows, rows - down); y += 2) {
      for (let x = Math.max(0, -right); x < Math.min(columns, columns - right); x += 2) {
        const a = this.#edges[y * columns + x];
        const b = edges[(y + down) * columns + x + right];
        product += a * b;
        own += a * a;
        other += b * b;
      }
    }
    return product / (Math.sqrt(own * other) + 1e-9);
  }

  /** From a start in cells: right, down, zoom, turn. */
  #refine(edges: Float64Array, start: readonly number[]): Registration {
    const place = [...start];
    let match = this.#step(edges, place, false);
    let best = { place: [...place], match };
    for (let i = 0; i < iterations; i++) {
      if (this.#step(edges, place, true) < -1) break;
      match = this.#step(edges, place, false);
      if (match > best.match) best = { place: [...place], match };
    }
    const [right, down, zoom, turn] = best.place;
    return { right: right / columns, down: down / columns, zoom, turn: (turn * 180) / Math.PI, match: best.match };
  }

  /**
   * Lays the picture over this one. With `isMoved` the place is improved by least squares, in which what does not fit, as a car,
   * counts less.
   * @returns how alike they are; -2 where nothing can be improved
   */
  #step(edges: Float64Array, place: number[], isMoved: boolean): number {
    const normal = new Float64Array(16);
    const right = new Float64Array(4);
    const slopes = new Float64Array(4);
    let [product, own, other, count] = [0, 0, 0, 0];
    for (let y = 1; y < rows - 1; y++) {
      for (let x = 1; x < columns - 1; x++) {
        const value = sample(edges, x, y, place);
        if (Number.isNaN(value)) continue;
        const at = y * columns + x;
        const mine = this.#edges[at];
        product += mine * value;
        own += mine * mine;
        other += value * value;
        count++;
        if (!isMoved) continue;
        const error = value - mine;
        const weight = 1 / (1 + error * error);
        this.#findSlopes(x, y, slopes);
        for (let i = 0; i < 4; i++) {
          const slope = slopes[i] * weight;
          right[i] += slope * error;
          for (let j = 0; j <= i; j++) normal[i * 4 + j] += slope * slopes[j];
        }
      }
    }
    if (count < cells / 6) return -2;
    if (!isMoved) return product / (Math.sqrt(own * other) + 1e-9);
    const change = solve(normal, right);
    if (!change) return -2;
    for (let i = 0; i < 4; i++) place[i] -= change[i];
    return 0;
  }
}

/** The value of a picture where a cell of the other lies in it; NaN outside. */
function sample(edges: Float64Array, x: number, y: number, [right, down, zoom, turn]: readonly number[]): number {
  const [u, v] = [x - (columns - 1) / 2, y - (rows - 1) / 2];
  const i = x + right + zoom * u - turn * v;
  const j = y + down + zoom * v + turn * u;
  const left = Math.floor(i);
  const top = Math.floor(j);
  if (left < 0 || top < 0 || left >= columns - 1 || top >= rows - 1) return Number.NaN;
  const [p, q] = [i - left, j - top];
  const at = top * columns + left;
  return (
    (edges[at] * (1 - p) + edges[at + 1] * p) * (1 - q) +
    (edges[at + columns] * (1 - p) + edges[at + columns + 1] * p) * q
  );
}

/** Solves four equations whose matrix is symmetric and positive, by Cholesky; undefined where it is not. */
function solve(normal: Float64Array, right: Float64Array): Float64Array | undefined {
  const lower = Float64Array.from(normal);
  const found = Float64Array.from(right);
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = lower[i * 4 + j];
      for (let k = 0; k < j; k++) sum -= lower[i * 4 + k] * lower[j * 4 + k];
      if (i !== j) lower[i * 4 + j] = sum / lower[j * 4 + j];
      else if (sum <= 1e-9) return undefined;
      else lower[i * 4 + i] = Math.sqrt(sum);
    }
  }
  for (let i = 0; i < 4; i++) {
    for (let k = 0; k < i; k++) found[i] -= lower[i * 4 + k] * found[k];
    found[i] /= lower[i * 4 + i];
  }
  for (let i = 3; i >= 0; i--) {
    for (let k = i + 1; k < 4; k++) found[i] -= lower[k * 4 + i] * found[k];
    found[i] /= lower[i * 4 + i];
  }
  return found;
}
