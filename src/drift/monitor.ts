import { probit } from 'simple-statistics';
import { hashDistance } from '../image/hash.ts';
import { createMemory, type Memory, packDeviation, packState, type Sizes } from './memory.ts';
import type { Observation } from './observation.ts';
import { createDependence } from './pace.ts';
import type { DriftReport, DriftState, Transition } from './report.ts';
import { collectEvidence, type Head, restore, type Shared } from './state.ts';
import { buildReport } from './summary.ts';
import { track } from './track.ts';

/** Watches one source. */
export interface Monitor {
  readonly state: DriftState;
  /** Takes one image; says when the state changes. Images that were seen before, in any order, change nothing. */
  observe(observation: Observation): Transition | undefined;
  /**
   * Tells the time, every few seconds or so: only this finds out that no images come.
   * @param now milliseconds since 1970
   */
  tick(now: number): Transition | undefined;
  report(): DriftReport;
  /** Everything it knows: `createDrift(...).monitor(state)` goes on from there. */
  save(): Uint8Array;
}

/** From this share of the evidence of an alarm on a source is suspect, and below the second it no longer is. */
const suspectFrom = 0.1;
const suspectUntil = 0.02;

/** Evidence of one statistic that says nothing yet: its threshold is some hundred times that of the score. */
const calmStatistic = 1e-5;
/** A picture whose statistics all differ by less than this from the one before is the same picture, compressed again. */
const sameDeviation = 0.02;
const sameBits = 1;
/** Of the images of late that did not pass, how much the newest counts for the causes. */
const causeWeight = 0.1;
const maxCauses = 8;
export const maxFrames = 5;

