// @ts-check
import { capital, clock, count, duration } from './words.js';

/** @import { Answer, Camera, Readiness, Tone } from './types.js' */

/** Older images say nothing about now; as long as the service waits before it calls a source stale. */
export const oldAfterMs = 300_000;
/** The latest images that are counted, and of fewer images that came so far how many tell something. */
const windows = [25, 10];
const fewest = 5;

/** Trouble first. @type {readonly Tone[]} */
export const toneOrder = ['bad', 'watch', 'unknown', 'quiet', 'good'];

/** @type {Record<string, Answer>} */
const answers = {
  ok: { answer: 'yes', tone: 'good', text: 'images are like the reference' },
  recovered: { answer: 'yes, again', tone: 'good', text: 'images are like the reference again' },
  learning: { answer: 'not known yet', tone: 'quiet', text: 'too few images to say' },
  suspect: { answer: 'look', tone: 'watch', text: 'first signs of a change' },
  drifted: { answer: 'no', tone: 'bad', text: 'images are not like the reference' },
  frozen: { answer: 'no', tone: 'bad', text: 'the same picture comes again and again' },
  stale: { answer: 'not known', tone: 'unknown', text: 'no images come' },
};

/** @param {string} [state] @returns {Answer} */
export function answerState(state) {
  return (state !== undefined && answers[state]) || { answer: 'not known', tone: 'quiet', text: 'not watched' };
}

/**
 * The longest stretch of the latest images of which at least half were blocked, if there is one.
 * @param {Pick<Camera, 'verdicts'>} camera
 */
export function findBlocked({ verdicts }) {
  for (const length of windows) {
    const latest = verdicts.slice(-length);
    const blocked = latest.filter((verdict) => verdict === 'block').length;
    if (latest.length >= fewest && blocked >= latest.length / 2) return { blocked, images: latest.length };
  }
  return undefined;
}

/**
 * Can the classifier be trusted on this camera right now? Only what is known to be good is called good: old images, too few
 * images, and images of which most are blocked are answers of their own.
 * @param {Camera} camera
 * @param {number} now by the clock of the service
 * @returns {Answer}
 */
export function answerCamera(camera, now) {
  const told = answerState(camera.state);
  if (told.tone === 'bad') return told;
  const stretch = findBlocked(camera);
  const age = camera.lastAt ? now - camera.lastAt : 0;
  if (age > oldAfterMs || camera.state === 'stale') return answerOld(age, stretch !== undefined);
  if (stretch) {
    const { blocked, images } = stretch;
    const text = `${blocked} of the last ${images} images were blocked`;
    return images < 10 ? { answer: 'look', tone: 'watch', text } : { answer: 'no', tone: 'bad', text };
  }
  return told;
}

/** @param {number} age @param {boolean} wasBlocked @returns {Answer} */
function answerOld(age, wasBlocked) {
  const text = `no image for ${duration(age)}${wasBlocked ? '; most before were blocked' : ''}`;
  return { answer: 'not known', tone: 'unknown', text };
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
  const [bad, watch, unknown, quiet, good] = toneOrder.map(pick);
  const rest = [
    good.length > 0 && `${count(good.length, 'camera')} like the reference`,
    watch.length > 0 && `${watch.length} to look at`,
    unknown.length > 0 && `${unknown.length} without new images`,
    quiet.length > 0 && `${quiet.length} still learning`,
  ];
  /** @param {number} own the part that the headline itself says */
  const others = (own) => rest.filter((text, i) => text && i !== own).join(', ');
  if (bad.length > 0) return tellBad(bad, cameras.length, others(-1));
  if (watch.length > 0) {
    const text = watch.length === 1 ? `Look at ${watch[0].source}` : `${count(watch.length, 'camera')} to look at`;
    const why = watch.length === 1 ? `${capital(watch[0].text)}. ` : '';
    return { text, detail: `${why}${others(1)}`, tone: 'watch', title: text };
  }
  if (unknown.length > 0) {
    const who = unknown.length === 1 ? unknown[0].source : `${unknown.length} of ${count(cameras.length, 'camera')}`;
    const text = `Not known on ${who}: no new images`;
    const why = unknown.length === 1 ? `${capital(unknown[0].text)}. ` : '';
    return { text, detail: `${why}${others(2)}`, tone: 'unknown', title: `No new images: ${who}` };
  }
  if (good.length === 0) {
    const detail = 'Too few images yet to say whether they are like the reference.';
    return { text: 'Still learning', detail, tone: 'quiet', title: 'Still learning' };
  }
  if (quiet.length > 0) {
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
  const since = first.since && answerState(first.state).tone === 'bad' ? ` since ${clock(first.since)}` : '';
  const cause = first.cause ? `, likely ${first.cause}` : '';
  const why = isOne ? `${capital(first.text)}${since}${cause}. ` : '';
  const title = isOne ? `Do not trust ${first.source}` : `Do not trust ${bad.length} of ${all}`;
  return { text: `Do not trust the classifier on ${who}`, detail: `${why}${rest}`, tone: 'bad', title };
}
