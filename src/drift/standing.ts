import { release } from '../image/frame.ts';
import { sketchColumns, sketchRows } from '../image/sketch.ts';

/*
 * Whether a picture stands still although its bytes change: under a ticking clock, under noise, compressed again and again, in a
 * loop, or in a part of it. The picture is looked at in blocks, and each block is held against what it was when it last changed. In
 * front of a camera something moves, and where nothing does the light wanders; a picture that was stored does neither. How long a
 * block may rest is learnt from the source itself, so a source that is seldom seen to change is never called frozen.
 */

const across = 16;
const down = 9;
const blocks = across * down;
/** A block is four quarters, each of 3 x 3 cells. */
const quarters = blocks * 4;
const cellsOfQuarter = 3;
const cells = sketchColumns * sketchRows;
/** A quarter that is brighter or darker by this many of 255 has changed; noise of 3 is 0.6 or less in a quarter of 10 x 10 pixels. */
const least = 2;
/** Images that teach how a source behaves before anything is said of it. */
const learnFor = 60;
/** So many times longer than ever before is too long, and never fewer images than the second. */
const timesLonger = 4;
/** This share of the blocks may change while the picture stands still: a clock, a logo that turns. */
const clockShare = 0.06;
/** A part that stands still is told from this share of the picture on. */
const partShare = 0.08;
/** Images that are remembered to find loops; room for so many is taken first, because most sources have sent few. */
const ring = 64;
const firstRoom = 8;
/** A block that changed in so many images of a hundred, at least, is one that rests seldom. */
const busyShare = 0.1;
/** Below this brightness a picture is too dark to see whether something moves. */
const darkest = 24;
/**
 * A quarter whose cells differ from those of the image before by no more than this, as a sum of squares, is the same to the bit but
 * for rounding: noise alone changes a quarter that is seen live. Only a part that differed in half of the images tells by this.
 */
const sameSquares = 1;
const livelyShare = 0.5;
/** So many times longer than ever before is too long for a quarter that is the same; and never fewer than twice what freezes a picture. */
const timesLongerSame = 3;
/** From this share of the picture on, in one piece, and while so much of the rest lives as it did. */
const stuckShare = 0.02;
/** So large a part is told as soon as the whole picture would be. */
const largeShare = 0.2;
const livesShare = 0.8;
/** Outside of these a sensor has no noise to show; a picture of which less than this share lies within is not told by it. */
const readable = { least: 6, most: 248 };
const readableShare = 0.25;
/** In the dark nothing is told by noise before so many images showed it. */
const armedFrom = 30;

/** What stands still. */
export interface Standing {
  kind: 'frozen' | 'loop' | 'part';
  /** Images in a row. */
  images: number;
  /** Pictures that a loop has. */
  pictures: number;
  /** Share of the picture that stands still, 0 to 1. */
  share: number;
}

interface StandingNumbers {
  images: number;
  /** Images in a row in which no more than a clock changed, and the most of them while it was learnt. */
  rest: number;
  longestRest: number;
  /** Images in a row that were the same as one so many images back, and how many that is. */
  round: number;
  period: number;
  /** How many of these differed from the image before. */
  changed: number;
  filled: number;
  /** Images in a row that were the same to the bit but for a clock, and the most of them while it was learnt. */
  same: number;
  longestSame: number;
  /** Images since it is dark in which noise was seen, up to what arms it. */
  noisyDark: number;
}

/** What a watch knows, to be kept: numbers, and bytes in base64. */
export interface SavedStanding extends StandingNumbers {
  isDark: boolean;
  bytes: string;
}

const nothingSeen: StandingNumbers = {
  images: 0,
  rest: 0,
  longestRest: 0,
  round: 0,
  period: 0,
  changed: 0,
  filled: 0,
  same: 0,
  longestSame: 0,
  noisyDark: 0,
};

