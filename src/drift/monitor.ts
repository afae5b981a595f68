import { probit } from 'simple-statistics';
import { hashDistance } from '../hash.ts';
import type { DecideBy } from '../verdict.ts';
import { track } from './dependence.ts';
import type { Calibration, Detectors, Pace } from './detectors.ts';
import {
  createMemory,
  type Memory,
  packDeviation,
  packState,
  type Sizes,
  unpackDeviation,
  unpackState,
} from './memory.ts';
import type { Observation } from './observation.ts';
import { type DriftReport, type DriftState, movedContent, movedStatistics, type Transition } from './report.ts';

/** What all sources of one Profile share. */
export interface Shared {
  /** sha256 of the Profile. */
  profile: string;
  detector: DecideBy;
  /** Of the statistics, in their order. */
  names: readonly string[];
  falseAlarmEvery: number;
  learnFor: number;
  staleAfterMs: number;
  freezeAfter: number;
  detectors: Detectors;
  sizes: Sizes;
  /** Positions of the statistics of each group whose mean is watched for memory. */
  groups: readonly (readonly number[])[];
  /** Sorted deviations that a statistic has over the reference. */
  reference: Float64Array;
  cloud: readonly Float64Array[];
  /** Correlation times of the reference, where it was ordered. */
  correlation?: Calibration['correlation'];
  promise(correlation: DriftReport['correlationTime']): string;
}

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
/** Evidence of one statistic counts for at most this where the reference was not ordered: below an alarm. */
const mostUnordered = 0.99;
/** Evidence of one statistic that says nothing yet: its threshold is some hundred times that of the score. */
const calmStatistic = 1e-5;
/** A picture whose statistics all differ by less than this from the one before is the same picture, compressed again. */
const sameDeviation = 0.02;
const sameBits = 1;
/** Of the images of late that did not pass, how much the newest counts for the causes. */
const causeWeight = 0.1;
const maxCauses = 8;
const maxFrames = 5;
/** A stream is taken to remember longer than the reference only where it does so by this factor. */
const slower = 1.5;

/** What is saved besides the numbers of `Memory`. */
interface Head {
  profile: string;
  detector: DecideBy;
  state: DriftState;
  since: number;
  /** State to go back to from stale or frozen. */
  before: DriftState;
  at: number;
  images: number;
  repeats: number;
  /** Of the same picture, until now. */
  run: number;
  hash: string;
  rows: number;
  recents: number;
  spacing: number;
  seriesLength: number;
  times?: number[];
  /** Correlation times that the evidence was gathered with: of the score, and of the statistics where the stream tells it. */
  pace: { score: number; statistics: number } | null;
  alarms: number;
  lastAlarmAt?: number;
  /** Image number of the last alarm, and of the last images before it at which score and statistics said nothing. */
  alarmImage: number;
  calm: { score: number; statistic: number };
  /** Images that the last alarm took. */
  alarmTook: number;
  stateImage: number;
  causes: Record<string, number>;
  flip?: number;
  frames: { id: string; at: number; pValue: number; weight: number }[];
}

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
    const { share } = evidenceOf(shared, memory);
    if (to === 'stale' || to === 'frozen') head.before = from === 'stale' || from === 'frozen' ? head.before : from;
    head.state = to;
    head.since = head.at;
    head.stateImage = head.images;
    return { from, to, at: head.at, ...(id !== undefined && { id }), images: head.images, evidence: share, text };
  };

  /** The state that the evidence speaks for, of a source whose images come and differ. */
  const judge = (id: string): Transition | undefined => {
    const { share, by, score, statistic } = evidenceOf(shared, memory);
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
      const key = keyOf(id);
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
      return reportOf(shared, head, memory, dependence, isNew);
    },
    save() {
      return packState(head, memory.bytes);
    },
  };
}

type Dependence = ReturnType<typeof createDependence>;

