import { probit } from 'simple-statistics';
import { release } from '../image/frame.ts';
import { hashDistance } from '../image/hash.ts';
import { inSentence, labelStatistic } from '../profile/labels.ts';
import { createMemory, type Memory, packDeviation, packState, type Sizes } from './memory.ts';
import type { Observation } from './observation.ts';
import { Dependence } from './pace.ts';
import { describeRecent, type RecentLevel, summarizeRecent, takeVerdict } from './recent.ts';
import type { DriftReport, DriftState, Glance, Sight, Transition, Uncheckable } from './report.ts';
import { SightWatch } from './sight.ts';
import type { Standing } from './standing.ts';
import { collectEvidence, createHead, type Head, readSettled, restore, type Shared } from './state.ts';
import { findStaying, takeChances } from './stays.ts';
import { buildReport, countCalmImages, glanceAt, suspectFrom, suspectUntil } from './summary.ts';
import { type Track, track } from './track.ts';
import { describeFrozen } from './trust.ts';

/** Evidence of one statistic that says nothing yet: its threshold is some hundred times that of the score. */
const calmStatistic = 1e-5;
/** A picture whose statistics all differ by less than this from the one before is the same picture, compressed again. */
const sameDeviation = 0.02;
const sameBits = 1;
/** How much the newest of the images that did not pass counts for the causes. */
const causeWeight = 0.1;
const maxCauses = 8;
/** One image without colour may be a fault of the stream. */
const leastGreys = 3;
export const maxFrames = 5;

/** Goes on from a saved state; one of another Profile or version is left aside, and the source learns again. */
export function createMonitor(shared: Shared, saved?: Uint8Array): Monitor {
  return new Monitor(shared, saved);
}

/** Watches one source. */
export class Monitor {
  readonly #shared: Shared;
  readonly #memory: Memory;
  readonly #head: Head;
  readonly #dependence: Dependence;
  readonly #series: Track;
  readonly #numbers: Float64Array;
  /** Whether a state was given that another Profile or version has saved. */
  readonly #isNew: boolean;
  readonly #sights: SightWatch;
  #quietMs = 0;
  #ticked: number | undefined;

  constructor(shared: Shared, saved?: Uint8Array) {
    const restored = saved && restore(shared, saved);
    this.#shared = shared;
    this.#memory = restored?.memory ?? createMemory(shared.sizes);
    this.#head = restored?.head ?? createHead(shared);
    this.#isNew = saved !== undefined && restored === undefined;
    this.#dependence = new Dependence(shared, this.#head);
    const { seriesLength: length, spacing, times } = this.#head;
    this.#series = { values: this.#memory.series, length, spacing, times };
    this.#numbers = new Float64Array(shared.sizes.series);
    this.#sights = new SightWatch(shared.freezeAfter, this.#head.sight);
    delete this.#head.sight;
  }

  get state(): DriftState {
    return this.#head.state;
  }

  get recentLevel(): RecentLevel {
    return this.#head.level;
  }

  /** Takes one image; says when the state changes. Images that were seen before, in any order, change nothing. */
  observe(observation: Observation): Transition | undefined {
    const head = this.#head;
    const memory = this.#memory;
    const at = Number.isFinite(observation.at) ? observation.at : head.at;
    const key = readKey(observation.id);
    const seen = findRecent(memory, head, key);
    // The same image of the same moment was delivered twice.
    if (seen >= 0 && memory.recentAt[seen] === at) return undefined;
    head.at = Math.max(head.at, at);
    if (head.since === 0) head.since = head.at;
    this.#quietMs = 0;
    const isSame = head.images > 0 && isSamePicture(memory, head, observation);
    if (head.images > 0 && (seen >= 0 || isSame)) {
      const loop = seen >= 0 ? countSince(memory, head, seen) : 1;
      if (seen >= 0) memory.recentAt[seen] = at;
      else remember(memory, head, key, at);
      if (isSame || loop === 1) this.#sights.repeat();
      return this.#repeat(isSame ? 1 : loop, observation.id);
    }
    remember(memory, head, key, at);
    if (observation.sketch) this.#sights.observe(observation.sketch);
    const { standing } = this.#sights;
    if (standing?.kind === 'frozen' || standing?.kind === 'loop') return this.#stand(standing, observation.id);
    head.run = 0;
    head.loop = 1;
    head.hash = observation.hash;
    memory.lastZ.set(observation.z);
    this.#take(observation);
    return this.#judge(observation.id);
  }

