// @ts-check
import { clock, count } from './words.js';

/** @import { Answer, Camera, Readiness, Tone, Trust } from './types.js' */

/** Trouble first. @type {readonly Tone[]} */
export const toneOrder = ['bad', 'watch', 'unknown', 'quiet', 'good'];

/** How an answer of the service is said and drawn. @type {Record<Trust, Omit<Answer, 'text'>>} */
const answers = {
  yes: { answer: 'yes', title: 'ok', tone: 'good' },
  doubtful: { answer: 'look', title: 'look at it', tone: 'watch' },
  no: { answer: 'no', title: 'do not trust', tone: 'bad' },
  unknown: { answer: 'not known yet', title: 'not known yet', tone: 'quiet' },
  old: { answer: 'not known', title: 'no new images', tone: 'unknown' },
};
/** Where nobody is told and nothing is wrong. @type {Omit<Answer, 'text'>} */
const maintained = { answer: 'in maintenance', title: 'in maintenance', tone: 'quiet' };

/** @type {Record<string, Tone>} */
const stateTones = {
  ok: 'good',
  recovered: 'good',
  learning: 'quiet',
  suspect: 'watch',
  drifted: 'bad',
  frozen: 'bad',
  stale: 'unknown',
};

/** The colour of a state by its name. @param {string} [state] @returns {Tone} */
export function toneState(state) {
  return (state !== undefined && stateTones[state]) || 'quiet';
}

/**
 * Can the classifier be trusted on this camera right now? The service answers; this says how it is said. An answer that this page
 * does not know is no yes.
 * @param {{ trust?: Trust, text?: string, maintenance?: { until: number } }} camera
 * @returns {Answer}
 */
export function answerCamera({ trust, text, maintenance }) {
  const told = maintenance && trust === 'unknown' ? maintained : trust && answers[trust];
  return {
    ...(told ?? { answer: 'not known', title: 'not known', tone: 'quiet' }),
    text: text ?? 'Nothing is known of it yet.',
  };
}

/** @typedef {'connecting' | 'live' | 'polling' | 'lost'} Contact */

/**
 * What the page says first, also in its title and icon.
 * @typedef {{ text: string, detail: string, tone: Tone | 'lost', title: string }} Headline
 */

/**
 * @param {object} known
 * @param {Contact} known.contact
 * @param {number} known.heardAt when the service last answered
 * @param {Readiness} [known.readiness]
 * @param {string} [known.failure] why the cameras cannot be read
 * @param {(Camera & Answer)[] | undefined} known.cameras with what is answered of each; undefined until they were read
 * @returns {Headline}
 */
export function tellHeadline({ contact, heardAt, readiness, failure, cameras }) {
  if (contact === 'lost') return tellLost(heardAt, cameras?.length ?? 0);
  if (readiness?.ready === false) return tellNotReady(readiness.reason ?? 'unknown');
  if (failure !== undefined) {
    return { text: 'The state of the cameras cannot be read', detail: failure, tone: 'lost', title: 'Not known' };
  }
  if (!cameras) return { text: 'Asking the service', detail: '', tone: 'quiet', title: 'Asking' };
  if (cameras.length === 0) return { text: 'No images yet', detail: '', tone: 'quiet', title: 'No images yet' };
  /** @param {Tone} tone */
  const pick = (tone) => cameras.filter((camera) => camera.tone === tone);
  const [bad, watch, unknown, resting, good] = toneOrder.map(pick);
  const quiet = resting.filter(({ maintenance }) => !maintenance);
  const rest = [
    good.length > 0 && `${count(good.length, 'camera')} like the reference`,
    watch.length > 0 && `${watch.length} to look at`,
    unknown.length > 0 && `${unknown.length} without new images`,
    quiet.length > 0 && `${quiet.length} still learning`,
    resting.length > quiet.length && `${resting.length - quiet.length} in maintenance`,
  ];
  /** @param {number} own the part that the headline itself says */
  const others = (own) => rest.filter((text, i) => text && i !== own).join(', ');
  if (bad.length > 0) return tellBad(bad, cameras.length, others(-1));
  if (watch.length > 0) {
    const text = watch.length === 1 ? `Look at ${watch[0].source}` : `${count(watch.length, 'camera')} to look at`;
    const why = watch.length === 1 ? `${watch[0].text} ` : '';
    return { text, detail: `${why}${others(1)}`, tone: 'watch', title: text };
  }
  if (unknown.length > 0) {
    const who = unknown.length === 1 ? unknown[0].source : `${unknown.length} of ${count(cameras.length, 'camera')}`;
    const text = `Not known on ${who}: no new images`;
    const why = unknown.length === 1 ? `${unknown[0].text} ` : '';
    return { text, detail: `${why}${others(2)}`, tone: 'unknown', title: `No new images: ${who}` };
  }
  if (good.length === 0 && quiet.length === 0) {
    const detail = cameras.length === 1 ? cameras[0].text : 'They are judged, and nobody is told.';
    return { text: 'In maintenance', detail, tone: 'quiet', title: 'In maintenance' };
  }
  if (good.length === 0) {
    const detail =
      cameras.length === 1 ? cameras[0].text : 'Too few images yet to say whether they are like the reference.';
    return { text: 'Still learning', detail, tone: 'quiet', title: 'Still learning' };
  }
  if (resting.length > 0) {
    const text = `Trust the classifier on ${good.length} of ${count(cameras.length, 'camera')}`;
    return { text, detail: others(0), tone: 'good', title: `${good.length} of ${cameras.length} ok` };
  }
  return { text: 'The classifier can be trusted', detail: others(-1), tone: 'good', title: 'All ok' };
}

/** @param {number} heardAt @param {number} cameras @returns {Headline} */
function tellLost(heardAt, cameras) {
  const since = heardAt > 0 ? ` since ${clock(heardAt)}` : '';
  const detail = cameras > 0 ? 'What is below is as it was then; what the cameras see now is not known. ' : '';
  const text = `No contact with the service${since}`;
  return { text, detail: `${detail}Asking again every few seconds.`, tone: 'lost', title: 'No contact' };
}

/** @type {Record<string, string>} */
const unreadyReasons = {
  starting: 'It is starting.',
  draining: 'It is about to end.',
  failed: 'Its workers or its Profile cannot be used; its log says why.',
  crashing: 'Its workers end again and again; its log says why.',
  overloaded: 'More images come than it can judge.',
  upstream: 'The model server behind it does not answer.',
};

/** @param {string} reason @returns {Headline} */
function tellNotReady(reason) {
  const detail = unreadyReasons[reason] ?? `It says: ${reason}.`;
  return { text: 'The service takes no images now', detail, tone: 'bad', title: `Not ready: ${reason}` };
}

/** @param {(Camera & Answer)[]} bad @param {number} all @param {string} rest @returns {Headline} */
function tellBad(bad, all, rest) {
  const [first] = bad;
  const isOne = bad.length === 1;
  const who = isOne ? first.source : `${count(bad.length, 'camera')} of ${all}`;
  const why = isOne ? `${first.text} ` : '';
  const title = isOne ? `Do not trust ${first.source}` : `Do not trust ${bad.length} of ${all}`;
  return { text: `Do not trust the classifier on ${who}`, detail: `${why}${rest}`, tone: 'bad', title };
}
