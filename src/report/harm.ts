import type { ExpectedHarm } from '../population.ts';
import type { Profile } from '../profile.ts';
import { harmMap, heatLegend } from './heatmap.ts';
import { html, type Markup } from './html.ts';
import { count, decimal, percent } from './words.ts';

/** What is expected of the classifier's answers. */
export function flipsText({ rate: { rate, low, high } }: ExpectedHarm): string {
  return `The classifier is expected to answer otherwise than to the same images in good condition on ${percent(rate)} of them (${percent(low)} to ${percent(high)}).`;
}

/** What of this run the classifier probably got wrong, and how it answers under every cause. */
export function harmSection(harm: NonNullable<Profile['harm']>, expected: ExpectedHarm | undefined): Markup {
  const rows = expected?.causes.map(({ cause, images, flips }) => {
    const width = `width:${((100 * flips) / Math.max(1e-9, expected.causes[0].flips)).toFixed(1)}%`;
    return html`<tr><th scope="row">${cause ?? 'passed'}</th><td>${decimal(images)}</td><td>${decimal(flips, 1)}</td><td>${percent(flips / images)}</td><td class="bar"><i style="${width}"></i></td></tr>`;
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
