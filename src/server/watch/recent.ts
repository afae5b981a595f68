import { groupMoved, type Movement } from '../../drift/moved.ts';
import type { CorruptionFamily } from '../../image/corruptions/corruptions.ts';
import type { Profile } from '../../profile/description.ts';
import { describeFileFacts, type FileFact, FileFacts, readFileFacts } from '../../profile/filefacts.ts';
import { nameCause } from '../../profile/likelycause.ts';
import { scoredValue } from '../../profile/maths/gaussianise.ts';
import { findQuantile } from '../../profile/maths/ranks.ts';
import { readGroup } from '../../profile/reasons.ts';
import { describeGroup } from '../../profile/sights.ts';
import type { Verdict } from '../../profile/verdict.ts';
import type { Judge, Judgement } from '../judge.ts';

/** One of the latest images, as people see it. */
export interface StrangeImage extends Pick<Verdict, 'verdict' | 'pValue' | 'score' | 'causes' | 'nearest'> {
  /** sha256 of its bytes. */
  id: string;
  at: number;
  /** What the file says is not among them where anything else is: `files` says it once for all. */
  reasons: string[];
  /** Whether a small picture of it is kept. */
  hasPicture: boolean;
}

/** Images that did not pass, one after the other and for the same reason. */
interface StrangeEpisode {
  /** What probably happened, else what is seen first. */
  kind: string;
  family?: CorruptionFamily;
  from: number;
  to: number;
  images: number;
  blocked: number;
  /** The first and the strangest. */
  examples: StrangeImage[];
}

/** The latest images of one camera, column by column, oldest first. */
export interface RecentImages {
  source: string;
  /** Images so far. */
  images: number;
  at: number[];
  pValue: number[];
  score: number[];
  verdict: Verdict['verdict'][];
  /** What an image shows: the first two coordinates of its projection. Empty without a model. */
  projection: [number, number][];
  /**
   * The statistics that were asked for, in the order in which they were; else those that lie farthest from the reference lately,
   * one for each thing that a person sees of them, in the order of reasons. `text` is what is seen of it.
   */
  statistics: { name: string; text: string; values: (number | null)[] }[];
  /** When the images came whose values these are. */
  statisticsAt: number[];
  /** The latest first. */
  strange: StrangeEpisode[];
  /** What the files of these images have that no file of the reference had, said once for all of them; empty where nothing. */
  files: string[];
  /** The newest image of which there is a picture: at most a second old while somebody looks, half a minute otherwise. */
  latest?: StrangeImage;
}

/** Images that are remembered of one camera, and cameras that are remembered. */
const keptImages = 300;
const keptSources = 128;
/** Room for so many at first. */
const firstImages = 8;
/** Latest images that lists show. */
const listedImages = 60;
/** Episodes that are kept of a camera, and the pause after which another one begins. */
const keptEpisodes = 8;
const episodeGapMs = 10 * 60_000;
/** Statistics that are shown where none are asked for, and images that decide which. */
const shownStatistics = 9;
/** Those that lie farthest out are looked through for what a person sees of them. */
const comparedStatistics = 36;
const judgedImages = 40;
/** Longest sides of pictures, and how many may wait to be drawn: beyond, images stay without one. */
const latestSide = 320;
const exampleSide = 240;
const maxWaiting = 4;
/** How often the latest image of a camera is drawn: while somebody looks at it, and otherwise. */
const lookedEveryMs = 1000;
const unlookedEveryMs = 30_000;
const lookMs = 20_000;

const verdicts = ['pass', 'warn', 'block'] as const;

/** A statistic that is scored, and where it lies in the reference. */
interface Scored {
  name: string;
  position: number;
  logFloor?: number | undefined;
  p50: number;
  /** Width of the band from 1 to 99 %. */
  width: number;
}

/** Where the scored statistics lie: between the quantiles that verdicts and reports show. */
export function readBands({ statistics, tensors }: Pick<Profile, 'statistics' | 'tensors'>): Scored[] {
  const { shape, data } = tensors.calibrationValues;
  return statistics.map(({ name, logFloor }, position) => {
    const sorted = data.slice(position * shape[1], (position + 1) * shape[1]).sort();
    const at = (share: number) => scoredValue(findQuantile(sorted, share), logFloor);
    return { name, position, logFloor, p50: at(0.5), width: at(0.99) - at(0.01) || 1 };
  });
}

