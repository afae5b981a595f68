// @ts-check
import { readReference, readStatistics } from './api.js';
import { html, loadStyle } from './library.js';
import { PlainTable, VerdictTag } from './parts.js';
import { capital, labelStatistic, number, percent, pText, spellCause, valueText, valueUnit } from './words.js';

/** @import { Band, Kind, Statistic, Verdict } from './types.js' */

await loadStyle('verdict.css');

/** What values are compared with: the bands of the reference, and the words for each statistic by name. @typedef {{ bands: Band[], words: Map<string, Statistic> }} Comparison */

/** @returns {Promise<Comparison>} */
export async function loadComparison() {
  const [reference, words] = await Promise.all([readReference(), readStatistics()]);
  return { bands: reference.statistics, words };
}

/** How likely, and from where on something is done. @param {Verdict} verdict */
export function tellLimits({ pValue, falseAlarmRate: { warn, block } }) {
  return `p-value ${pText(pValue)}: warned about at ${pText(warn)} and below, blocked at ${pText(block)} and below.`;
}

/**
 * Why, what explains most first; the names of the numbers stand behind. What the file says is no reason beside others.
 * @param {{ reasons: Verdict['reasons'] }} props
 */
export function ReasonList({ reasons }) {
  if (reasons.length === 0) return html`<p>Nothing stands out.</p>`;
  const others = reasons.filter(({ group }) => group !== 'file');
  if (others.length > 0 && others.length < reasons.length) {
    const files = reasons.filter(({ group }) => group === 'file');
    return html`<${ReasonList} reasons=${others} />${files.map((reason) => html`<${FileReason} reason=${reason} />`)}`;
  }
  // What an earlier version kept has no numbers behind it.
  return html`<ol>${reasons.map(
    ({ text, evidence = [] }) =>
      html`<li>${text}${evidence.length > 0 && html`<details><summary>numbers</summary>${evidence.map((one) => html`<p class="soft">${one.text}</p>`)}</details>`}</li>`,
  )}</ol>`;
}

/** @param {{ reason: Verdict['reasons'][number] }} props */
function FileReason({ reason: { text, evidence = [] } }) {
  const names = evidence.flatMap(({ statistic, value }) => (typeof value === 'string' ? [statistic] : []));
  return html`<p class="soft"><b>About the file</b> ${capital(text)}.${names.length > 0 && html` If that is meant to be, <code>--ignore ${names.join(',')}</code> leaves it out.`}</p>`;
}

/** What probably happened, and what to do about it. @param {{ verdict: Verdict }} props */
export function CauseAndAdvice({ verdict: { cause, reasons } }) {
  // What an earlier version kept has one text, or none.
  const { onShift = reasons[0]?.advice, dataScientist } = cause?.advice ?? {};
  return html`${cause && html`<p><b>Probable cause</b> ${cause.text}</p>`}${onShift && html`<p><b>What to do</b> ${onShift}</p>`}${
    dataScientist && html`<p><b>For the data scientist</b> ${dataScientist}</p>`
  }`;
}

/** Oddities of the file that lose no pixel. @param {{ image: Verdict['image'] }} props what an earlier version kept has none */
export function FileRemarks({ image: { remarks = [] } }) {
  if (remarks.length === 0) return undefined;
  return html`<p class="soft"><b>About the file</b>, which changes no verdict: ${remarks.map(({ text }) => text).join('; ')}.</p>`;
}

/** @param {{ verdict: Verdict, remark?: string }} props remark stands above the causes */
export function DetectorsAndCauses({ verdict: { detectors, falseAlarmRate, causes }, remark }) {
  return html`<div class="pair">
    <section><h2>Detectors</h2><${DetectorTable} detectors=${detectors} limits=${falseAlarmRate} /></section>
    <section><h2>Simulated causes</h2>${causes && remark && html`<p class="soft">${remark}</p>`}<${CauseBars} causes=${causes} /></section>
  </div>`;
}

