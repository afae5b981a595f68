// @ts-check
import { answerCamera, toneOrder } from './answer.js';
import { readDriftList, readRecentSources } from './api.js';

/** @import { Answer, Camera, VerdictEvent } from './types.js' */

/** Latest images of a camera that are kept. */
export const keptImages = 60;
/** Pages of the list that are read: as many cameras as a service has by default. */
const maxPages = 10;

/** All cameras as the service tells of them, kept up to date by its events. */
export class Cameras {
  /** @type {Map<string, Camera>} */
  #bySource = new Map();

  async load() {
    const [recent, summaries] = await Promise.all([readRecentSources(), this.#readSummaries()]);
    /** @type {Map<string, Camera>} */
    const bySource = new Map();
    for (const { source, pValue, verdict, at } of recent ?? []) {
      bySource.set(source, { source, pValues: pValue, verdicts: verdict, lastAt: at });
    }
    for (const summary of summaries) {
      const seen = bySource.get(summary.source);
      const lastAt = Math.max(summary.lastAt, seen?.lastAt ?? 0);
      bySource.set(summary.source, { pValues: [], verdicts: [], ...seen, ...summary, lastAt });
    }
    this.#bySource = bySource;
  }

  async #readSummaries() {
    const summaries = [];
    let next;
    for (let page = 0; page < maxPages; page++) {
      const list = await readDriftList(next);
      summaries.push(...list.sources);
      next = list.next;
      if (next === undefined) break;
    }
    return summaries;
  }

  /** @param {VerdictEvent} event */
  takeVerdict({ source, at, pValue, verdict }) {
    /** @type {Camera} */
    const camera = this.#bySource.get(source) ?? { source, pValues: [], verdicts: [], since: at };
    const pValues = [...camera.pValues.slice(1 - keptImages), pValue];
    const verdicts = [...camera.verdicts.slice(1 - keptImages), verdict];
    this.#bySource.set(source, { ...camera, pValues, verdicts, lastAt: at });
  }

  /** @param {string} source */
  find(source) {
    return this.#bySource.get(source);
  }

  /**
   * With what is answered of each, trouble first.
   * @returns {(Camera & Answer)[]}
   */
  list() {
    return [...this.#bySource.values()]
      .map((camera) => ({ ...camera, ...answerCamera(camera) }))
      .sort((a, b) => toneOrder.indexOf(a.tone) - toneOrder.indexOf(b.tone) || (a.source < b.source ? -1 : 1));
  }
}
