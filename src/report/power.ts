import { blindTo, type Power } from '../fit/power.ts';
import type { Severity } from '../image/corruptions/corruptions.ts';
import type { Thumbnail } from '../image/thumbnail.ts';
import type { Profile } from '../profile/description.ts';
import { spellCause } from '../profile/labels.ts';
import { byFamily, findMeaning, heatLegend, heatMap, rateSwitch } from './heatmap.ts';
import { html, type Markup } from './html.ts';
import { intervalText } from './summary.ts';
import { count, listed, percent, wholePercent } from './words.ts';

/** A picture of a cause, at the severity at which it is shown. */
export interface CausePicture {
  cause: string;
  severity: Severity;
  picture: Thumbnail;
}

/** The mildest severity that is detected; the strongest where none is, and a middle one where it was never tried. */
export function shownSeverity(power: Power | undefined, cause: string): Severity {
  const row = power?.causes.find((candidate) => candidate.cause === cause);
  return row ? ((row.detectedFrom ?? 5) as Severity) : 3;
}

/** What the Profile can see: the heat map with its explanation, or why there is none. */
export function powerSection({
  power,
  harm,
  falseAlarmRate,
}: Pick<Profile, 'power' | 'falseAlarmRate'> & { harm?: Profile['harm'] | undefined }): Markup {
  if (!power) {
    return html`<section id="power"><h2>What it can see</h2>
<p>Not tried: this Profile was fitted without a power report (<code>--power 0</code>).</p></section>`;
  }
  const { promised } = falseAlarmRate;
  const blind = blindTo(power);
  const missed =
    blind.length === 0
      ? html`<p>It is blind to none of them at their strongest.</p>`
      : html`<p><b class="alarm">Blind to ${count(blind.length, 'cause')}:</b> ${listed(blind.map(spellCause))}. Of these it stops less than half of the images at every severity.</p>`;
  return html`<section id="power"><h2>What it can see</h2>
<p>Reference images, each judged by the fit without its group, went through ${count(power.causes.length, 'simulated cause')} at severities 1 (mild) to 5 (severe), at least ${count(power.images, 'image')} each. Each number is the share of them, in percent, that the Profile stops. <i>From</i> is the mildest severity from which on at least 95 % are stopped.</p>
${missed}
<p>${cleanText(power)}</p>
${harm && harmText(harm)}
<div class="switch">${rateSwitch(promised, harm)}
${heatLegend()}
${heatMap(power, harm)}</div></section>`;
}

/** What being encoded again does by itself: part of every share of the heat map. */
function cleanText({ clean }: Power): string {
  const { flagged, images } = clean;
  return `Clean but encoded again like the others, ${flagged} of ${images} are stopped: ${percent(flagged / images)} (${intervalText(clean)}).`;
}

/** What the third view of the heat map shows, and where the classifier suffers most. */
function harmText({ classifier, images, causes, stopped }: NonNullable<Profile['harm']>): Markup {
  const worst = [...causes].sort((a, b) => b.flips[4] - a.flips[4]).slice(0, 3);
  const named = worst.map(({ cause, flips }) => `${spellCause(cause)} (${percent(flips[4])})`);
  return html`<p>The classifier <b>${classifier.name}</b> was asked, too. <i>Flipped</i> is the share of answers that are not those to the same image clean, of ${count(images, 'image')} asked; at severity 5 most often under ${listed(named)}. A verdict of this Profile has an <code>expectedFlipRate</code>.</p>${stopped && stoppedText(stopped)}`;
}

/** The figure that users want: what of the harm is stopped. */
function stoppedText({ flipped, warn }: NonNullable<NonNullable<Profile['harm']>['stopped']>): Markup {
  const total = flipped.reduce((sum, number) => sum + number, 0);
  const shares = warn.map((share) => (share === null ? '-' : percent(share)));
  return html`<p><b>Of all answers that a cause changes</b> (${count(total, 'answer')}), the share stopped at the promised rate, at severities 1 to 5: ${shares.join(', ')}.</p>`;
}

/** The example image under every cause, a family after the other, each with the clean image first. */
export function picturesSection(
  { power }: Profile,
  shown: { clean: Thumbnail; causes: readonly CausePicture[]; caption: string } | { missing: string },
): Markup {
  if ('missing' in shown) {
    return html`<section id="pictures"><h2>What the causes look like</h2><p>${shown.missing}</p></section>`;
  }
  const { clean, causes, caption } = shown;
  const families = byFamily(causes).map(({ family, rows }) => {
    const pictures = rows.map(({ cause, severity, picture }) => {
      const row = power?.causes.find((candidate) => candidate.cause === cause);
      return html`<figure>${image(picture, `${spellCause(cause)} at severity ${severity}`)}<figcaption><b>${spellCause(cause)} <span>${severity}</span></b>${row && verdictOn(row)}<em>${findMeaning(cause)}</em></figcaption></figure>
`;
    });
    return html`<h3>${family}</h3><div class="pictures"><figure class="clean">${image(clean, 'the clean image')}<figcaption><b>clean</b><em>The image as it is.</em></figcaption></figure>
${pictures}</div>`;
  });
  const severities = power
    ? 'Each cause at the mildest severity that the Profile detects reliably; where there is none, at severity 5 and marked. The number after a name is the severity.'
    : 'Each cause at severity 3; which severities the Profile detects was not tried.';
  return html`<section id="pictures"><h2>What the causes look like</h2><p>${severities} ${caption}</p>${families}</section>`;
}

function verdictOn({ warn, detectedFrom }: Power['causes'][number]): Markup {
  if (detectedFrom !== undefined) return html`<em>seen from severity ${detectedFrom} on</em>`;
  return html`<em class="alarm">not reliably seen (${wholePercent(warn[4])}\u00a0%)</em>`;
}

function image({ source, width, height }: Thumbnail, alt: string): Markup {
  return html`<img src="${source}" alt="${alt}" width="${width}" height="${height}">`;
}
