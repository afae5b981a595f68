import { statistics } from '../image/statistics/statistics.ts';
import { readMeaning } from './sights.ts';

/** Longer than this is no label. */
const longestLabel = 60;

/**
 * What a statistic is called by people: `Median brightness`. Where no short name is given for it, the start of what it means,
 * and of one that this version does not know its name in words.
 */
export function labelStatistic(name: string): string {
  const row = statistics.find((statistic) => statistic.name === name);
  const given = row && readMeaning(name).legible?.label;
  // Before a number some end in "at".
  return capital(given?.replace(/ at$/, '') ?? readStart(row?.meaning) ?? spellName(name));
}

function readStart(meaning: string | undefined): string | undefined {
  const label = meaning?.split(/[:.;(](?:\s|$)|\s\(/)[0];
  if (!label) return undefined;
  // What follows narrows it down: it stands in the whole meaning, too.
  return label.length <= longestLabel ? label : label.split(/, | that | in which | of which | of a normalised /)[0];
}

/** A name in camelCase as words: "noiseSigma" is "noise sigma". */
function spellName(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, (_, before, after) => `${before} ${after.toLowerCase()}`);
}

/** A simulated cause as people write it: "lensDrops" is "lens drops". */
export function spellCause(cause: string): string {
  return cause.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** With a capital first letter, as a sentence begins. */
export function capital(text: string): string {
  return text === '' ? '' : text[0].toUpperCase() + text.slice(1);
}

/** A label within a sentence: names such as JPEG stay as they are. */
export function inSentence(label: string): string {
  return /^[A-Z][a-z]/.test(label) ? label[0].toLowerCase() + label.slice(1) : label;
}

const unitMeanings: Readonly<Record<string, string>> = {
  DN: 'levels of brightness, 0 is black and 255 white',
  'DN^2': 'squared levels of brightness',
  bits: 'bits of information',
  'ln ratio': 'a ratio on a logarithmic scale: 0 is equal, 0.7 is twice',
  'log2 ratio': 'a ratio on a logarithmic scale: 0 is equal, 1 is twice',
  nats: 'units of evidence: 1 more is 2.7 times as likely',
  pixels: 'pixels of the image',
  quality: 'JPEG quality, 1 to 100',
  ratio: 'a plain ratio',
  share: 'a share, 0 to 1',
};

/** What a unit of the statistics table means, for whoever has not met it. */
export function explainUnit(unit: string): string {
  return unitMeanings[unit] ?? (/^\d/.test(unit) ? `on a scale of ${unit}` : unit);
}