/** Watches whether the picture of one source stands still. */
export class StandingWatch {
  readonly #freezeAfter: number;
  readonly #bytes = new Uint8Array(3 * 4 * blocks + 3 * 2 * quarters + quarters + cells);
  /** Images in a row in which each block rested, the most of them while it was learnt, and images in which it changed. */
  readonly #rests = new Uint32Array(this.#bytes.buffer, 0, blocks);
  readonly #longest = new Uint32Array(this.#bytes.buffer, 4 * blocks, blocks);
  readonly #changes = new Uint32Array(this.#bytes.buffer, 8 * blocks, blocks);
  /** The same of each quarter: images in a row that were the same to the bit, the most of them, and images that differed. */
  readonly #sames = new Uint16Array(this.#bytes.buffer, 12 * blocks, quarters);
  readonly #longestSames = new Uint16Array(this.#bytes.buffer, 12 * blocks + 2 * quarters, quarters);
  readonly #differed = new Uint16Array(this.#bytes.buffer, 12 * blocks + 4 * quarters, quarters);
  readonly #anchor = this.#bytes.subarray(12 * blocks + 6 * quarters, 12 * blocks + 7 * quarters);
  readonly #before = this.#bytes.subarray(12 * blocks + 7 * quarters);
  /** A ring of the blocks of the latest images, with room for those that have come. */
  #past: Uint8Array = new Uint8Array(0);
  #isDark = false;
  #numbers: StandingNumbers = { ...nothingSeen };

  /** @param saved what `save` gave; another length than that of this version is left aside */
  constructor(freezeAfter: number, saved?: SavedStanding) {
    this.#freezeAfter = freezeAfter;
    const bytes = Buffer.from(saved?.bytes ?? '', 'base64');
    const { length } = this.#bytes;
    if (!saved || !isRoom(bytes.length - length, saved.filled)) return;
    const { bytes: _, isDark, ...numbers } = saved;
    this.#bytes.set(bytes.subarray(0, length));
    this.#past = new Uint8Array(bytes.subarray(length));
    this.#isDark = isDark;
    this.#numbers = numbers;
  }

