import type { ExpectedHarm } from '../drift/population.ts';
import { blindTo, type Power } from '../fit/power.ts';
import { corruptions, findFamily, powerSeverities } from '../image/corruptions/corruptions.ts';
import type { Profile, Rates } from '../profile/description.ts';
import { spellCause } from '../profile/labels.ts';
import { html, type Markup } from './html.ts';
import { count, decimal, percent, wholePercent } from './words.ts';

/** What is expected of the classifier's answers. */
export function flipsText({ rate: { rate, low, high } }: ExpectedHarm): string {
  return `The classifier is expected to answer otherwise than to the same images in good condition on ${percent(rate)} of them (${percent(low)} to ${percent(high)}).`;
}

/** What of this run the classifier probably got wrong, and how it answers under every cause. */
export function harmSection(harm: NonNullable<Profile['harm']>, expected: ExpectedHarm | undefined): Markup {
  const rows = expected?.causes.map(({ cause, images, flips }) => {
    const width = `width:${((100 * flips) / Math.max(1e-9, expected.causes[0].flips)).toFixed(1)}%`;
    return html`<tr><th scope="row">${cause ? spellCause(cause) : 'passed'}</th><td>${decimal(images)}</td><td>${decimal(flips, 1)}</td><td>${percent(flips / images)}</td><td class="bar"><i style="${width}"></i></td></tr>`;
  });
  const table =
    rows &&
    html`<table class="counts folders"><caption>expected in this run, by likeliest cause</caption><thead><tr><th scope="col">cause</th><th scope="col">images</th><th scope="col">answers flipped</th><th scope="col">of them</th><th scope="col"><span class="unseen">share</span></th></tr></thead><tbody>${rows}</tbody></table>`;
  return html`<section id="harm"><h2>What does harm</h2>
<p>The classifier <b>${harm.classifier.name}</b> was asked about ${count(harm.images, 'reference image')} under every cause, at severities 1 (mild) to 5 (severe). Each number is the share of its answers, in percent, that were not those to the same image clean. ${expected ? flipsText(expected) : 'No image of this run was judged.'}</p>
${table}
${heatLegend()}
${harmMap(harm)}</section>`;
}

/** Share from which on a cell has its full colour: the one from which a cause counts as detected. */
const full = 0.95;
type Harm = NonNullable<Profile['harm']>;

/** Steps of colour below that. */
const steps = 10;

export function findMeaning(cause: string): string {
  return corruptions.find(({ name }) => name === cause)?.meaning ?? '';
}

/** Causes by family, in the order in which they come. */
export function byFamily<Row extends { cause: string }>(rows: readonly Row[]): { family: string; rows: Row[] }[] {
  const families = new Map<string, Row[]>();
  for (const row of rows) {
    // A Profile of another version may have causes that this one does not know.
    const family = findFamily(row.cause) ?? 'other';
    families.set(family, [...(families.get(family) ?? []), row]);
  }
  return [...families].map(([family, members]) => ({ family, rows: members }));
}

/** Step of the colour scale, 0 to 10, for a share. */
export function shade(share: number): number {
  return share >= full ? steps : Math.max(0, Math.floor((share / full) * steps));
}

/** One number over its colour; `value` is machine-readable and exact, what is shown is in whole percent. */
function swatch(kind: string, share: number): Markup {
  return html`<data class="${kind} s${shade(share)}" value="${share}">${wholePercent(share)}</data>`;
}

/**
 * The power report as a table a family: a row a cause, a column a severity, in each cell the share stopped and, behind the
 * switch of `rateSwitch`, the share blocked and that of answers flipped.
 */
export function heatMap(power: Power, harm?: Harm): Markup {
  const blind = new Set(blindTo(power));
  const families = byFamily(power.causes).map(({ family, rows }) => {
    const lines = rows.map(({ cause, warn, block, detectedFrom }) => {
      const cells = powerSeverities.map((severity, i) => {
        const flips = harm?.causes.find((row) => row.cause === cause)?.flips[i];
        const flipped = flips === undefined ? '' : `, ${percent(flips)} of answers flipped`;
        const title = `${spellCause(cause)}, severity ${severity}: ${percent(warn[i])} stopped, ${percent(block[i])} blocked${flipped}`;
        return html`<td title="${title}">${swatch('at-warn', warn[i])}${swatch('at-block', block[i])}${flips !== undefined && swatch('at-flip', flips)}</td>`;
      });
      const from = blind.has(cause)
        ? html`<td class="from"><b class="tag">blind</b></td>`
        : html`<td class="from">${detectedFrom ?? html`<span title="not reliably at any severity">\u2013</span>`}</td>`;
      return html`<tr><th scope="row" title="${findMeaning(cause)}">${spellCause(cause)}</th>${cells}${from}</tr>\n`;
    });
    return heatTable(family, lines, html`<th scope="col" class="from">from</th>`);
  });
  return html`<div class="heats">${families}</div>`;
}

/** Answers flipped by themselves: a row a cause, a column a severity. */
function harmMap({ causes }: Harm): Markup {
  const families = byFamily(causes).map(({ family, rows }) => {
    const lines = rows.map(({ cause, flips }) => {
      const cells = powerSeverities.map((severity, i) => {
        const title = `${spellCause(cause)}, severity ${severity}: ${percent(flips[i])} of answers flipped`;
        return html`<td title="${title}">${swatch('flip', flips[i])}</td>`;
      });
      return html`<tr><th scope="row" title="${findMeaning(cause)}">${spellCause(cause)}</th>${cells}</tr>\n`;
    });
    return heatTable(family, lines);
  });
  return html`<div class="heats">${families}</div>`;
}

/** @param last heads beyond those of the severities */
function heatTable(family: string, lines: readonly Markup[], last?: Markup): Markup {
  const heads = powerSeverities.map((severity) => html`<th scope="col">${severity}</th>`);
  return html`<table class="heat"><caption>${family}</caption>
<thead><tr><th scope="col"><span class="unseen">cause</span></th>${heads}${last}</tr></thead>
<tbody>
${lines}</tbody></table>
`;
}

/** Radio buttons that choose, without a script, which share the heat map after them shows. */
export function rateSwitch({ warn, block }: Rates, harm?: Harm): Markup {
  const flips =
    harm &&
    html`
<input type="radio" name="rate" id="rate-flip"><label for="rate-flip">flipped <small>answers of ${harm.classifier.name}</small></label>`;
  return html`<input type="radio" name="rate" id="rate-warn" checked><label for="rate-warn">stopped <small>warn or block, promised ${percent(warn)}</small></label>
<input type="radio" name="rate" id="rate-block"><label for="rate-block">blocked <small>promised ${percent(block)}</small></label>${flips}`;
}

/** What the colours of the heat map mean. */
export function heatLegend(): Markup {
  const swatches = Array.from({ length: steps + 1 }, (_, i) => html`<i class="s${i}"></i>`);
  return html`<p class="legend"><span>0</span><span class="scale" aria-hidden="true">${swatches}</span><span>95 % and more</span></p>`;
}
