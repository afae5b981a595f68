// @ts-check
const space = '\u00a0';

/** Formats are made once: each holds much memory, and hundreds made a second stop the page when they are collected. */
const grouped = new Intl.NumberFormat('en');

/** Times are those of the reader, or of nobody: UTC. */
let isUtc = false;
/** @type {{ time: Intl.DateTimeFormat, day: Intl.DateTimeFormat, iso: Intl.DateTimeFormat }} */
let formats = makeFormats();

function makeFormats() {
  const zone = isUtc ? { timeZone: 'UTC' } : {};
  return {
    time: new Intl.DateTimeFormat('en-GB', { ...zone, hour: '2-digit', minute: '2-digit', second: '2-digit' }),
    day: new Intl.DateTimeFormat('en-GB', { ...zone, day: 'numeric', month: 'short' }),
    iso: new Intl.DateTimeFormat('sv-SE', { ...zone, dateStyle: 'short' }),
  };
}

/** @param {boolean} wanted */
export function useUtc(wanted) {
  isUtc = wanted;
  formats = makeFormats();
}

export function usesUtc() {
  return isUtc;
}

/** The zone that times are told in, with its distance from UTC: "Europe/Berlin, UTC+1". */
export function nameZone(at = Date.now()) {
  if (isUtc) return 'UTC';
  const minutes = -new Date(at).getTimezoneOffset();
  const sign = minutes < 0 ? '\u2212' : '+';
  const whole = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (minutes === 0) return name === 'UTC' ? 'UTC' : `${name}, UTC+0`;
  return `${name}, UTC${sign}${whole}${rest > 0 ? `:${String(rest).padStart(2, '0')}` : ''}`;
}

/** A moment as a field of a form holds it, to the minute, in the zone that times are told in. @param {number} at */
export function writeMoment(at) {
  const shifted = isUtc ? at : at - new Date(at).getTimezoneOffset() * 60_000;
  return new Date(shifted).toISOString().slice(0, 16);
}

/** Milliseconds since 1970; NaN where the field is not filled in. @param {string} text */
export function readMoment(text) {
  return new Date(isUtc ? `${text}Z` : text).getTime();
}

/** @param {number} share */
export function percent(share) {
  return `${Number((share * 100).toPrecision(3))}${space}%`;
}

/** @param {number} n @param {string} one */
export function count(n, one, many = `${one}s`) {
  return `${whole(n)}${space}${n === 1 ? one : many}`;
}

/** @param {number} n */
export function whole(n) {
  return grouped.format(n).replaceAll(',', '\u202f');
}

/**
 * A number with as many digits as tell something.
 * @param {number | null | undefined} value
 */
export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return '\u2013';
  const isFar = Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3);
  const text = isFar ? value.toExponential(1) : String(Number(value.toPrecision(digits)));
  return text.replace('-', '\u2212');
}

/** @param {number} p */
export function pText(p) {
  if (p < 1e-12) return '<\u202f1e\u221212';
  return p < 1e-4 ? p.toExponential(0).replace('-', '\u2212') : String(Number(p.toPrecision(2)));
}

/**
 * A unit as it follows a number; ratios and scales have none.
 * @param {string} [unit]
 */
export function unitText(unit = '') {
  const text = unit === 'ratio' || unit === 'share' || /^\d/.test(unit) ? '' : unit;
  return text.replace('^2', '\u00b2').replace('log2', 'log\u2082');
}

/**
 * What a statistic is called by people.
 * @param {{ label: string } | undefined} row of the table, as the service gives it
 * @param {string} name
 */
export function labelStatistic(row, name) {
  return row?.label ?? name;
}

/**
 * A value of a statistic as people read it: shares in percent.
 * @param {{ isPercent: boolean } | undefined} row
 * @param {number | null | undefined} value
 */
export function valueText(row, value) {
  return row?.isPercent && value !== null && value !== undefined ? number(100 * value) : number(value);
}

/** What stands after it. @param {{ isPercent: boolean, unit: string } | undefined} row */
export function valueUnit(row) {
  return row?.isPercent ? '%' : unitText(row?.unit);
}

/** A simulated cause as people write it: "channel swap". @param {string} cause */
export function spellCause(cause) {
  return cause.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** A label within a sentence: names such as JPEG stay as they are. @param {string} label */
export function inSentence(label) {
  return /^[A-Z][a-z]/.test(label) ? label[0].toLowerCase() + label.slice(1) : label;
}

/** As on a 24-hour clock, to the second. @param {number} at */
export function timeOfDay(at) {
  return formats.time.format(at);
}

/** @param {number} at */
export function dayOfYear(at) {
  return formats.day.format(at);
}

/** Time of day, with the day where it is another. @param {number} at */
export function clock(at, now = Date.now()) {
  const isToday = formats.iso.format(at) === formats.iso.format(now);
  return isToday ? timeOfDay(at) : `${dayOfYear(at)} ${timeOfDay(at).slice(0, 5)}`;
}

/** @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}${space}s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)}${space}min`;
  return seconds < 86_400 ? `${Math.round(seconds / 3600)}${space}h` : `${Math.round(seconds / 86_400)}${space}d`;
}

/** @param {number} at */
export function ago(at, now = Date.now()) {
  return duration(now - at);
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${Math.round(bytes / 1e5) / 10} MB`;
}

/** @param {string} text */
export function capital(text) {
  return text === '' ? '' : text[0].toUpperCase() + text.slice(1);
}
