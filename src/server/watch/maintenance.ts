import { Cron } from 'croner';
import type { Answer } from '../../drift/trust.ts';
import { StoplineError } from '../../errors.ts';
import { matchSources, type SourceMatch } from '../../run/sourcepattern.ts';
import type { MaintenanceSetting } from '../../settings.ts';

/** A time in which a source is judged and nobody is told. */
export interface MaintenanceWindow {
  /** Milliseconds since 1970. */
  until: number;
  reason?: string;
}

/** One entry of the settings, ready to be asked. */
interface Plan {
  sources: SourceMatch | undefined;
  reason: string | undefined;
  /** The end of the window that a time lies in; undefined where it lies in none. */
  findEnd(at: number): number | undefined;
}

const minuteMs = 60_000;

/** When which source is in maintenance. */
export class Maintenance {
  readonly #plans: Plan[];

  /** @throws {StoplineError} OPTION_INVALID where an entry is no window of time */
  constructor(entries: readonly MaintenanceSetting[] = []) {
    this.#plans = entries.map(planWindow);
  }

  /** The window that ends last of those that a source is in at a time, milliseconds since 1970. */
  find(source: string, at: number): MaintenanceWindow | undefined {
    let found: MaintenanceWindow | undefined;
    for (const { sources, reason, findEnd } of this.#plans) {
      if (sources && !sources.test(source)) continue;
      const until = findEnd(at);
      if (until === undefined || (found && found.until >= until)) continue;
      found = { until, ...(reason !== undefined && { reason }) };
    }
    return found;
  }
}

/** What is in maintenance is never said to be well. */
export function describeMaintained({ trust, text }: Answer, maintenance: MaintenanceWindow): Answer {
  const { until, reason } = maintenance;
  const why = reason === undefined ? '' : ` (${reason})`;
  const isGood = trust === 'yes' || trust === 'doubtful';
  // To the minute, as settings give it: 2026-11-29 09:30 UTC.
  const end = new Date(until).toISOString().slice(0, 16).replace('T', ' ');
  const now = `In maintenance until ${end} UTC${why}: it is judged, and nobody is told.`;
  return { trust: isGood ? 'unknown' : trust, text: `${now} ${text}`, maintenance };
}

function planWindow(entry: MaintenanceSetting, i: number): Plan {
  const { sources, reason, cron, minutes, timezone, from, to } = entry;
  const parts = { sources: matchSources(sources), reason };
  const isRepeated = cron !== undefined && minutes !== undefined && from === undefined && to === undefined;
  const isOnce = from !== undefined && to !== undefined && cron === undefined && minutes === undefined;
  if (isRepeated) return { ...parts, findEnd: repeat(i, cron, minutes, timezone) };
  if (!isOnce || timezone !== undefined) {
    throw refuse(i, 'to have from and to, or cron and minutes (and perhaps timezone)', 'another choice of fields');
  }
  const [start, end] = [from, to].map((text) => Date.parse(text));
  if (!(start < end)) throw refuse(i, 'to begin before it ends', `${from} and ${to}`);
  return { ...parts, findEnd: (at) => (at >= start && at < end ? end : undefined) };
}

function repeat(i: number, cron: string, minutes: number, timezone: string | undefined): Plan['findEnd'] {
  const lengthMs = minutes * minuteMs;
  try {
    const times = new Cron(cron, { paused: true, mode: '5-part', ...(timezone !== undefined && { timezone }) });
    const findStart = (at: number) => times.nextRun(new Date(at - lengthMs))?.getTime();
    findStart(Date.now()); // finds out now whether the time zone is one
    return (at) => {
      // The first start after `at - length` is the one whose window still lasts, if it has begun.
      const start = findStart(at);
      return start !== undefined && start <= at ? start + lengthMs : undefined;
    };
  } catch (cause) {
    const why = (cause as Error).message;
    throw refuse(i, 'to have a cron of five fields and a known timezone', `"${cron}" (${why})`, cause);
  }
}

function refuse(i: number, expected: string, received: string, cause?: unknown): StoplineError {
  const text = `Expected entry ${i + 1} of the setting maintenance ${expected} but received ${received}. docs/watch.md has examples.`;
  return new StoplineError('OPTION_INVALID', text, { cause });
}
