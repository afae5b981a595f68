// @ts-check
/** @import { QuarantineItem } from './types.js' */

/** After a pause of this length the same camera with the same trouble is another episode. */
const gapMs = 10 * 60_000;

/**
 * Images of one camera that were stopped one after the other for the same reason.
 * @typedef {object} Episode
 * @property {string} key stays the same while older images are added
 * @property {string} source
 * @property {string} kind what their reasons have in common
 * @property {number} from
 * @property {number} to
 * @property {QuarantineItem[]} items newest first
 */

/**
 * What a reason is about, without its numbers: "mean brightness 31 is below ..." is about "mean brightness".
 * @param {string} [reason]
 */
export function readKind(reason) {
  const about = reason?.split(/[\s,:]*[-\u2212]?\d|:/)[0].trim();
  // How much is no other kind.
  const kind = about?.replace(/^(much|slightly) /, '');
  return kind || 'no single statistic stands out';
}

/**
 * @param {readonly QuarantineItem[]} items newest first
 * @returns {Episode[]} latest first
 */
export function groupEpisodes(items) {
  /** @type {Episode[]} */
  const episodes = [];
  /** The latest of each camera and kind. @type {Map<string, Episode>} */
  const open = new Map();
  for (const item of items) {
    const kind = readKind(item.reason);
    const name = `${item.source}\n${kind}`;
    const known = open.get(name);
    if (known && known.from - item.at < gapMs) {
      known.items.push(item);
      known.from = item.at;
      continue;
    }
    const episode = {
      key: `${name}\n${item.id}`,
      source: item.source,
      kind,
      from: item.at,
      to: item.at,
      items: [item],
    };
    open.set(name, episode);
    episodes.push(episode);
  }
  return episodes;
}