/** What each detector would have said by itself. @param {{ detectors: Verdict['detectors'], limits: Verdict['falseAlarmRate'] }} props */
function DetectorTable({ detectors, limits }) {
  /** @param {number} p @returns {Kind} */
  const judge = (p) => (p <= limits.block ? 'block' : p <= limits.warn ? 'warn' : 'pass');
  return html`<${PlainTable} name="What each would have said alone" heads=${['detector', 'p-value', 'strangeness', 'alone it says']}
    rows=${detectors.map(
      ({ name, pValue, score }) =>
        html`<tr><th scope="row">${name}</th><td>${pText(pValue)}</td><td>${number(score)}</td><td><${VerdictTag} verdict=${judge(pValue)} /></td></tr>`,
    )} />`;
}

/** @param {{ causes?: Verdict['causes'] }} props none where the Profile was fitted without */
function CauseBars({ causes }) {
  if (!causes) return html`<p class="soft">The Profile was fitted without causes.</p>`;
  return html`<ul class="bars">${causes.map(
    ({ cause, probability }) =>
      html`<li><span>${spellCause(cause)}</span><meter min="0" max="1" value=${probability} aria-label=${spellCause(cause)}></meter><span class="number">${percent(probability)}</span></li>`,
  )}</ul>`;
}

/** Where a value lies against the reference band; beyond three bands it stands at the edge. @param {{ band: Band, at: number }} props */
function RangeBar({ band: { p01, p50, p99 }, at }) {
  const span = p99 - p01 || 1;
  /** @param {number} value */
  const x = (value) => 50 + ((value - p50) / span) * 30;
  const place = Math.max(1, Math.min(99, 50 + at * 30));
  const isOutside = at * span + p50 > p99 || at * span + p50 < p01;
  return html`<svg viewBox="0 0 100 12" preserveAspectRatio="none" class="range" aria-hidden="true">
    <rect class="band" x=${x(p01)} y="3" width=${Math.max(0.5, x(p99) - x(p01))} height="6" />
    <rect class="median" x="49.7" y="2" width="0.6" height="8" />
    <rect class=${isOutside ? 'out' : 'in'} x=${place - 0.8} y="1" width="1.6" height="10" />
  </svg>`;
}

const shownRows = 16;

/** Values against the reference: those of the reasons in their order, then the rest, farthest out first. @param {{ title: string, verdict: Verdict, comparison: Comparison }} props */
export function StatisticsSection({ title, verdict, comparison: { bands, words } }) {
  const { statistics: values, reasons, unusual = [] } = verdict;
  const told = [...reasons, ...unusual].flatMap(({ statistic, evidence = [] }) => [
    statistic,
    ...evidence.map((one) => one.statistic),
  ]);
  /** @param {{ band: Band }} row */
  const place = ({ band }) => (told.includes(band.name) ? told.indexOf(band.name) : told.length);
  const rows = bands
    .flatMap((band) => {
      const value = values[band.name];
      return value === null || value === undefined
        ? []
        : [{ band, value, at: (value - band.p50) / (band.p99 - band.p01 || 1) }];
    })
    .sort((a, b) => place(a) - place(b) || Math.abs(b.at) - Math.abs(a.at))
    .map(({ band, value, at }) => {
      const row = words.get(band.name);
      return html`<tr>
        <th scope="row" title=${row?.meaning}>${labelStatistic(row, band.name)} <small>${band.name}</small></th>
        <td class="number">${valueText(row, value)} <small title=${row?.unitMeaning}>${valueUnit(row)}</small></td>
        <td><${RangeBar} band=${band} at=${at} /></td>
        <td class="number soft">${valueText(row, band.p01)} to ${valueText(row, band.p99)}</td>
      </tr>`;
    });
  const rest = rows.slice(shownRows);
  return html`<section><h2>${title}</h2>
    <p class="soft">The band is the 1st to the 99th percentile of the reference, the tick its median; those of the reasons first, then farthest out.</p>
    <table class="plain ranges">
      <thead><tr>${['what', 'value', 'against the reference', '1 % to 99 %'].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
      <tbody>${rows.slice(0, shownRows)}</tbody>
    </table>
    ${rest.length > 0 && html`<details><summary>${rest.length} more</summary><table class="plain ranges"><tbody>${rest}</tbody></table></details>`}
  </section>`;
}