/** A Profile that changed makes the numbers of another meaningless: then it learns again. */
export function createMonitor(shared: Shared, saved?: Uint8Array): Monitor {
  const { profile, detector, detectors, sizes } = shared;
  const restored = saved && restore(shared, saved);
  const memory: Memory = restored?.memory ?? createMemory(sizes);
  const head: Head = restored?.head ?? {
    profile,
    detector,
    state: 'learning',
    since: 0,
    before: 'learning',
    at: 0,
    images: 0,
    repeats: 0,
    run: 0,
    hash: '',
    rows: 0,
    recents: 0,
    spacing: 1,
    seriesLength: 0,
    pace: null,
    alarms: 0,
    alarmImage: 0,
    calm: { score: 0, statistic: 0 },
    alarmTook: 0,
    stateImage: 0,
    causes: {},
    frames: [],
  };
  const isNew = saved !== undefined && restored === undefined;
  let quietMs = 0;
  let ticked: number | undefined;
  const dependence = createDependence(shared, head);
  const series = {
    values: memory.series,
    length: head.seriesLength,
    spacing: head.spacing,
    times: head.times,
  };
  const numbers = new Float64Array(sizes.series);

  const change = (to: DriftState, text: string, id?: string): Transition | undefined => {
    if (to === head.state) return undefined;
    const from = head.state;
    const { share } = collectEvidence(shared, memory);
    if (to === 'stale' || to === 'frozen') head.before = from === 'stale' || from === 'frozen' ? head.before : from;
    head.state = to;
    head.since = head.at;
    head.stateImage = head.images;
    return { from, to, at: head.at, ...(id !== undefined && { id }), images: head.images, evidence: share, text };
  };

  /** The state that the evidence speaks for, of a source whose images come and differ. */
  const judge = (id: string): Transition | undefined => {
    const { share, by, score, statistic } = collectEvidence(shared, memory);
    const current = head.state === 'stale' || head.state === 'frozen' ? head.before : head.state;
    const back = head.state !== current ? 'images come again' : undefined;
    const alone = shared.correlation ? '' : ', which alone is no alarm unless the reference is ordered (fit --ordered)';
    const signs = `there are first signs of a change${by === 'score' ? '' : ` of ${by}${alone}`}`;
    if (score < suspectUntil) head.calm.score = head.images;
    if (statistic < calmStatistic) head.calm.statistic = head.images;
    if (share >= 1 && dependence.known()) {
      head.alarms++;
      head.lastAlarmAt = head.at;
      const calm = by === 'score' ? head.calm.score : head.calm.statistic;
      head.alarmTook = head.images - Math.max(calm, head.alarmImage);
      head.alarmImage = head.images;
      const text =
        by === 'score'
          ? `images are stranger than those of the reference, for about ${head.alarmTook} images`
          : `${by} lies elsewhere than in the reference, for about ${head.alarmTook} images`;
      const transition = change('drifted', text, id);
      memory.score.fill(0);
      memory.statistics.fill(0);
      return transition && { ...transition, evidence: share };
    }
    const effective = head.images / dependence.time();
    const isLearnt = dependence.known() && effective >= shared.learnFor;
    switch (current) {
      case 'drifted': {
        const wait = Math.max(shared.learnFor * dependence.time(), 3 * head.alarmTook);
        if (head.images - head.alarmImage >= wait && share < suspectFrom) {
          return change('recovered', 'images are like those of the reference again', id);
        }
        break;
      }
      case 'recovered':
        if (share >= suspectFrom) return change('suspect', signs, id);
        if (head.images - head.stateImage >= shared.learnFor * dependence.time()) {
          head.frames = [];
          return change('ok', 'images have been like those of the reference for a while', id);
        }
        break;
      case 'suspect':
        if (share < suspectUntil) return change('ok', 'the signs of a change were nothing', id);
        break;
      default:
        if (!isLearnt) return change('learning', dependence.why(), id) ?? undefined;
        if (share >= suspectFrom) return change('suspect', signs, id);
        if (current === 'learning') return change('ok', 'images are like those of the reference', id);
    }
    return back === undefined ? undefined : change(current, back, id);
  };

  return {
    get state() {
      return head.state;
    },
    observe(observation) {
      const { id, z } = observation;
      const at = Number.isFinite(observation.at) ? observation.at : head.at;
      const key = hashId(id);
      const seen = findRecent(memory, head, key);
      // Delivered twice: the same image of the same moment.
      if (seen >= 0 && memory.recentAt[seen] === at) return undefined;
      head.at = Math.max(head.at, at);
      if (head.since === 0) head.since = head.at;
      quietMs = 0;
      const isRepeat = head.images > 0 && (seen >= 0 || isSamePicture(memory, head, observation));
      if (seen >= 0) memory.recentAt[seen] = at;
      else remember(memory, head, key, at, sizes.recent);
      if (isRepeat) {
        head.repeats++;
        head.run++;
        if (head.run + 1 < shared.freezeAfter) return undefined;
        return change('frozen', `the same picture came ${head.run + 1} times in a row`, id);
      }
      head.run = 0;
      head.hash = observation.hash;
      memory.lastZ.set(z);

      measureSeries(shared, observation, numbers);
      track(series, numbers, head.images);
      head.seriesLength = series.length;
      head.spacing = series.spacing;
      head.times = series.times;
      if (dependence.refresh()) {
        // What was added up at another pace proves nothing.
        memory.score.fill(0);
        memory.statistics.fill(0);
        head.calm = { score: head.images, statistic: head.images };
      }
      detectors.update(memory, observation, dependence.pace());
      const spacing = Math.max(1, Math.ceil(dependence.time() / 4));
      if (head.images % spacing === 0) keepRow(memory, head, sizes, observation);
      note(head, observation, detectors.weight(observation.score));
      head.images++;
      return judge(id);
    },
    tick(now) {
      // A clock that jumps must not make a source stale at once.
      if (ticked !== undefined) quietMs += Math.max(0, Math.min(now - ticked, shared.staleAfterMs / 4));
      ticked = now;
      if (head.images === 0 || head.state === 'stale' || quietMs < shared.staleAfterMs) return undefined;
      head.at = Math.max(head.at, now);
      return change('stale', `no image for ${Math.round(quietMs / 1000)} s`);
    },
    report() {
      return buildReport(shared, head, memory, dependence, isNew);
    },
    save() {
      return packState(head, memory.bytes);
    },
  };
}

function hashId(id: string): [number, number] {
  return [Number.parseInt(id.slice(0, 8), 16) >>> 0, Number.parseInt(id.slice(8, 16), 16) >>> 0];
}

function findRecent({ recentId }: Memory, { recents }: Head, [high, low]: [number, number]): number {
  const filled = Math.min(recents, recentId.length / 2);
  for (let i = 0; i < filled; i++) if (recentId[2 * i] === high && recentId[2 * i + 1] === low) return i;
  return -1;
}

function remember(memory: Memory, head: Head, key: [number, number], at: number, recent: number): void {
  const place = head.recents % recent;
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