/** How much an image counts, by what the reference and the stream say. */
function createDependence({ correlation, detectors, learnFor }: Shared, head: Head) {
  let pace: Pace | undefined;
  const time = () => {
    const [stream] = head.times ?? [1];
    if (!correlation) return stream;
    return stream >= slower * correlation.score ? stream : correlation.score;
  };
  const dependence = {
    pace(): Pace {
      const { score, statistics } = head.pace ?? { score: 1, statistics: 1 };
      pace ??= detectors.pace(score, correlation ? { timesReference: score / correlation.score } : statistics);
      return pace;
    },
    /** Correlation time of the score in images. */
    time,
    from: () => (correlation && time() === correlation.score ? ('reference' as const) : ('stream' as const)),
    known: () => correlation !== undefined || head.times !== undefined,
    why: () =>
      dependence.known()
        ? `fewer than ${learnFor} images, counted as if they were independent, have come`
        : 'how long the stream remembers is not known yet',
    /** Takes up new correlation times; says whether evidence that was gathered with others is void. */
    refresh() {
      const score = time();
      const statistics = Math.max(...(head.times ?? [1]));
      const before = head.pace;
      const isNew = !before || differs(score, before.score) || (!correlation && differs(statistics, before.statistics));
      if (!isNew) return false;
      head.pace = { score, statistics };
      pace = undefined;
      return before !== null;
    },
  };
  return dependence;
}

/** Estimates waver: they are taken up only when they differ by half. */
function differs(a: number, b: number): boolean {
  return a > slower * b || b > slower * a;
}

