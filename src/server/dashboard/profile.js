// @ts-check
import { readProfile, readReference, readStatistics } from './api.js';
import { html, loadStyle } from './library.js';
import { LivePage } from './page.js';
import { Facts, Manual } from './parts.js';
import { count, labelStatistic, percent, spellCause, valueText, valueUnit, whole } from './words.js';

/** @import { Band, ProfileAnswer, Reference, Statistic } from './types.js' */

await loadStyle('profile.css');

/** Shares from which on a cell has its full colour; as in the report. */
const full = 0.95;

/** @typedef {{ profile?: ProfileAnswer, reference?: Reference, words?: Map<string, Statistic>, filter: string }} State */
/** @typedef {{ cause: string, shares: readonly number[], from?: number | undefined, isBlind?: boolean }} HeatRow */

/** What images are compared with: what it is made of, what it sees, what it does not, and what does harm. @extends {LivePage<State>} */
export class ProfilePage extends LivePage {
  /** @type {State} */
  state = { filter: this.props.argument.toLowerCase() };

  title() {
    return 'Profile';
  }

  async load() {
    const [profile, reference, words] = await Promise.all([readProfile(), readReference(), readStatistics()]);
    this.setState({ profile, reference, words });
  }

  async refresh() {}

  /** @param {State} state */
  draw({ profile, reference, words, filter }) {
    if (!profile || !reference || !words) return html`<header class="title"><p class="eyebrow">Profile</p></header>`;
    const { power, harm, warnings } = profile;
    const blind = (power?.causes ?? [])
      .filter(({ warn }) => warn.every((share) => share < 0.5))
      .map(({ cause }) => cause);
    return html`${drawHead(profile, reference)} ${drawFigures(profile, blind)}
      ${warnings.length > 0 && html`<ul class="notes">${warnings.map((text) => html`<li>${text}</li>`)}</ul>`}
      ${drawPower(power, blind)} ${drawHarm(harm)} ${drawFacts(profile)}
      <section><div class="row"><h2>What is normal</h2> <${Manual} page="statistics">What each statistic is<//>
          <input type="search" placeholder="Find a statistic" aria-label="Find a statistic" value=${filter} onInput=${(/** @type {any} */ { target }) => this.setState({ filter: target.value.toLowerCase() })} /></div>
        ${drawNormal(reference.statistics, words, filter)}</section>`;
  }
}

/** @param {ProfileAnswer} profile @param {Reference} reference */
function drawHead({ name, falseAlarmRate: { promised, threshold }, reference: { images } }, { hasExample }) {
  const most = threshold === 'tail' ? 'a fitted tail expects that' : 'at most';
  return html`<header class="title">
    <div><p class="eyebrow">Profile</p><h1>${name}</h1>
      <p class="lead">${count(images, 'reference image')}. Of images like these ${most} ${percent(promised.warn)} are warned about or blocked, and ${threshold ? '' : 'at most '}${percent(promised.block)} blocked.</p></div>
    ${hasExample && html`<figure class="example"><img src="profile/example" alt="A typical reference image" /><figcaption>a typical reference image</figcaption></figure>`}
  </header>`;
}

/** @param {ProfileAnswer} profile @param {string[]} blind */
function drawFigures(
  { reference: { images, split }, falseAlarmRate: { promised, achieved, threshold }, power },
  blind,
) {
  const met =
    achieved &&
    `95 %: ${percent(achieved.warn.low)} to ${percent(achieved.warn.high)}, ${percent(promised.warn)} ${threshold ? 'expected' : 'promised'}`;
  return html`<dl class="figures">
    ${drawFigure('Reference images', whole(images), `${split.groups} groups by ${split.by}`)}
    ${achieved && drawFigure('False alarms met', percent(achieved.warn.flagged / achieved.warn.images), met)}
    ${power && drawFigure('Causes seen', `${power.causes.filter((row) => row.detectedFrom !== undefined).length} of ${power.causes.length}`, '95 % stopped or more, from some severity on')}
    ${power && drawFigure('Blind to', String(blind.length), blind.map(spellCause).join(', ') || 'none of the simulated causes')}
  </dl>`;
}

/** @param {string} term @param {string} value @param {string} [remark] */
function drawFigure(term, value, remark) {
  return html`<div><dt>${term}</dt><dd>${value}</dd><dd class="remark">${remark}</dd></div>`;
}

/** @param {ProfileAnswer['power']} power @param {string[]} blind */
function drawPower(power, blind) {
  if (!power)
    return html`<section><h2>What it sees</h2><p class="soft">Not tried: fitted with --power 0.</p></section>`;
  const rows = power.causes.map((row) => ({
    cause: row.cause,
    shares: row.warn,
    from: row.detectedFrom,
    isBlind: blind.includes(row.cause),
  }));
  return html`<section><h2>What it sees</h2>
    <p class="soft">Share of reference images, in percent, that is stopped (warned about or blocked) under each simulated cause, at severities 1 (mild) to 5 (severe): at least ${count(power.images, 'image')} for each number. <${Manual} page="causes">What each cause is<//></p>
    ${drawHeat('stopped', rows)}</section>`;
}

