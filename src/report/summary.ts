import { blindTo, type Counted, type Power } from '../fit/power.ts';
import type { Profile } from '../profile/description.ts';
import { spellCause } from '../profile/labels.ts';
import { html, type Markup } from './html.ts';
import { count, decimal, listed, percent } from './words.ts';

/** The Profile in one sentence: what it was made of, what it promises, what it sees and what not. */
export function sentenceAbout({ name, reference, falseAlarmRate, power }: Profile): string {
  const { warn, block } = falseAlarmRate.promised;
  const rates = isExpected(falseAlarmRate)
    ? `it is expected to stop ${percent(warn)} and to block ${percent(block)}, by a tail fitted to them`
    : `it promises to stop at most ${percent(warn)} and to block at most ${percent(block)}`;
  const start = `${name} learnt what ${count(reference.images, 'image')} look like; of images like these ${rates}`;
  if (!power) return `${start}; what it can see was not tried.`;
  const blind = blindTo(power);
  const seen = `it reliably sees ${reliable(power).length} of ${count(power.causes.length, 'simulated cause')}`;
  return `${start}; ${seen}, and is blind to ${blind.length === 0 ? 'none' : `${decimal(blind.length)}: ${listed(blind.map(spellCause))}`}.`;
}

/** Rates by a fitted tail are no promise. */
const isExpected = ({ threshold }: Profile['falseAlarmRate']) => threshold === 'tail';

/** Causes that are detected from some severity on. */
function reliable({ causes }: Power): string[] {
  return causes.filter(({ detectedFrom }) => detectedFrom !== undefined).map(({ cause }) => cause);
}

/** The numbers to look at first. */
export function figures(profile: Profile): Markup {
  const { reference, falseAlarmRate, power } = profile;
  const { promised } = falseAlarmRate;
  const entries: [term: string, value: string, remark: string | Markup][] = [
    ['Reference images', decimal(reference.images), 'all fitted; each scored by the fit without its group'],
    [
      isExpected(falseAlarmRate) ? 'False alarms expected' : 'False alarms promised',
      percent(promised.warn),
      `stopped; blocked ${percent(promised.block)}${isExpected(falseAlarmRate) ? '; by a fitted tail, which promises nothing' : ''}`,
    ],
  ];
  const achieved = falseAlarmRate.achieved?.warn;
  if (achieved) {
    const remark = `${intervalText(achieved)}, on ${count(achieved.images, 'image')}, each against thresholds that its group had no part in`;
    entries.push([
      'False alarms achieved',
      percent(achieved.flagged / achieved.images),
      achieved.low > promised.warn ? html`<span class="alarm">${remark}: more than promised</span>` : remark,
    ]);
  }
  if (power) {
    entries.push([
      'Causes reliably seen',
      `${reliable(power).length} of ${power.causes.length}`,
      '95 % stopped or more, from some severity on',
    ]);
    entries.push(['Blind to', `${blindTo(power).length}`, 'less than half stopped, even at the strongest']);
  }
  const boxes = entries.map(
    ([term, value, remark]) =>
      html`<div><dt>${term}</dt><dd>${value}</dd><dd class="remark"><small>${remark}</small></dd></div>`,
  );
  return html`<dl class="figures">${boxes}</dl>`;
}

/** The exact 95 % interval of a share, in words. */
export function intervalText({ low, high }: Counted): string {
  return `95 % interval ${percent(low)} to ${percent(high)}`;
}