function keyOf(id: string): [number, number] {
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

function restore(shared: Shared, saved: Uint8Array): { head: Head; memory: Memory } | undefined {
  const unpacked = unpackState(saved);
  if (!unpacked) return undefined;
  const { version: _, ...head } = unpacked.header as unknown as Head & { version: number };
  if (head.profile !== shared.profile || head.detector !== shared.detector) return undefined;
  try {
    return { head, memory: createMemory(shared.sizes, unpacked.bytes) };
  } catch {
    return undefined;
  }
}

/** Worst first: what the state of a source is that replicas do not agree on. */
const severity: readonly DriftState[] = ['drifted', 'frozen', 'suspect', 'recovered', 'ok', 'learning', 'stale'];

export function mergeStates(shared: Shared, states: readonly Uint8Array[]): Uint8Array {
  const parts = states.flatMap((state) => restore(shared, state) ?? []);
  if (parts.length < 2)
    return parts.length === 0 ? createMonitor(shared).save() : packState(parts[0].head, parts[0].memory.bytes);
  parts.sort((a, b) => b.head.at - a.head.at);
  const [newest] = parts;
  const head = structuredClone(newest.head);
  const memory = createMemory(shared.sizes, newest.memory.bytes);
  const sum = (value: (head: Head) => number) => parts.reduce((total, part) => total + value(part.head), 0);
  head.images = sum(({ images }) => images);
  head.repeats = sum(({ repeats }) => repeats);
  head.alarms = sum(({ alarms }) => alarms);
  const alarmed = parts.flatMap((part) => part.head.lastAlarmAt ?? []);
  if (alarmed.length > 0) head.lastAlarmAt = Math.max(...alarmed);
  const worst = parts.reduce((kept, part) =>
    severity.indexOf(part.head.state) < severity.indexOf(kept.head.state) ? part : kept,
  );
  head.state = worst.head.state;
  head.since = worst.head.since;
  head.before = worst.head.before;
  // Counted from here on: numbers of images of one replica mean nothing to another.
  head.alarmImage = head.images;
  head.stateImage = head.images;
  head.calm = { score: head.images, statistic: head.images };
  head.frames = parts
    .flatMap((part) => part.head.frames)
    .sort((a, b) => b.weight - a.weight)
    .slice(0, maxFrames);
  for (const key of ['score', 'statistics'] as const) {
    memory[key].fill(0);
    for (const part of parts)
      for (const [i, value] of part.memory[key].entries()) memory[key][i] += value / parts.length;
  }
  mergeRows(shared.sizes, parts, memory);
  head.rows = Math.min(
    shared.sizes.window,
    sum(({ rows }) => Math.min(rows, shared.sizes.window)),
  );
  return packState(head, memory.bytes);
}

/** The newest rows of all windows, in order. */
function mergeRows(
  { window, statistics: d, across }: Sizes,
  parts: { head: Head; memory: Memory }[],
  into: Memory,
): void {
  const rows = parts.flatMap(({ head, memory }) =>
    Array.from({ length: Math.min(head.rows, window) }, (_, row) => ({ memory, row, at: memory.at[row] })),
  );
  const kept = rows.sort((a, b) => a.at - b.at).slice(-window);
  for (const [place, { memory, row, at }] of kept.entries()) {
    into.at[place] = at;
    into.pValue[place] = memory.pValue[row];
    into.z.set(memory.z.subarray(row * d, (row + 1) * d), place * d);
    into.projection.set(memory.projection.subarray(row * across, (row + 1) * across), place * across);
    into.id.set(memory.id.subarray(row * 32, (row + 1) * 32), place * 32);
  }
}

function reportOf(shared: Shared, head: Head, memory: Memory, dependence: Dependence, isNew: boolean): DriftReport {
  const { names, sizes, falseAlarmEvery } = shared;
  const { share, by } = evidenceOf(shared, memory);
  const correlationTime = dependence.known()
    ? { images: round(dependence.time()), from: dependence.from() }
    : undefined;
  const rows = windowRows(shared, head, memory);
  const spacing = Math.max(1, Math.ceil(dependence.time() / 4));
  const perRow = Math.max(1, dependence.time() / spacing);
  const references = shared.correlation?.statistics ?? new Float64Array(sizes.statistics).fill(1);
  const moved = movedStatistics(
    names,
    rows.map(({ z }) => z),
    shared.reference,
    { window: perRow, reference: references },
  );
  const projections = rows.flatMap(({ projection }) => (projection ? [projection] : []));
  const content = movedContent(projections, shared.cloud, perRow);
  const total = Object.values(head.causes).reduce((sum, value) => sum + value, 0);
  const reason = isNew ? 'the Profile is another one, so it learns again' : dependence.why();
  return {
    state: head.state,
    since: head.since,
    ...(head.state === 'learning' && { reason }),
    images: head.images,
    repeats: head.repeats,
    falseAlarmEvery,
    promise: shared.promise(correlationTime),
    evidence: {
      share,
      by,
      alarms: head.alarms,
      ...(head.lastAlarmAt !== undefined && { lastAlarmAt: head.lastAlarmAt }),
    },
    ...(correlationTime && { correlationTime }),
    effectiveImages: Math.floor(head.images / dependence.time()),
    window: {
      images: rows.length,
      effective: Math.floor(rows.length / perRow),
      from: rows[0]?.at ?? head.at,
      to: rows.at(-1)?.at ?? head.at,
    },
    moved,
    ...(content && { content }),
    causes: Object.entries(head.causes)
      .map(([cause, weight]) => ({ cause, probability: round(weight / total) }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, 3),
    ...(head.flip !== undefined && { expectedFlipRate: round(head.flip) }),
    frames: head.frames.map(({ id, at, pValue }) => ({ id, at, pValue })),
    profile: shared.profile,
  };
}

/**
 * The larger of the evidence of the score and of the statistic that has most. Where a statistic lies follows slow cycles, such
 * as that of the day, which only an ordered reference tells from drift; without one it makes a source suspect and no more.
 */
function evidenceOf({ detectors, names, correlation }: Shared, memory: Memory) {
  const { score, statistic: found, position } = detectors.strongest(memory);
  const statistic = correlation ? found : Math.min(found, mostUnordered);
  return { score, statistic, share: Math.max(score, statistic), by: score >= statistic ? 'score' : names[position] };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

interface Row {
  at: number;
  pValue: number;
  z: Float32Array;
  projection?: Float32Array;
}

/** The rows of the window in order, from the likeliest moment of the change on where there was an alarm. */
function windowRows({ sizes }: Shared, head: Head, memory: Memory): Row[] {
  const { window, statistics, across } = sizes;
  const filled = Math.min(head.rows, window);
  const rows = Array.from({ length: filled }, (_, i): Row => {
    const row = (head.rows - filled + i) % window;
    const projection = memory.projection.slice(row * across, (row + 1) * across);
    return {
      at: memory.at[row],
      pValue: memory.pValue[row],
      z: Float32Array.from(memory.z.subarray(row * statistics, (row + 1) * statistics), unpackDeviation),
      ...(across > 0 && !Number.isNaN(projection[0]) && { projection }),
    };
  });
  if (head.state !== 'drifted' && head.state !== 'suspect') return rows;
  return rows.slice(changePoint(rows.map(({ pValue }) => pValue)));
}

/** Where the likelihood of a change is largest, if p-values follow a power law after it. */
function changePoint(pValues: readonly number[]): number {
  let [sum, most, place] = [0, Number.NEGATIVE_INFINITY, 0];
  for (let i = pValues.length - 1; i >= 0; i--) {
    sum += Math.log(0.35) - 0.65 * Math.log(Math.max(pValues[i], 1e-6));
    if (sum <= most) continue;
    most = sum;
    place = i;
  }
  // With too few images nothing could be tested.
  return most > 0 ? Math.min(place, Math.max(0, pValues.length - 5)) : 0;
}
