import type { DriftState } from '../../drift/report.ts';

/** States that somebody must be told of; leaving them, too. */
const alarming: readonly DriftState[] = ['drifted', 'frozen', 'stale'];
export const isAlarm = (state: DriftState): boolean => alarming.includes(state);

/** What receivers were told of a source last, and since when it has been otherwise. Stored, so that a restart repeats nothing. */
export interface Told {
  state: DriftState;
  /** Since when the source is in that state, milliseconds since 1970. */
  at: number;
  /** Whether they were told that most of the latest images are blocked; then in which words. */
  blocked?: string;
  /** Causes that they were told of since all was well. */
  causes: string[];
  /** How long the state, and whether images are blocked, have been other than what was told; 0 where they are the same. */
  stateMs: number;
  blockedMs: number;
}

/** What a source is now. */
export interface Present {
  state: DriftState;
  isBlocked: boolean;
  /** The likeliest cause when the state last changed, and that of the latest images. */
  cause?: string | undefined;
  recentCause?: string | undefined;
}

export interface TellingRules {
  /** An alarm is told when it has lasted so long, and its end when that has. */
  alertAfterMs: number;
  alertRecoverMs: number;
}

/** What receivers are to be told now. */
export interface News {
  /** The state that they know, where they are to be told of another. */
  from?: DriftState;
  /** Whether images are blocked, where they are to be told that this begins or ends. */
  isBlocked?: boolean;
}

export function createTold(state: DriftState, at: number): Told {
  return { state: isAlarm(state) ? 'learning' : state, at, causes: [], stateMs: 0, blockedMs: 0 };
}

/** Whether something is still to be told, so that the time must be watched. */
export function isWaiting(told: Told, present: Present): boolean {
  const wanted = findWanted(told, present);
  return differs(told.state, wanted.state) || wanted.isBlocked !== (told.blocked !== undefined);
}

/**
 * Decides what receivers are told. An alarm, and its end, count only when they have lasted; what was told of one cause is not told
 * again until all was well in between.
 * @param told is changed: it waits, or knows what is told
 * @param elapsedMs since the last call
 */
export function advance(told: Told, present: Present, elapsedMs: number, rules: TellingRules): News {
  const wanted = findWanted(told, present);
  const news: News = {};
  if (!differs(told.state, wanted.state)) {
    told.stateMs = 0;
    // Between states of which nobody is told there is nothing to wait for.
    if (!isAlarm(told.state)) told.state = wanted.state;
  } else {
    told.stateMs += elapsedMs;
    if (told.stateMs >= (isAlarm(wanted.state) ? rules.alertAfterMs : rules.alertRecoverMs)) {
      news.from = told.state;
      told.state = wanted.state;
      told.stateMs = 0;
      if (isAlarm(wanted.state)) told.causes.push(nameCause(present));
    }
  }
  const { isBlocked } = findWanted(told, present);
  if (isBlocked === (told.blocked !== undefined)) told.blockedMs = 0;
  else {
    told.blockedMs += elapsedMs;
    if (told.blockedMs >= (isBlocked ? rules.alertAfterMs : rules.alertRecoverMs)) {
      news.isBlocked = isBlocked;
      told.blockedMs = 0;
      if (isBlocked) told.causes.push(present.recentCause ?? anyCause);
    }
  }
  const isQuiet = !isAlarm(told.state) && !isBlocked && news.isBlocked !== true;
  if (isQuiet && !isAlarm(present.state) && !present.isBlocked) told.causes = [];
  return news;
}

/** Two states of which a receiver is told one thing. */
function differs(told: DriftState, wanted: DriftState): boolean {
  return told !== wanted && (isAlarm(told) || isAlarm(wanted));
}

/** Where nothing says why: that is one cause as well. */
const anyCause = 'unknown';

function nameCause({ state, cause }: Present): string {
  return state === 'drifted' ? (cause ?? anyCause) : state;
}

/** What receivers should know once it has lasted: one alarm for one cause. */
function findWanted(told: Told, present: Present): { state: DriftState; isBlocked: boolean } {
  const { state, isBlocked, recentCause } = present;
  const isToldBlocked = told.blocked !== undefined;
  // What has no name may be any of those that were told.
  const knows = (cause: string) =>
    told.causes.length > 0 &&
    (cause === anyCause || told.causes.some((known) => known === cause || known === anyCause));
  // Drift that only proves what the blocked images have said is no alarm of its own, and keeps that one alive.
  const isKnown = state === 'drifted' && isToldBlocked && !isAlarm(told.state) && knows(nameCause(present));
  if (isKnown) return { state: told.state, isBlocked: true };
  if (isToldBlocked || !isAlarm(state)) return { state, isBlocked };
  return { state, isBlocked: isBlocked && isAlarm(told.state) && !knows(recentCause ?? anyCause) };
}