  save(): SavedStanding {
    const bytes = Buffer.concat([this.#bytes, this.#past]).toString('base64');
    return { ...this.#numbers, isDark: this.#isDark, bytes };
  }

  /** Gives back its memory at once; it must not be used any more. */
  release(): void {
    release(this.#bytes);
    release(this.#past);
  }

  /** Whether the picture is too dark to see whether something moves. */
  get isDark(): boolean {
    return this.#isDark;
  }

  /** Why it cannot be told now whether the picture stands still; undefined where it can. */
  get blind(): string | undefined {
    const { images } = this.#numbers;
    if (images <= learnFor)
      return `it is learnt how much the picture changes, for ${learnFor + 1 - images} images more`;
    if (this.#isBlack) return 'the picture is too dark to see whether something moves';
    if (this.#isDark) return 'in the dark only a picture whose noise stands still is told, and no loop';
    return this.#changes.some((count) => count > 0) ? undefined : 'nothing in the picture was ever seen to change';
  }

  /** Whether the picture is so dark that not even noise is seen, by which it is told at night, too, that nothing comes. */
  get #isBlack(): boolean {
    return this.#isDark && this.#numbers.noisyDark < armedFrom;
  }

  /**
   * Takes one image.
   * @param sketch see `drawSketch`
   * @returns what stands still, if anything does
   */
  observe(sketch: Uint8Array): Standing | undefined {
    const quarter = shrink(sketch);
    const isFirst = this.#numbers.images === 0;
    this.#numbers.images++;
    if (isFirst) {
      this.#anchor.set(quarter);
      this.#before.set(sketch);
      this.#remember(quarter);
      return undefined;
    }
    this.#isDark = mean(quarter) < darkest;
    this.#compare(quarter);
    this.#compareExactly(sketch, quarter);
    const round = this.#findRound(quarter);
    this.#remember(quarter);
    if (this.#numbers.images <= learnFor) {
      this.#learn();
      return undefined;
    }
    if (this.#isBlack) return undefined;
    const stuck =
      this.#tellSame() ??
      this.#tellStuck(quarter, { least: this.#freezeAfter, share: largeShare }) ??
      this.#tellStuck(quarter, { least: 2 * this.#freezeAfter, share: stuckShare });
    return this.#isDark ? stuck : (this.#tellFrozen() ?? round ?? stuck ?? this.#tellPart());
  }

  /** The image before came once more: everything rested. What that means is told with the next image that differs. */
  repeat(): void {
    const numbers = this.#numbers;
    if (numbers.images === 0) return;
    numbers.rest++;
    numbers.same++;
    for (let i = 0; i < blocks; i++) this.#rests[i]++;
    for (let i = 0; i < quarters; i++) if (this.#sames[i] < 65_535) this.#sames[i]++;
    if (numbers.images <= learnFor) this.#learn();
  }

  #compare(quarter: Uint8Array): void {
    let changed = 0;
    for (let block = 0; block < blocks; block++) {
      const at = block * 4;
      let isChanged = false;
      for (let i = at; i < at + 4; i++) if (Math.abs(quarter[i] - this.#anchor[i]) >= least) isChanged = true;
      if (isChanged) {
        changed++;
        // A rest that was too long was none of the scene, which else would teach that it is normal.
        if (this.#rests[block] < this.#limit(block))
          this.#longest[block] = Math.max(this.#longest[block], this.#rests[block]);
        this.#rests[block] = 0;
        this.#changes[block]++;
        for (let i = at; i < at + 4; i++) this.#anchor[i] = quarter[i];
      } else this.#rests[block]++;
    }
    const numbers = this.#numbers;
    if (changed <= clockShare * blocks) numbers.rest++;
    else {
      if (numbers.rest < this.#limitWhole()) numbers.longestRest = Math.max(numbers.longestRest, numbers.rest);
      numbers.rest = 0;
    }
  }

  /** Holds every quarter against the image before: nothing that is seen live is the same to the bit for long. */
  #compareExactly(sketch: Uint8Array, quarter: Uint8Array): void {
    let [same, seen] = [0, 0];
    for (let i = 0; i < quarters; i++) {
      const isSame = isSameQuarter(sketch, this.#before, i);
      if (isReadable(quarter[i])) {
        seen++;
        if (isSame) same++;
      }
      if (isSame) {
        if (this.#sames[i] < 65_535) this.#sames[i]++;
        continue;
      }
      if (this.#sames[i] < this.#limitQuarter(i))
        this.#longestSames[i] = Math.max(this.#longestSames[i], this.#sames[i]);
      this.#sames[i] = 0;
      if (this.#differed[i] < 65_535) this.#differed[i]++;
    }
    const numbers = this.#numbers;
    // What is seen by day says nothing of how much noise the night has.
    if (!this.#isDark) numbers.noisyDark = 0;
    else if (same < seen / 2 && numbers.noisyDark < armedFrom) numbers.noisyDark++;
    if (seen >= readableShare * quarters && same >= (1 - clockShare) * seen) numbers.same++;
    else {
      if (numbers.same < this.#limitSame()) numbers.longestSame = Math.max(numbers.longestSame, numbers.same);
      numbers.same = 0;
    }
    this.#before.set(sketch);
  }

  #limitQuarter(quarter: number): number {
    return Math.max(2 * this.#freezeAfter, this.#limitLongest(quarter));
  }

  #limitLongest(quarter: number): number {
    return timesLongerSame * (this.#longestSames[quarter] + 1);
  }

  #limitSame(): number {
    return Math.max(this.#freezeAfter, timesLonger * (this.#numbers.longestSame + 1));
  }

  #limit(block: number): number {
    return Math.max(3 * this.#freezeAfter, timesLonger * (this.#longest[block] + 1));
  }

  #limitWhole(): number {
    return Math.max(this.#freezeAfter, timesLonger * (this.#numbers.longestRest + 1));
  }

  /** While it is learnt, a rest counts before it is over. */
  #learn(): void {
    const numbers = this.#numbers;
    numbers.longestRest = Math.max(numbers.longestRest, numbers.rest);
    numbers.longestSame = Math.max(numbers.longestSame, numbers.same);
    for (let i = 0; i < blocks; i++) this.#longest[i] = Math.max(this.#longest[i], this.#rests[i]);
    for (let i = 0; i < quarters; i++) this.#longestSames[i] = Math.max(this.#longestSames[i], this.#sames[i]);
  }

  #tellSame(): Standing | undefined {
    const { same } = this.#numbers;
    return same < this.#limitSame() ? undefined : { kind: 'frozen', images: same + 1, pictures: 1, share: 1 };
  }

  #tellFrozen(): Standing | undefined {
    const { rest } = this.#numbers;
    return rest < this.#limitWhole() ? undefined : { kind: 'frozen', images: rest + 1, pictures: 1, share: 1 };
  }

  /** A part in one piece, as a block that a decoder keeps, is the same to the bit while the rest lives as it did. */
  #tellStuck(quarter: Uint8Array, { least, share }: { least: number; share: number }): Standing | undefined {
    const images = Math.min(this.#numbers.images, 65_535);
    const isStuck = new Uint8Array(quarters);
    let [lively, living] = [0, 0];
    for (let i = 0; i < quarters; i++) {
      if (!isReadable(quarter[i]) || this.#differed[i] < livelyShare * (images - this.#sames[i])) continue;
      if (this.#sames[i] >= Math.max(least, this.#limitLongest(i))) isStuck[findPlace(i)] = 1;
      else {
        lively++;
        if (this.#sames[i] <= this.#longestSames[i]) living++;
      }
    }
    if (living < livesShare * lively || living < stuckShare * quarters) return undefined;
    const piece = findLargestPiece(isStuck);
    if (piece.length < share * quarters) return undefined;
    const shortest = Math.min(...piece.map((place) => this.#sames[quarterAt(place)]));
    return { kind: 'part', images: shortest + 1, pictures: 1, share: piece.length / quarters };
  }

  /** A part rests for longer than it ever did while others do not. */
  #tellPart(): Standing | undefined {
    const { images } = this.#numbers;
    let resting = 0;
    let shortest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < blocks; i++) {
      const isBusy = this.#changes[i] >= busyShare * Math.min(images, 10 * learnFor);
      if (!isBusy || this.#rests[i] < this.#limit(i)) continue;
      resting++;
      shortest = Math.min(shortest, this.#rests[i]);
    }
    const share = resting / blocks;
    return share < partShare ? undefined : { kind: 'part', images: shortest + 1, pictures: 1, share };
  }

  /** Whether pictures come again in the same order, each as unlike the one before as it was. */
  #findRound(quarter: Uint8Array): Standing | undefined {
    const numbers = this.#numbers;
    const now = toBlocks(quarter);
    const changed = this.#countDiffering(now, 1);
    const isClear = changed > clockShare * blocks;
    const most = isClear ? changed / 4 : clockShare * blocks;
    const isSame = (back: number) => back <= Math.min(numbers.filled, ring) && this.#countDiffering(now, back) <= most;
    if (numbers.round === 0 || !isSame(numbers.period)) {
      const period = isClear ? this.#findPeriod(isSame) : undefined;
      Object.assign(numbers, { round: 0, changed: 0, period: period ?? 0 });
      if (period === undefined) return undefined;
    }
    numbers.round++;
    if (isClear) numbers.changed++;
    const isLoop =
      numbers.round >= Math.max(this.#freezeAfter, numbers.period) &&
      numbers.changed >= Math.max(this.#freezeAfter / 2, numbers.round / 4);
    return isLoop ? { kind: 'loop', images: numbers.round + 1, pictures: numbers.period, share: 1 } : undefined;
  }

  #findPeriod(isSame: (back: number) => boolean): number | undefined {
    for (let back = 2; back <= ring; back++) if (isSame(back)) return back;
    return undefined;
  }

  #countDiffering(now: Uint8Array, back: number): number {
    const at = ((this.#numbers.filled - back) % ring) * blocks;
    let differing = 0;
    for (let i = 0; i < blocks; i++) if (Math.abs(now[i] - this.#past[at + i]) >= least) differing++;
    return differing;
  }

  #remember(quarter: Uint8Array): void {
    const at = (this.#numbers.filled % ring) * blocks;
    if (at >= this.#past.length) {
      const wider = new Uint8Array(Math.min(ring * blocks, Math.max(firstRoom * blocks, 2 * this.#past.length)));
      wider.set(this.#past);
      release(this.#past);
      this.#past = wider;
    }
    this.#past.set(toBlocks(quarter), at);
    this.#numbers.filled++;
  }
}

/** Whether so many bytes are a ring that holds so many images. */
function isRoom(bytes: number, filled: number): boolean {
  return bytes % blocks === 0 && bytes <= ring * blocks && bytes >= Math.min(filled, ring) * blocks;
}

/** Where a quarter lies among all of them row by row, and which lies there. */
function findPlace(quarter: number): number {
  const block = quarter >> 2;
  const [x, y] = [(block % across) * 2 + (quarter & 1), Math.floor(block / across) * 2 + ((quarter >> 1) & 1)];
  return y * 2 * across + x;
}

function quarterAt(place: number): number {
  const [x, y] = [place % (2 * across), Math.floor(place / (2 * across))];
  return 4 * ((y >> 1) * across + (x >> 1)) + 2 * (y & 1) + (x & 1);
}

/** The places of the largest piece whose places touch, side by side or one above the other. */
function findLargestPiece(isIn: Uint8Array): number[] {
  const columns = 2 * across;
  let largest: number[] = [];
  for (let first = 0; first < isIn.length; first++) {
    if (isIn[first] !== 1) continue;
    const piece = [first];
    isIn[first] = 2;
    for (const place of piece) {
      const x = place % columns;
      const near = [place - columns, place + columns, x > 0 ? place - 1 : -1, x < columns - 1 ? place + 1 : -1];
      for (const other of near) {
        if (isIn[other] !== 1) continue;
        isIn[other] = 2;
        piece.push(other);
      }
    }
    if (piece.length > largest.length) largest = piece;
  }
  return largest;
}

function isReadable(value: number): boolean {
  return value >= readable.least && value <= readable.most;
}

function isSameQuarter(now: Uint8Array, before: Uint8Array, quarter: number): boolean {
  const block = quarter >> 2;
  const left = ((block % across) * 2 + (quarter & 1)) * cellsOfQuarter;
  const top = (Math.floor(block / across) * 2 + ((quarter >> 1) & 1)) * cellsOfQuarter;
  let squares = 0;
  for (let y = top; y < top + cellsOfQuarter; y++) {
    for (let x = left; x < left + cellsOfQuarter; x++) {
      const at = y * sketchColumns + x;
      squares += (now[at] - before[at]) ** 2;
    }
  }
  return squares <= sameSquares;
}

/** Quarters of blocks, block by block: top left, top right, bottom left, bottom right. */
function shrink(sketch: Uint8Array): Uint8Array {
  const found = new Uint8Array(quarters);
  for (let i = 0; i < quarters; i++) {
    const block = i >> 2;
    const left = ((block % across) * 2 + (i & 1)) * cellsOfQuarter;
    const top = (Math.floor(block / across) * 2 + ((i >> 1) & 1)) * cellsOfQuarter;
    let sum = 0;
    for (let y = top; y < top + cellsOfQuarter; y++)
      for (let x = left; x < left + cellsOfQuarter; x++) sum += sketch[y * sketchColumns + x];
    found[i] = Math.round(sum / cellsOfQuarter ** 2);
  }
  return found;
}

function toBlocks(quarter: Uint8Array): Uint8Array {
  const found = new Uint8Array(blocks);
  for (let i = 0; i < blocks; i++) {
    found[i] = (quarter[4 * i] + quarter[4 * i + 1] + quarter[4 * i + 2] + quarter[4 * i + 3] + 2) >> 2;
  }
  return found;
}

function mean(values: Uint8Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
