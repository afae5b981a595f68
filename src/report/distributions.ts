import { findQuantile } from '../profile/maths/ranks.ts';
import { html, type Markup } from './html.ts';
import { breakable, decimal, unitText } from './words.ts';

/** One reference distribution to draw. */
export interface Distribution {
  name: string;
  unit: string;
  meaning: string;
  /** Digits after the point when shown. */
  digits: number;
  /** Ascending. */
  sorted: Float64Array;
  /** Drawn over ln(x + logFloor), as it is scored; the numbers shown stay x. */
  logFloor?: number | undefined;
}

/** Size of a drawing in its own units; the page stretches it. */
const box = { width: 240, height: 56 };

/** Values in equal bins between the smallest and the largest, as many as Rice's rule says (2 n^(1/3)), at most 40. */
export function histogram(values: Float64Array): { counts: number[]; low: number; high: number } {
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const bins = Math.min(40, Math.max(8, Math.ceil(2 * Math.cbrt(values.length))));
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) {
    const place = high > low ? Math.floor(((value - low) / (high - low)) * bins) : bins >> 1;
    counts[Math.min(bins - 1, place)]++;
  }
  return { counts, low, high };
}

/** A histogram with the 1st percentile, the median and the 99th as lines. */
function drawing({ name, sorted, logFloor }: Distribution, quantiles: readonly number[]): Markup {
  const scaled = (value: number) => (logFloor === undefined ? value : Math.log(value + logFloor));
  const { counts, low, high } = histogram(sorted.map(scaled));
  const most = Math.max(...counts);
  const width = box.width / counts.length;
  const bars = counts.map((n, i) => {
    const top = box.height * (1 - n / most);
    return n === 0 ? '' : `M${round(i * width)} ${box.height}V${round(top)}h${round(width)}V${box.height}z`;
  });
  const lines = quantiles.map((value, i) => {
    const x = round(high > low ? ((scaled(value) - low) / (high - low)) * box.width : box.width / 2);
    return html`<line class="${i === 1 ? 'median' : 'tail'}" x1="${x}" x2="${x}" y1="0" y2="${box.height}"/>`;
  });
  return html`<svg viewBox="0 0 ${box.width} ${box.height}" preserveAspectRatio="none" role="img" aria-label="Histogram of ${name} over ${sorted.length} images"><path d="${bars.join('')}"/>${lines}</svg>`;
}

/** One small multiple: name, drawing, the three quantiles and what the number means. */
export function distributionCard(distribution: Distribution): Markup {
  const { name, unit, meaning, digits, sorted, logFloor } = distribution;
  const quantiles = [0.01, 0.5, 0.99].map((share) => findQuantile(sorted, share));
  const numbers = quantiles.map(
    (value, i) =>
      html`<div><dt>${['p01', 'p50', 'p99'][i]}</dt><dd><data value="${value}">${decimal(value, digits)}</data></dd></div>`,
  );
  const scale = [unitText(unit), logFloor === undefined ? '' : 'log scale'].filter((part) => part !== '').join(', ');
  return html`<article class="distribution"><h4>${breakable(name)}<small>${scale}</small></h4>
${drawing(distribution, quantiles)}
<dl>${numbers}</dl>
<p>${meaning}</p></article>
`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