  /**
   * Tells the time, every few seconds or so: only this finds out that no images come.
   * @param now milliseconds since 1970
   * @param isExpected whether a source of which no image has ever come is stale, too
   */
  tick(now: number, isExpected = false): Transition | undefined {
    const { staleAfterMs } = this.#shared;
    const head = this.#head;
    // A clock that jumps must not make a source stale at once.
    if (this.#ticked !== undefined) {
      this.#quietMs += Math.max(0, Math.min(now - this.#ticked, staleAfterMs / 4));
    }
    this.#ticked = now;
    if ((head.images === 0 && !isExpected) || head.state === 'stale' || this.#quietMs < staleAfterMs) return undefined;
    head.at = Math.max(head.at, now);
    return this.#change('stale', `no image for ${Math.round(this.#quietMs / 1000)} s`);
  }

  /** What is cheap to tell. */
  glance(): Glance {
    return glanceAt(this.#shared, this.#head, this.#memory, this.#dependence);
  }

  report(): DriftReport {
    const { sight } = this.#sights;
    const uncheckable = this.#listUncheckable();
    const report = buildReport(this.#shared, this.#head, this.#memory, this.#dependence, this.#isNew);
    return { ...report, ...(sight && { sight }), ...(uncheckable.length > 0 && { uncheckable }) };
  }

  /** Everything it knows: `createDrift(...).monitor(state)` goes on from there. */
  save(): Uint8Array {
    const sight = this.#sights.save();
    return packState({ ...this.#head, ...(sight && { sight }) }, this.#memory.bytes);
  }

  /** Gives back its memory at once; it must not be used any more. */
  release(): void {
    release(this.#memory.bytes);
    this.#sights.release();
  }

  /** What the images of late do not tell: of a reference in colour whether colours are right, and in the dark what is hidden. */
  #listUncheckable(): Uncheckable[] {
    const { names, usual } = this.#shared;
    const { greys = 0 } = this.#head;
    const found = [...this.#sights.uncheckable];
    if (greys >= leastGreys && names.includes('colourfulness'))
      found.push({ question: 'colour', why: `the last ${greys} images have no colour, as in infrared` });
    if (usual && this.#sights.isDark)
      found.push({ question: 'places', why: 'the picture is too dark to see whether something hides a part of it' });
    return found;
  }

  /** Takes an image that came before; `loop` is how many pictures it lies back. */
  #repeat(loop: number, id: string): Transition | undefined {
    const head = this.#head;
    head.repeats++;
    head.loop = head.run === 0 ? loop : Math.max(head.loop, loop);
    head.run++;
    const images = head.run + 1;
    if (images < this.#shared.freezeAfter) return undefined;
    const text = describeFrozen({ pictures: head.loop, images });
    return this.#change('frozen', text[0].toLowerCase() + text.slice(1), id);
  }

  /** Takes an image whose bytes are new and whose picture is not: it counts no more than the same bytes would. */
  #stand({ images, pictures }: Standing, id: string): Transition | undefined {
    const head = this.#head;
    head.repeats++;
    head.run = images - 1;
    head.loop = pictures;
    return this.#change('frozen', this.#sights.sight?.text ?? describeFrozen({ pictures, images }), id);
  }

  /** Raises an alarm of what is seen without numbers: a part that stands still, a camera that was moved. */
  #tellSight({ text }: Sight, id: string): Transition | undefined {
    const head = this.#head;
    head.alarms++;
    head.lastAlarmAt = head.at;
    head.alarmImage = head.images;
    head.alarmTook = 0;
    head.alarm = { at: head.at, share: 1, by: 'view', text };
    return this.#change('drifted', text, id);
  }

  /** Adds a new image to all that is known. */
  #take(observation: Observation): void {
    const head = this.#head;
    const memory = this.#memory;
    const { detectors, sizes } = this.#shared;
    measureSeries(this.#shared, observation, this.#numbers);
    track(this.#series, this.#numbers, head.images);
    head.seriesLength = this.#series.length;
    head.spacing = this.#series.spacing;
    head.times = this.#series.times;
    if (this.#dependence.refresh()) {
      // What was added up at another pace proves nothing.
      memory.score.fill(0);
      memory.statistics.fill(0);
      head.calm = { score: head.images, statistic: head.images };
    }
    detectors.update(memory, observation, this.#dependence.pace());
    const spacing = Math.max(1, Math.ceil(this.#dependence.time() / 4));
    if (head.images % spacing === 0) keepRow(memory, head, sizes, observation);
    note(head, observation, detectors.weight(observation.score));
    takeVerdict(head, observation.verdict);
    if (observation.chances && this.#shared.usual) head.stays = takeChances(head.stays, observation.chances);
    head.greys = observation.isGrey ? (head.greys ?? 0) + 1 : 0;
    head.images++;
  }

  #change(to: DriftState, text: string, id?: string): Transition | undefined {
    const head = this.#head;
    if (to === head.state) return undefined;
    const from = head.state;
    const { share } = collectEvidence(this.#shared, this.#memory);
    if (to === 'stale' || to === 'frozen') head.before = readSettled(head);
    head.state = to;
    head.since = head.at;
    head.stateImage = head.images;
    return { from, to, at: head.at, ...(id !== undefined && { id }), images: head.images, evidence: share, text };
  }

  /** The state that the evidence speaks for, of a source whose images come and differ. */
  #judge(id: string): Transition | undefined {
    const head = this.#head;
    const evidence = collectEvidence(this.#shared, this.#memory);
    if (evidence.score < suspectUntil) head.calm.score = head.images;
    if (evidence.statistic < calmStatistic) head.calm.statistic = head.images;
    if (evidence.share >= 1 && this.#dependence.known()) return this.#raise(evidence, id);
    const { sight } = this.#sights;
    if (sight && readSettled(head) !== 'drifted') return this.#tellSight(sight, id);
    const current = readSettled(head);
    const next = this.#choose(current, evidence) ?? { to: current, text: 'images come again' };
    return this.#change(next.to, next.text, id);
  }

  /** Raises an alarm, or another one while it lasts. */
  #raise({ share, by }: Evidence, id: string): Transition | undefined {
    const head = this.#head;
    const memory = this.#memory;
    const calm = by === 'score' ? head.calm.score : head.calm.statistic;
    head.alarms++;
    head.lastAlarmAt = head.at;
    head.alarmTook = head.images - Math.max(calm, head.alarmImage);
    head.alarmImage = head.images;
    const text =
      by === 'score'
        ? `images are stranger than those of the reference, seen after about ${head.alarmTook} images`
        : `${inSentence(labelStatistic(by))}: elsewhere than in the reference, seen after about ${head.alarmTook} images`;
    head.alarm = { at: head.at, share, by, text };
    const transition = this.#change('drifted', text, id);
    memory.score.fill(0);
    memory.statistics.fill(0);
    return transition && { ...transition, evidence: share };
  }

  /** Where a source goes from its state without an alarm; undefined where it stays. */
  #choose(current: DriftState, { share, by }: Evidence): { to: DriftState; text: string } | undefined {
    const head = this.#head;
    const isBlocked = head.level === 'blocked';
    const hidden = this.#describeHidden();
    const hasSigns = share >= suspectFrom || isBlocked || hidden !== undefined;
    if (current === 'drifted') {
      const isLong = head.images - head.alarmImage >= countCalmImages(this.#shared, head, this.#dependence);
      if (!isLong || hasSigns || this.#sights.sight) return undefined;
      return { to: 'recovered', text: 'images are like those of the reference again' };
    }
    if (current === 'suspect') {
      if (share >= suspectUntil || isBlocked || hidden !== undefined) return undefined;
      return { to: 'ok', text: 'the signs of a change were nothing' };
    }
    // Which place is hidden needs no learning: the images of late all say the same.
    if (hidden !== undefined && current !== 'recovered') return { to: 'suspect', text: hidden };
    const least = this.#shared.learnFor * this.#dependence.time();
    if (current !== 'recovered' && !(this.#dependence.known() && head.images >= least)) {
      return { to: 'learning', text: this.#dependence.why() };
    }
    if (hasSigns) return { to: 'suspect', text: hidden ?? this.#describeSigns(by, share) };
    if (current === 'learning') return { to: 'ok', text: 'images are like those of the reference' };
    if (current === 'recovered' && head.images - head.stateImage >= least) {
      head.frames = [];
      return { to: 'ok', text: 'images have been like those of the reference for a while' };
    }
    return undefined;
  }

  /** What stays in its place, in words; undefined where nothing does. */
  #describeHidden(): string | undefined {
    const { stays } = this.#head;
    if (!stays || !this.#shared.usual) return undefined;
    const { parts } = findStaying(stays, this.#shared.usual);
    if (parts.length === 0) return undefined;
    return `something stays in front of a part of the view: ${parts.map(({ text }) => text).join('; ')}`;
  }

  #describeSigns(by: string, share: number): string {
    const latest = describeRecent(summarizeRecent(this.#head, this.#head.causes));
    if (share < suspectFrom && latest !== undefined) return latest;
    if (by === 'score') return 'there are first signs of a change';
    const alone = this.#shared.correlation
      ? ''
      : ', which alone is no alarm unless the reference is ordered (fit --ordered)';
    return `there are first signs of a change of ${by}${alone}`;
  }
}

type Evidence = ReturnType<typeof collectEvidence>;

function readKey(id: string): [number, number] {
  return [Number.parseInt(id.slice(0, 8), 16) >>> 0, Number.parseInt(id.slice(8, 16), 16) >>> 0];
}

function findRecent({ recentId }: Memory, { recents }: Head, [high, low]: [number, number]): number {
  const filled = Math.min(recents, recentId.length / 2);
  for (let i = 0; i < filled; i++) if (recentId[2 * i] === high && recentId[2 * i + 1] === low) return i;
  return -1;
}

/** How many pictures back the one at a place of the ring came first: 1 is the newest. */
function countSince({ recentAt }: Memory, { recents }: Head, place: number): number {
  const size = recentAt.length;
  return ((((recents - 1 - place) % size) + size) % size) + 1;
}

function remember(memory: Memory, head: Head, key: [number, number], at: number): void {
  const place = head.recents % memory.recentAt.length;
  memory.recentId.set(key, 2 * place);
  memory.recentAt[place] = at;
  head.recents++;
}

/** The picture before, compressed again or sent again: every statistic is the same, which no camera's noise allows. */
function isSamePicture({ lastZ }: Memory, head: Head, { hash, z }: Observation): boolean {
  if (head.hash.length !== 16 || hash.length !== 16 || hashDistance(head.hash, hash) > sameBits) return false;
  for (let i = 0; i < z.length; i++) if (Math.abs(z[i] - lastZ[i]) > sameDeviation) return false;
  return true;
}

/** Normal deviate of the score, then the mean deviation of each group of statistics. */
function measureSeries({ groups }: Shared, { pValue, z }: Observation, into: Float64Array): void {
  into[0] = -probit(Math.min(0.999, Math.max(0.001, pValue)));
  for (const [i, positions] of groups.entries()) {
    let sum = 0;
    for (const position of positions) sum += Math.max(-3, Math.min(3, z[position]));
    into[i + 1] = sum / Math.sqrt(positions.length);
  }
}

function keepRow(memory: Memory, head: Head, { window, statistics, across }: Sizes, observation: Observation): void {
  const row = head.rows % window;
  memory.at[row] = head.at;
  memory.pValue[row] = observation.pValue;
  for (let i = 0; i < statistics; i++) memory.z[row * statistics + i] = packDeviation(observation.z[i] || 0);
  for (let i = 0; i < across; i++) memory.projection[row * across + i] = observation.projection?.[i] ?? Number.NaN;
  memory.id.write(observation.id, row * 32, 32, 'hex');
  head.rows++;
}

/** Causes, flip rate and the images that weigh most. */
function note(head: Head, observation: Observation, weight: number): void {
  const { verdict, causes, expectedFlipRate } = observation;
  if (verdict !== 'pass' && causes) {
    for (const name in head.causes) head.causes[name] *= 1 - causeWeight;
    for (const { cause, probability } of causes) {
      head.causes[cause] = (head.causes[cause] ?? 0) + causeWeight * probability;
    }
    const names = Object.keys(head.causes).sort((a, b) => head.causes[b] - head.causes[a]);
    for (const name of names.slice(maxCauses)) delete head.causes[name];
  }
  if (expectedFlipRate !== undefined && Number.isFinite(expectedFlipRate)) {
    head.flip = head.flip === undefined ? expectedFlipRate : head.flip + causeWeight * (expectedFlipRate - head.flip);
  }
  const { frames } = head;
  if (!(weight > 0) || (frames.length === maxFrames && weight <= frames[maxFrames - 1].weight)) return;
  const { id, pValue } = observation;
  const place = frames.findIndex((frame) => frame.weight < weight);
  frames.splice(place < 0 ? frames.length : place, 0, { id, at: head.at, pValue, weight });
  if (frames.length > maxFrames) frames.pop();
}
