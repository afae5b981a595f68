import { html, type Piece } from './html.ts';

/** A no-break space, so that a number and its unit stay on one line. */
const space = '\u00a0';

/** A share in percent, to three significant digits. */
export function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))}${space}%`;
}

/** A share in whole percent; 100 only where it is all and 0 only where it is none. */
export function wholePercent(share: number): number {
  if (share <= 0 || share >= 1) return Math.round(share * 100);
  return Math.min(99, Math.max(1, Math.round(share * 100)));
}

/** A number with `digits` after the point; whole numbers are grouped in threes. */
export function decimal(value: number, digits = 0): string {
  const fixed = Math.abs(value) >= 1e9 ? value.toExponential(2) : value.toFixed(digits);
  const shown = Number(fixed) === 0 ? fixed.replace('-', '') : fixed.replace('-', '\u2212');
  return digits === 0 && Math.abs(value) < 1e9 ? shown.replace(/\B(?=(\d{3})+$)/g, '\u202f') : shown;
}

/** A path or a long name that may break after its separators and before a capital, and nowhere else. */
export function breakable(text: string): Piece[] {
  return text.split(/(?<=[/\\_.-])|(?=[A-Z])/).map((part, i) => (i === 0 ? part : html`<wbr>${part}`));
}

/** `1 image`, `2 images`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${decimal(n)}${space}${n === 1 ? one : many}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}

/** A unit as it is shown after a number; ratios and scales such as 1-100 have none. */
export function unitText(unit: string): string {
  return unit === 'ratio' || /^\d/.test(unit) ? '' : unit;
}
