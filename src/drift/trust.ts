import { describeRecent } from './recent.ts';
import type { Glance } from './report.ts';

/**
 * Whether the classifier can be trusted on the images of a source now. What is unknown, old or lost has answers of its own and
 * is never `yes`.
 *
 * `yes`: enough is known, and the images are like those of the reference. `doubtful`: there are signs of a change, or one has
 * just ended. `no`: the source has drifted or is frozen, or its latest images were blocked. `unknown`: too little is known.
 * `old`: no image has come for so long that nothing is known of now.
 */
export type Trust = 'yes' | 'doubtful' | 'no' | 'unknown' | 'old';

/** Best last. */
export const trusts: readonly Trust[] = ['no', 'old', 'unknown', 'doubtful', 'yes'];

export interface Answer {
  trust: Trust;
  /** Why, in one sentence. */
  text: string;
  /** Where it is judged and nobody is told: until when, in milliseconds since 1970, and why. */
  maintenance?: { until: number; reason?: string };
}

/** What an answer is made of. */
export interface Known extends Glance {
  /** When the last image came, milliseconds since 1970; 0 where none has. */
  lastAt: number;
}

/** @param now milliseconds since 1970 */
export function assessTrust(known: Known, options: { now: number; staleAfterMs: number }): Answer {
  const { state, lastAt } = known;
  const quietMs = options.now - lastAt;
  if (lastAt === 0 && state === 'stale') return { trust: 'old', text: 'No image has ever come.' };
  if (lastAt === 0) return { trust: 'unknown', text: 'No image has come since it began to learn.' };
  if (state === 'stale' || quietMs > options.staleAfterMs) {
    return { trust: 'old', text: `The last image came ${describeTime(quietMs)} ago; ${describeBefore(known)}.` };
  }
  return assessState(known);
}

function assessState(known: Known): Answer {
  const { state, recent, frozen, alarm, learning } = known;
  const latest = describeRecent(recent);
  if (state === 'frozen') {
    const which = frozen === undefined ? 'The same images come again and again' : describeFrozen(frozen);
    return { trust: 'no', text: `${which}; ${describeBefore(known)}.` };
  }
  if (state === 'drifted') {
    const what = alarm ? `${alarm.text}; it ends ${alarm.ends.text}` : 'images are not like those of the reference';
    return { trust: 'no', text: sentence(latest ? `${latest}; ${what}` : what) };
  }
  if (recent.level === 'blocked' && latest) {
    return { trust: 'no', text: sentence(learning ? `${latest}; ${learning.text}` : latest) };
  }
  if (state === 'learning') {
    const text = learning?.text ?? 'too little is known';
    return { trust: 'unknown', text: sentence(latest ? `${text}; ${latest}` : text) };
  }
  if (state === 'suspect') {
    return { trust: 'doubtful', text: sentence(latest ?? 'there are first signs of a change') };
  }
  if (latest) return { trust: 'doubtful', text: sentence(latest) };
  if (state === 'recovered') {
    return { trust: 'doubtful', text: 'Images are like those of the reference again, but not yet for long.' };
  }
  return { trust: 'yes', text: 'Images are like those of the reference.' };
}

/** Such as "The same picture came 12 times in a row". */
export function describeFrozen({ pictures, images }: NonNullable<Glance['frozen']>): string {
  return pictures === 1
    ? `The same picture came ${images} times in a row`
    : `The last ${pictures} pictures came again and again, for ${images} images`;
}

function describeBefore({ state, before, recent }: Known): string {
  const latest = describeRecent(recent);
  const known = state === 'stale' || state === 'frozen' ? (before ?? 'learning') : state;
  return `until then it was ${known}${latest === undefined ? '' : `, with ${latest}`}`;
}

function describeTime(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes < 2) return `${Math.max(0, Math.round(ms / 1000))} seconds`;
  if (minutes < 120) return `${Math.round(minutes)} minutes`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} hours` : `${Math.round(minutes / 60 / 24)} days`;
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
