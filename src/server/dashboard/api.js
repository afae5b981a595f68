// @ts-check
/**
 * @import { Explanation, DriftList, DriftReport, History, JournalAnswer, Metadata, ProfileAnswer, QuarantineList, QuarantinedImage, RecentImages,
 *   RecentSource, Reference, Statistic, Unjudged } from './types.js'
 */

/** The service refused, and says why. */
export class RefusedError extends Error {
  /** @param {string} message @param {number} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * JSON of this service; undefined for what is not there (404).
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
export async function fetchJson(path, options = {}) {
  const { method = 'GET' } = options;
  const headers = new Headers(options.headers);
  headers.set('accept', 'application/json');
  const token = readToken();
  if (method !== 'GET' && token !== undefined) headers.set('x-stopline-token', token);
  const response = await fetch(path, { ...options, headers });
  if (response.status === 404) return undefined;
  const body = response.status === 204 ? undefined : await response.json().catch(() => undefined);
  if (response.ok) return body;
  throw new RefusedError(body?.error?.message ?? `${response.status} ${response.statusText}`, response.status);
}

/**
 * Shows the service that one of its own pages asks for a change: a page of another site can read no cookie of ours.
 * @returns {string | undefined}
 */
function readToken() {
  return /(?:^|; )stopline-token=([^;]+)/.exec(document.cookie)?.[1];
}

/** Answers that change only with the Profile. @type {Map<string, Promise<any>>} */
const kept = new Map();

/** @param {string} path @returns {Promise<any>} */
function fetchOnce(path) {
  const known = kept.get(path);
  if (known) return known;
  const answer = fetchJson(path);
  kept.set(path, answer);
  answer.catch(() => kept.delete(path));
  return answer;
}

/** Another Profile may be in force: its answers are asked for anew. */
export function forgetProfile() {
  kept.clear();
  ownJudge = undefined;
}

/** @returns {Promise<ProfileAnswer>} */
export function readProfile() {
  return fetchOnce('profile');
}

/** @returns {Promise<Reference>} */
export function readReference() {
  return fetchOnce('profile/reference');
}

/** @returns {Promise<Map<string, Statistic>>} by name */
export async function readStatistics() {
  /** @type {Statistic[]} */
  const table = await fetchOnce('statistics');
  return new Map(table.map((row) => [row.name, row]));
}

/** @param {string} [after] @returns {Promise<DriftList>} */
export function readDriftList(after) {
  return fetchJson(`drift?limit=1000${after === undefined ? '' : `&after=${encodeURIComponent(after)}`}`);
}

/** @returns {Promise<JournalAnswer>} */
export function readJournal() {
  return fetchJson('journal?limit=500');
}

/** @returns {Promise<Metadata>} */
export function readMetadata() {
  return fetchJson('v2');
}

/** What a gate let through without a look; undefined where there is none. @returns {Promise<Unjudged | undefined>} */
export function readUnjudged() {
  return fetchJson('unjudged');
}

/** All metrics, in the Prometheus text format. */
export async function readMetrics() {
  const response = await fetch('metrics');
  if (!response.ok) throw new RefusedError(`${response.status} ${response.statusText}`, response.status);
  return response.text();
}

/** @param {string} source @returns {Promise<DriftReport | undefined>} */
export function readDrift(source) {
  return fetchJson(`drift/${encodeURIComponent(source)}`);
}

/** @returns {Promise<RecentSource[]>} */
export function readRecentSources() {
  return fetchJson('recent');
}

/** @param {string} source @param {{ after: number, statistics: readonly string[] }} wanted @returns {Promise<RecentImages | undefined>} */
export function readRecent(source, { after, statistics }) {
  const query = new URLSearchParams({ after: String(after) });
  if (statistics.length > 0) query.set('statistics', statistics.join(','));
  return fetchJson(`recent/${encodeURIComponent(source)}?${query}`);
}

/** @param {string} source @param {{ from: number, to: number, points: number }} range @returns {Promise<History>} */
export function readHistory(source, { from, to, points }) {
  return fetchJson(
    `history/${encodeURIComponent(source)}?from=${Math.round(from)}&to=${Math.round(to)}&points=${points}`,
  );
}

/** @param {Record<string, string>} query @returns {Promise<QuarantineList | undefined>} undefined where none is kept */
export function readQuarantine(query) {
  return fetchJson(`quarantine?${new URLSearchParams(query)}`);
}

/** @param {string} id @returns {Promise<QuarantinedImage | undefined>} */
export function readQuarantined(id) {
  return fetchJson(`quarantine/${encodeURIComponent(id)}`);
}

/** @param {string} id @param {boolean} isAccepted */
export function setAccepted(id, isAccepted) {
  return fetchJson(`quarantine/${id}/accepted`, { method: isAccepted ? 'PUT' : 'DELETE' });
}

/** Also while the page is being left. @param {string} id */
export function discard(id) {
  return fetchJson(`quarantine/${id}`, { method: 'DELETE', keepalive: true });
}

/** @param {Blob} image @returns {Promise<Explanation>} */
export function explain(image) {
  return fetchJson('explain', {
    method: 'POST',
    body: image,
    headers: { 'content-type': 'application/octet-stream' },
  });
}

/** @type {Promise<{ explainImage(image: File): Promise<Explanation> }> | undefined} */
let ownJudge;

/**
 * The same by this page alone: the image is not sent. The first call loads the judge and the Profile.
 * @param {File} image
 * @returns {Promise<Explanation>}
 */
export async function explainHere(image) {
  ownJudge ??= openJudge();
  ownJudge.catch(() => {
    ownJudge = undefined;
  });
  return (await ownJudge).explainImage(image);
}

async function openJudge() {
  // Not of the pages, so found when it is loaded: the compiler of the pages does not know it.
  const entry = './frame/frame.js';
  const [{ createFrameJudge }, answer] = await Promise.all([import(entry), fetch('profile/file')]);
  if (!answer.ok) throw new RefusedError(`${answer.status} ${answer.statusText}`, answer.status);
  const options = JSON.parse(answer.headers.get('x-stopline-judging') ?? '{}');
  return createFrameJudge({ ...options, profile: await answer.arrayBuffer() });
}