/** What lists show of a camera. */
export interface RecentSource {
  source: string;
  images: number;
  at: number;
  pValue: number[];
  /** What the same images were judged to be. */
  verdict: Verdict['verdict'][];
  counts: Record<Verdict['verdict'], number>;
}

/** The latest images of each camera for people to look at: in memory, bounded, and gone with the process. */
export class Recent {
  readonly #judge: Judge;
  /** The camera that was seen last stands last. */
  readonly #cameras = new Map<string, Camera>();
  #scored: Scored[] = [];
  #waiting = 0;

  /** @param judge watched from now on */
  constructor(judge: Judge) {
    this.#judge = judge;
    if (judge.hasProfile) this.#learn(judge.profile);
    judge.onReplace((profile) => this.#learn(profile));
    judge.watch((judgement) => this.#take(judgement), { bytes: true });
  }

  sources(): RecentSource[] {
    return [...this.#cameras].map(([source, camera]) => ({ source, ...camera.summarize() }));
  }

  /**
   * @param options.after images that the reader has already: only newer ones are in the columns
   * @param options.statistics names of those that are wanted; names that the Profile does not score are left out
   */
  images(source: string, options: { after?: number; statistics?: readonly string[] } = {}): RecentImages | undefined {
    const camera = this.#cameras.get(source);
    return camera && { source, ...camera.describe(options) };
  }

  /** A small WebP. */
  picture(source: string, id: string): Uint8Array | undefined {
    return this.#cameras.get(source)?.pictures.get(id);
  }

  #learn(profile: Profile): void {
    this.#cameras.clear();
    this.#scored = readBands(profile);
  }

  #take(judgement: Judgement): void {
    const { source } = judgement;
    const camera = this.#cameras.get(source) ?? new Camera(this.#scored);
    this.#cameras.delete(source);
    this.#cameras.set(source, camera);
    if (this.#cameras.size > keptSources) this.#cameras.delete(this.#cameras.keys().next().value as string);
    const { image, isExample, isLatest } = camera.take(judgement);
    if ((!isExample && !isLatest) || this.#waiting >= maxWaiting) return;
    const side = isLatest ? latestSide : exampleSide;
    void this.#draw(camera, image, { judgement, side });
  }

  async #draw(camera: Camera, image: StrangeImage, options: { judgement: Judgement; side: number }): Promise<void> {
    this.#waiting++;
    try {
      const { frame, bytes, mask } = options.judgement;
      const given = frame ?? bytes;
      // A worker draws it: nothing is decoded in the process that answers.
      if (given) camera.illustrate(image, await this.#judge.pool.draw(given, options.side, mask));
    } catch {
      // There was no room for it, and nothing depends on the picture.
    } finally {
      this.#waiting--;
    }
  }
}

/** What is kept of the images of one camera, one place for each. */
interface Columns {
  at: Float64Array;
  pValue: Float32Array;
  score: Float32Array;
  verdict: Uint8Array;
  /** Two numbers for each place. */
  projection: Float32Array;
  /** One number for each place and scored statistic. */
  values: Float32Array;
}
const columnNames = ['at', 'pValue', 'score', 'verdict', 'projection', 'values'] as const;

function makeColumns(places: number, statistics: number): Columns {
  return {
    at: new Float64Array(places),
    pValue: new Float32Array(places),
    score: new Float32Array(places),
    verdict: new Uint8Array(places),
    projection: new Float32Array(2 * places),
    values: new Float32Array(statistics * places),
  };
}

/** The latest images of one camera: a ring of columns, and those that did not pass by episode. */
class Camera {
  readonly pictures = new Map<string, Uint8Array>();
  readonly #scored: readonly Scored[];
  #columns: Columns;
  /** What is foreign about the file of each, by place; neighbours that say the same share one list. */
  readonly #files: (readonly FileFact[])[] = [];
  #images = 0;
  #episodes: StrangeEpisode[] = [];
  #latest: StrangeImage | undefined;
  #drawnAt = 0;
  #lookedAt = 0;

  constructor(scored: readonly Scored[]) {
    this.#scored = scored;
    this.#columns = makeColumns(firstImages, scored.length);
  }

  /** @returns whether a picture of it is wanted: as an example of its episode, or because the latest picture is old */
  take(judgement: Judgement): { image: StrangeImage; isExample: boolean; isLatest: boolean } {
    const { verdict, at } = judgement;
    this.#makeRoom();
    const columns = this.#columns;
    const place = this.#images++ % keptImages;
    columns.at[place] = at;
    columns.pValue[place] = verdict.pValue;
    columns.score[place] = verdict.score;
    columns.verdict[place] = verdicts.indexOf(verdict.verdict);
    const [x = Number.NaN, y = Number.NaN] = verdict.projection ?? [];
    columns.projection.set([x, y], 2 * place);
    const first = place * this.#scored.length;
    for (const { name, position } of this.#scored) {
      columns.values[first + position] = verdict.statistics[name] ?? Number.NaN;
    }
    this.#files[place] = shareEqual(readFileFacts(verdict), this.#files[(place + keptImages - 1) % keptImages]);
    const image = describeImage(judgement);
    const isExample = image.verdict !== 'pass' && this.#joinEpisode(image, nameKind(verdict));
    const isLatest = at - this.#drawnAt >= (at - this.#lookedAt < lookMs ? lookedEveryMs : unlookedEveryMs);
    if (isLatest) this.#drawnAt = at;
    return { image, isExample, isLatest };
  }

  /** Adds the picture of an image, and forgets those of images that are no longer shown. */
  illustrate(image: StrangeImage, picture: Uint8Array): void {
    this.pictures.set(image.id, picture);
    image.hasPicture = true;
    if (image.at >= (this.#latest?.at ?? 0)) this.#latest = image;
    const examples = this.#episodes.flatMap((episode) => episode.examples);
    const shown = new Set([this.#latest, ...examples].map((other) => other?.id));
    for (const id of this.pictures.keys()) if (!shown.has(id)) this.pictures.delete(id);
  }

  summarize(): Omit<RecentSource, 'source'> {
    const places = this.#places(keptImages);
    const counts = { pass: 0, warn: 0, block: 0 };
    for (const place of places) counts[verdicts[this.#columns.verdict[place]]]++;
    const listed = places.slice(-listedImages);
    return {
      images: this.#images,
      at: this.#columns.at[places[places.length - 1]],
      pValue: listed.map((place) => tidy(this.#columns.pValue[place])),
      verdict: listed.map((place) => verdicts[this.#columns.verdict[place]]),
      counts,
    };
  }

  describe({
    after = 0,
    statistics = [],
  }: {
    after?: number;
    statistics?: readonly string[];
  }): Omit<RecentImages, 'source'> {
    this.#lookedAt = Date.now();
    const all = this.#places(keptImages);
    const rows = this.#places(Math.max(0, this.#images - Math.max(0, after)));
    const projected = rows.filter((place) => Number.isFinite(this.#columns.projection[2 * place]));
    return {
      images: this.#images,
      at: rows.map((place) => this.#columns.at[place]),
      pValue: rows.map((place) => tidy(this.#columns.pValue[place])),
      score: rows.map((place) => tidy(this.#columns.score[place])),
      verdict: rows.map((place) => verdicts[this.#columns.verdict[place]]),
      projection: projected.map((place) => [
        tidy(this.#columns.projection[2 * place]),
        tidy(this.#columns.projection[2 * place + 1]),
      ]),
      // Which are shown may change, so they always come whole.
      statistics: this.#choose(statistics).map(({ name, text, position }) => ({
        name,
        text,
        values: all.map((place) => this.#value(place, position)),
      })),
      statisticsAt: all.map((place) => this.#columns.at[place]),
      strange: this.#episodes.toReversed(),
      files: this.#describeFiles(all),
      ...(this.#latest && { latest: this.#latest }),
    };
  }

  #describeFiles(places: readonly number[]): string[] {
    const facts = new FileFacts();
    for (const place of places) facts.add(this.#files[place]);
    return describeFileFacts(facts.list(), places.length);
  }

  #value(place: number, position: number): number | null {
    const value = this.#columns.values[place * this.#scored.length + position];
    return Number.isFinite(value) ? tidy(value) : null;
  }

  /** Columns grow with the images, so that a flood of cameras with one image each takes little. */
  #makeRoom(): void {
    const before = this.#columns;
    const length = before.at.length;
    if (this.#images !== length || length === keptImages) return;
    const columns = makeColumns(Math.min(keptImages, 4 * length), this.#scored.length);
    for (const name of columnNames) columns[name].set(before[name] as never);
    this.#columns = columns;
  }

  /** Counts an image to the episode that goes on, or begins one; true where it is an example of it. */
  #joinEpisode(image: StrangeImage, { kind, family }: Kind): boolean {
    const { at, verdict, score } = image;
    const blocked = verdict === 'block' ? 1 : 0;
    const known = this.#episodes.findIndex(
      (episode) => at - episode.to < episodeGapMs && (episode.kind === kind || (family && episode.family === family)),
    );
    if (known < 0) {
      this.#episodes.push({ kind, ...(family && { family }), from: at, to: at, images: 1, blocked, examples: [image] });
      if (this.#episodes.length > keptEpisodes) this.#episodes.shift();
      return true;
    }
    const [episode] = this.#episodes.splice(known, 1);
    // The one that goes on is the latest.
    this.#episodes.push(episode);
    episode.to = at;
    // Some of them are not sure enough of one cause to name it.
    if (family && episode.kind !== kind) episode.kind = nameFamily(family);
    episode.images++;
    episode.blocked += blocked;
    const [first, strangest = first] = episode.examples;
    if (score <= strangest.score || episode.examples.some(({ id }) => id === image.id)) return false;
    episode.examples = [first, image];
    return true;
  }

  /** The places of the newest images, oldest first. */
  #places(count: number): number[] {
    const length = Math.min(this.#images, keptImages, count);
    return Array.from({ length }, (_, i) => (this.#images - length + i) % keptImages);
  }

  /** The statistics that are wanted, or those that lie farthest out. */
  #choose(wanted: readonly string[]): (Scored & { text: string })[] {
    const places = this.#farthest();
    if (wanted.length === 0) {
      return groupMoved(places.slice(0, comparedStatistics))
        .slice(0, shownStatistics)
        .map(({ words, lead }) => ({ ...lead.scored, text: words }));
    }
    return wanted.flatMap((name) => {
      const found = places.find((place) => place.name === name);
      return found ? [{ ...found.scored, text: groupMoved([found])[0].words }] : [];
    });
  }

  /**
   * How far the mean of each statistic over the newest images lies from the median of the reference, in widths of its band,
   * farthest first.
   */
  #farthest(): (Movement & { scored: Scored })[] {
    const newest = this.#places(judgedImages);
    const moves = this.#scored.map((scored): Movement & { scored: Scored } => {
      const { name, position, logFloor, p50, width } = scored;
      const values = newest
        .map((place) => this.#columns.values[place * this.#scored.length + position])
        .filter((value) => Number.isFinite(value));
      const mean = values.reduce((sum, value) => sum + scoredValue(value, logFloor), 0) / values.length;
      const distance = values.length === 0 ? 0 : (mean - p50) / width;
      const direction = distance > 0 ? 'high' : 'low';
      // On a logarithmic scale it is no value.
      return { name, scored, direction, size: Math.abs(distance), ...(logFloor === undefined && { value: mean }) };
    });
    return moves.sort((a, b) => b.size - a.size);
  }
}

/** What a stopped image has in common with others, as surely as its verdict says it. */
function nameKind(verdict: Verdict): Kind {
  const kind = nameCause(verdict);
  const family = verdict.cause?.family;
  if (kind !== undefined && kind !== 'unknown') return { kind, ...(family && { family }) };
  const [first] = verdict.reasons;
  return { kind: first ? describeGroup(readGroup(first)) : 'strange as a whole' };
}

function nameFamily(family: CorruptionFamily): string {
  return nameCause({ verdict: 'block', cause: { kind: 'family', family, text: '' } }) ?? family;
}

/** What is wrong with an image, and the family of causes that it belongs to. */
type Kind = Pick<StrangeEpisode, 'kind' | 'family'>;

function describeImage({ verdict: full, at }: Judgement): StrangeImage {
  const { verdict, pValue, score, causes, nearest, reasons, image } = full;
  return {
    id: image.sha256,
    at,
    verdict,
    pValue,
    score,
    reasons: leaveOutFile(reasons)
      .slice(0, 4)
      .map(({ text }) => text),
    ...(causes && { causes: causes.slice(0, 3) }),
    ...(nearest && { nearest }),
    hasPicture: false,
  };
}

/** Reasons without those of the file, unless the file is all there is to say. */
function leaveOutFile(reasons: Verdict['reasons']): Verdict['reasons'] {
  const others = reasons.filter((reason) => readGroup(reason) !== 'file');
  return others.length > 0 ? others : reasons;
}

function shareEqual(facts: readonly FileFact[], before: readonly FileFact[] | undefined): readonly FileFact[] {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(facts) ? before : facts;
}

function tidy(value: number): number {
  return Number(value.toPrecision(4));
}