/** @param {ProfileAnswer['harm']} harm */
function drawHarm(harm) {
  if (!harm)
    return html`<section><h2>What does harm</h2><p class="soft">Not known: the Profile was fitted without a classifier.</p></section>`;
  return html`<section><h2>What does harm</h2>
    ${harm.stopped && drawStopped(harm.stopped)}
    <p class="soft">Share of ${count(harm.images, 'image')}, in percent, on which the answer of ${harm.classifier.name} changes under each cause.</p>
    ${drawHeat(
      'changed',
      harm.causes.map(({ cause, flips }) => ({ cause, shares: flips })),
    )}</section>`;
}

/** What users want to know of all that harm. @param {NonNullable<NonNullable<ProfileAnswer['harm']>['stopped']>} stopped */
function drawStopped({ flipped, warn }) {
  const total = flipped.reduce((sum, changed) => sum + changed, 0);
  const shares = warn.map((share, i) => `${share === null ? '–' : percent(share)} at ${i + 1}`);
  return html`<p><b>Of all answers that a cause changes</b> (${count(total, 'answer')}), the share that is stopped at the promised rate, by severity: ${shares.join(', ')}.</p>`;
}

/** @param {ProfileAnswer} profile */
function drawFacts({ createdAt, stopline, sha256, detectors, model, regimes, decode }) {
  const network =
    model && `${model.name}, ${model.dimension} numbers, on ${model.provider ?? model.runtime ?? 'no runtime'}`;
  return html`<section><h2>What it is</h2><${Facts} facts=${[
    ['fitted', `${createdAt} by Stopline ${stopline}`],
    ['checksum', html`<code>${sha256}</code>`],
    ['detectors', detectors.map(({ name }) => name).join(', ')],
    ['model', network ?? 'none: statistics alone'],
    ...(model?.assumed?.length ? [['assumed of it', model.assumed.join(', ')]] : []),
    ['populations', String(regimes.length)],
    ['decoding', html`<code>${decode.rule}</code>`],
    ['decoder', html`<code>${decode.decoder}</code>`],
  ]} /></section>`;
}

/** @param {Band[]} bands @param {Map<string, Statistic>} words @param {string} filter */
function drawNormal(bands, words, filter) {
  const rows = bands.filter(({ name }) =>
    `${name} ${words.get(name)?.label} ${words.get(name)?.meaning}`.toLowerCase().includes(filter),
  );
  if (rows.length === 0) return html`<p class="soft">No statistic is called that.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Statistics of the reference"><table class="plain">
    <thead><tr>${['statistic', 'unit', '1 %', 'median', '99 %'].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
    <tbody>${rows.map(({ name, p01, p50, p99 }) => {
      const row = words.get(name);
      return html`<tr key=${name}><th scope="row" title=${row?.meaning}>${labelStatistic(row, name)} <small>${name}</small></th>
        <td title=${row?.unitMeaning}>${valueUnit(row)}</td>${[p01, p50, p99].map((value) => html`<td>${valueText(row, value)}</td>`)}</tr>`;
    })}</tbody></table></div>`;
}

/** Hardest to see first, in two columns where there is room. @param {'stopped' | 'changed'} what @param {HeatRow[]} rows */
function drawHeat(what, rows) {
  const sorted = [...rows].sort((a, b) => sum(a.shares) - sum(b.shares));
  const half = Math.ceil(sorted.length / 2);
  return html`<div class="heats">${[sorted.slice(0, half), sorted.slice(half)].map((part) => drawHeatTable(what, part))}</div>`;
}

/** @param {'stopped' | 'changed'} what @param {HeatRow[]} rows */
function drawHeatTable(what, rows) {
  const isStopped = what === 'stopped';
  return html`<table class="heat">
    <thead><tr><th scope="col">cause</th>${[1, 2, 3, 4, 5].map((severity) => html`<th scope="col">${severity}</th>`)}${isStopped && html`<th scope="col">from</th>`}</tr></thead>
    <tbody>${rows.map(
      ({ cause, shares, from, isBlind }) => html`<tr><th scope="row">${spellCause(cause)}</th>
        ${shares.map((share, i) => html`<td class=${`s${Math.min(10, Math.floor((share / full) * 10))}`} title=${`${spellCause(cause)}, severity ${i + 1}: ${percent(share)} ${what}`}>${Math.round(share * 100)}</td>`)}
        ${isStopped && html`<td class="from">${isBlind ? html`<b class="bad">blind</b>` : (from ?? '\u2013')}</td>`}</tr>`,
    )}</tbody></table>`;
}

/** @param {readonly number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
