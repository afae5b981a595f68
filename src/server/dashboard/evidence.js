// @ts-check
import { toneState } from './answer.js';
import { arrangeCloud, Chart, makeCloudChart } from './charts.js';
import { html } from './library.js';
import { Facts, Manual, PlainTable } from './parts.js';
import { capital, clock, count, inSentence, labelStatistic, number, percent, pText } from './words.js';

/** @import { DriftReport, Moved, RecentImages, Statistic, Transition } from './types.js' */

/** Changes of state, latest first. @param {{ transitions: Transition[] }} props */
export function StateList({ transitions }) {
  return html`<ol class="transitions">
    ${transitions.map(
      ({ at, from, to }) =>
        html`<li><time datetime=${new Date(at).toISOString()}>${clock(at)}</time> ${from} \u2192 <b class=${toneState(to)}>${to}</b></li>`,
    )}
  </ol>`;
}

/** What the monitor has seen, and how much of it is missing for an alarm. @param {{ report?: DriftReport, words: Map<string, Statistic> }} props */
export function EvidenceSection({ report, words }) {
  if (!report)
    return html`<section class="evidence"><h2>Evidence of drift</h2><p class="soft">Nothing is known of this camera yet.</p></section>`;
  const { evidence, correlationTime, window, moved, content, images, effectiveImages, promise, frames } = report;
  const share = Math.min(1, evidence.share);
  const { alarm } = report;
  const told = evidence.share >= 1 ? 'More than an alarm needs' : `${percent(evidence.share)} of what an alarm needs`;
  return html`<section class="evidence">
    <h2>Evidence of drift</h2>
    <div class="meter"><meter min="0" max="1" value=${share.toFixed(4)} aria-label="Evidence of drift"></meter>
      <span>${told}, most by ${labelEvidence(evidence.by, words)}</span></div>
    ${alarm && html`<p>Alarm at ${clock(alarm.at)}: ${alarm.text}. It ends ${alarm.ends.text}.</p>`}
    <p class="soft">${promise}</p>
    <${Facts} facts=${[
      ['images', `${images}, worth ${effectiveImages} independent ones`],
      correlationTime && [
        'memory',
        `an image is like those ${number(correlationTime.images)} images before and after it (by the ${correlationTime.from})`,
      ],
      ['alarms', `${evidence.alarms}${evidence.lastAlarmAt ? `, the last at ${clock(evidence.lastAlarmAt)}` : ''}`],
      ['compared', `${count(window.images, 'image')} from ${clock(window.from)} to ${clock(window.to)}`],
      content && [
        'content',
        `distance ${number(content.distance)} (maximum mean discrepancy), p ${pText(content.pValue)}`,
      ],
      frames.length > 0 && [
        'most evidence',
        frames.map(({ id, pValue }) => `${id.slice(0, 8)} (p ${pText(pValue)})`).join(', '),
      ],
    ]} />
    ${moved.length > 0 && html`<${MovedTable} report=${report} words=${words} />`}
    <p class="soft"><${Manual} page="drift">How drift is found, and what is promised<//></p>
  </section>`;
}

/** One thing that moved. @typedef {{ text: string, lead: Moved, others: Moved[] }} Lead */

/**
 * What moved, by what a person sees: the number that tells it best, and the others that say the same. In the order of the service.
 * @param {readonly Moved[]} moved
 */
export function listLeads(moved) {
  /** @type {Lead[]} */
  const groups = [];
  for (const row of moved) {
    const last = groups.at(-1);
    if (last?.text === row.text) last.others.push(row);
    else groups.push({ text: row.text, lead: row, others: [] });
  }
  return groups;
}

/** @param {{ report: DriftReport, words: Map<string, Statistic> }} props */
function MovedTable({ report: { moved, movedCount }, words }) {
  /** @param {Moved} row */
  const label = ({ statistic }) => inSentence(labelStatistic(words.get(statistic), statistic));
  const name = `${movedCount.moved} of ${movedCount.compared} statistics lie elsewhere than in the reference; sizes in its standard deviations`;
  return html`<${PlainTable} name=${name} heads=${['what is seen', 'size', 'adjusted p']}
    rows=${listLeads(moved).map(
      ({ text, lead, others }) => html`<tr><th scope="row">${capital(text)} <small>${label(lead)}</small>
        ${others.length > 0 && html`<details><summary>also</summary>${others.map((row) => html`<small>${label(row)}, ${number(row.size)}</small>`)}</details>`}</th>
        <td>${number(lead.size)}</td><td>${pText(lead.pValue)}</td></tr>`,
    )} />`;
}

/** @param {string} name @param {Map<string, Statistic>} words */
function labelEvidence(name, words) {
  return name === 'score' ? 'the score as a whole' : inSentence(labelStatistic(words.get(name), name));
}

/** What the latest images show, beside what the reference shows. @param {{ cloud: [number, number][], images: RecentImages }} props */
export function CloudSection({ cloud, images: { projection } }) {
  if (cloud.length === 0) {
    return html`<section><h2>What they show</h2><p class="soft">The Profile was fitted without a model, so what images show is not compared.</p></section>`;
  }
  return html`<section><h2>What they show</h2>
    <p class="soft">Images that lie near each other show similar things: grey the reference, coloured the last ${count(projection.length, 'image')}. First two principal coordinates of the embeddings, in reference standard deviations.</p>
    <div class="square"><${CloudChart} cloud=${cloud} latest=${projection} /></div>
  </section>`;
}

/** @type {{ cloud?: unknown, latest?: unknown, data?: any }} */
const drawn = {};

/** @param {{ cloud: [number, number][], latest: [number, number][] }} props */
function CloudChart({ cloud, latest }) {
  if (drawn.cloud !== cloud || drawn.latest !== latest)
    Object.assign(drawn, { cloud, latest, data: arrangeCloud(cloud, latest) });
  return html`<${Chart} make=${makeCloudChart} data=${drawn.data} label="What the latest images show, over the reference" />`;
}
