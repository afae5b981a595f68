import { createMemory, type Memory, packState, type Sizes } from './memory.ts';
import { createMonitor, maxFrames } from './monitor.ts';
import type { DriftState } from './report.ts';
import { type Head, restore, type Shared } from './state.ts';

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
  if (worst.head.alarm) head.alarm = worst.head.alarm;
  else delete head.alarm;
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
