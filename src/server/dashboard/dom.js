/**
 * Makes an element. Text is always text: names of cameras and files come from elsewhere, and nothing here parses HTML.
 * @param {string} tag
 * @param {Record<string, unknown>} attributes `on...` are listeners, `null`, `undefined` and `false` leave one out
 * @param {...(Node | string | number | null | undefined | false | unknown[])} children
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat(4).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Puts other children in, and leaves it alone where nothing would change: a reader's selection and focus stay. */
export function show(element, ...children) {
  const next = h(element.tagName.toLowerCase(), {}, ...children);
  if (next.innerHTML !== element.innerHTML) element.replaceChildren(...next.childNodes);
}

const space = '\u00a0';

/** Made once: each holds much memory outside of JavaScript, and hundreds made a second stop the page when they are collected. */
const grouped = new Intl.NumberFormat('en');
const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

export function percent(share) {
  return `${Number((share * 100).toPrecision(3))}${space}%`;
}

export function count(n, one, many = `${one}s`) {
  return `${whole(n)}${space}${n === 1 ? one : many}`;
}

export function whole(n) {
  return grouped.format(n).replaceAll(',', '\u202f');
}

/** A number with as many digits as tell something. */
export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return '\u2013';
  const text =
    Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
      ? value.toExponential(1)
      : String(Number(value.toPrecision(digits)));
  return text.replace('-', '\u2212');
}

export function pText(p) {
  return p < 1e-4 ? p.toExponential(0).replace('-', '\u2212') : String(Number(p.toPrecision(2)));
}

/** A unit as it follows a number; ratios and scales have none. */
export function unitText(unit) {
  const text = unit === 'ratio' || unit === 'share' || /^\d/.test(unit ?? '') ? '' : (unit ?? '');
  return text.replace('^2', '\u00b2').replace('log2', 'log\u2082');
}

/** As on a 24-hour clock, to the second. */
export function timeOfDay(at) {
  return time.format(at);
}

export function dayOfYear(at) {
  return day.format(at);
}

/** Time of day, with the day where it was another. */
export function clock(at) {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return isToday ? timeOfDay(at) : `${dayOfYear(at)} ${timeOfDay(at).slice(0, 5)}`;
}

export function ago(at, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 60) return `${seconds}${space}s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)}${space}min`;
  return seconds < 86_400 ? `${Math.round(seconds / 3600)}${space}h` : `${Math.round(seconds / 86_400)}${space}d`;
}

/** What the states of a camera mean for whoever asks whether the classifier can be trusted. */
export const states = {
  ok: { answer: 'yes', tone: 'good', text: 'images are like the reference' },
  recovered: { answer: 'yes, again', tone: 'good', text: 'images are like the reference again' },
  learning: { answer: 'not known yet', tone: 'quiet', text: 'too few images to say' },
  suspect: { answer: 'look', tone: 'watch', text: 'first signs of a change' },
  drifted: { answer: 'no', tone: 'bad', text: 'images are not like the reference' },
  frozen: { answer: 'no', tone: 'bad', text: 'the same picture comes again and again' },
  stale: { answer: 'no images', tone: 'watch', text: 'no images come' },
};

export function stateOf(name) {
  return states[name] ?? { answer: 'not known', tone: 'quiet', text: 'not watched' };
}

/**
 * What to answer now: the state, unless it is not bad and most of the last images were blocked all the same.
 * @param pValues oldest first
 */
export function answerOf(state, pValues, block) {
  const told = stateOf(state);
  const latest = pValues.slice(-20);
  const blocked = latest.filter((p) => p <= block).length;
  if (told.tone === 'bad' || latest.length < 5 || blocked < latest.length / 2) return told;
  return { answer: 'look', tone: 'watch', text: `${blocked} of the last ${latest.length} images were blocked` };
}

/** The verdict as a word on its colour. */
export function verdictTag(verdict) {
  return h('b', { class: `tag ${verdict}` }, verdict);
}

/** `camelCase` may break before a capital. */
export function breakable(name) {
  return name.split(/(?=[A-Z])/).flatMap((part, i) => (i === 0 ? [part] : [h('wbr'), part]));
}

/** A line of a list of facts. */
export function fact(term, text) {
  return [h('dt', {}, term), h('dd', {}, text)];
}
