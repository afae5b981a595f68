import { type Memory, unpackDeviation } from './memory.ts';
import type { Dependence } from './pace.ts';
import { summarizeRecent } from './recent.ts';
import { type Alarm, type DriftReport, type Glance, movedContent, movedStatistics } from './report.ts';
import { collectEvidence, type Head, readSettled, type Shared } from './state.ts';
import { findStaying } from './stays.ts';

/** From this share of the evidence of an alarm on a source is suspect, and below the second it no longer is. */
export const suspectFrom = 0.1;
export const suspectUntil = 0.02;

/** Images without signs that end an alarm. */
export function countCalmImages({ learnFor }: Shared, head: Head, dependence: Dependence): number {
  return Math.max(learnFor * dependence.time(), 3 * head.alarmTook);
}

/** What is cheap to tell of a source, at any moment. */
export function glanceAt(shared: Shared, head: Head, memory: Memory, dependence: Dependence): Glance {
  const { state, since, before } = head;
  const isInterrupted = state === 'stale' || state === 'frozen';
  const alarm = describeAlarm(shared, head, memory, dependence);
  return {
    state,
    since,
    ...(isInterrupted && { before }),
    ...(state === 'learning' && { learning: dependence.learning() }),
    ...(alarm && { alarm }),
    ...(state === 'frozen' && { frozen: { pictures: head.loop, images: head.run + 1 } }),
    recent: summarizeRecent(head, head.causes),
  };
}

function describeAlarm(shared: Shared, head: Head, memory: Memory, dependence: Dependence): Alarm | undefined {
  if (readSettled(head) !== 'drifted' || !head.alarm) return undefined;
  const { share } = collectEvidence(shared, memory);
  const since = head.images - head.alarmImage;
  const more = Math.max(0, Math.ceil(countCalmImages(shared, head, dependence) - since));
  const now = share > 100 ? 'far above that' : round(share);
  const below = `the evidence is below ${suspectFrom} of an alarm (it is ${now} now)`;
  const calm = more > 0 ? `after ${more} more images, if by then ${below}` : `when ${below}`;
  const text = head.level === 'blocked' ? `${calm} and fewer than half of the latest images are blocked` : calm;
  return { ...head.alarm, ends: { more, text } };
}

export function buildReport(
  shared: Shared,
  head: Head,
  memory: Memory,
  dependence: Dependence,
  isNew: boolean,
): DriftReport {
  const { names, sizes, falseAlarmEvery } = shared;
  const glance = glanceAt(shared, head, memory, dependence);
  const { share: now, by } = collectEvidence(shared, memory);
  const correlationTime = dependence.known()
    ? { images: round(dependence.time()), from: dependence.from() }
    : undefined;
  const rows = windowRows(shared, head, memory);
  const spacing = Math.max(1, Math.ceil(dependence.time() / 4));
  const perRow = Math.max(1, dependence.time() / spacing);
  const references = shared.correlation?.statistics ?? new Float64Array(sizes.statistics).fill(1);
  const shifted = movedStatistics(
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
    ...glance,
    ...(head.state === 'learning' && { reason }),
    images: head.images,
    repeats: head.repeats,
    falseAlarmEvery,
    promise: shared.promise(correlationTime),
    evidence: {
      share: glance.alarm?.share ?? now,
      by: glance.alarm?.by ?? by,
      now,
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
    ...shifted,
    ...(content && { content }),
    ...(head.stays && shared.usual && { places: findStaying(head.stays, shared.usual) }),
    causes: Object.entries(head.causes)
      .map(([cause, weight]) => ({ cause, probability: round(weight / total) }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, 3),
    ...(head.flip !== undefined && { expectedFlipRate: round(head.flip) }),
    frames: head.frames.map(({ id, at, pValue }) => ({ id, at, pValue })),
    profile: shared.profile,
  };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

interface SummaryRow {
  at: number;
  pValue: number;
  z: Float32Array;
  projection?: Float32Array;
}

/** The rows of the window in order, from the likeliest moment of the change on where there was an alarm. */
function windowRows({ sizes }: Shared, head: Head, memory: Memory): SummaryRow[] {
  const { window, statistics, across } = sizes;
  const filled = Math.min(head.rows, window);
  const rows = Array.from({ length: filled }, (_, i): SummaryRow => {
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
