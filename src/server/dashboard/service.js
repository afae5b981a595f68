// @ts-check
import { fetchJson, readMetadata, readMetrics, readUnjudged } from './api.js';
import { html, loadStyle } from './library.js';
import { parseMetrics, sumMetric } from './metrics.js';
import { LivePage } from './page.js';
import { Facts, PlainTable } from './parts.js';
import { duration, megabytes, whole } from './words.js';

/** @import { Sample } from './metrics.js' */
/** @import { DriftList, Metadata, Unjudged } from './types.js' */

await loadStyle('profile.css');

/** @typedef {{ metadata?: Metadata, samples?: Sample[], drift?: DriftList, unjudged?: Unjudged | undefined }} State */

/** Whether the service itself is well: ready, how busy, what it refused, what it let through unjudged, what it runs on. @extends {LivePage<State>} */
export class ServicePage extends LivePage {
  /** @type {State} */
  state = {};

  title() {
    return 'Service';
  }

  async load() {
    const [metadata, text, drift] = await Promise.all([readMetadata(), readMetrics(), fetchJson('drift?limit=1')]);
    // Only a gate has something to tell.
    const unjudged = text.includes('stopline_gate_unjudged_total') ? await readUnjudged() : undefined;
    this.setState({ metadata, samples: parseMetrics(text), drift, unjudged });
  }

  /** @param {State} state */
  draw({ metadata, samples, drift, unjudged }) {
    if (!metadata || !samples) return html`<header class="title"><h1>Service</h1></header>`;
    const { readiness, contact } = this.props.live;
    const isReady = contact !== 'lost' && readiness?.ready === true;
    return html`<header class="title"><div><h1>${isReady ? 'The service takes images' : 'The service takes no images now'}</h1>
        <p class="lead">Stopline ${metadata.version}${readiness?.reason && `: ${readiness.reason}`}. ${tellTroubles(samples, drift).join(' ') || 'Nothing is wrong with it.'}</p></div></header>
      ${drawLoad(samples)}
      ${drawUnjudged(unjudged)}
      ${drawTable('What was refused', 'Requests that were answered with an error, since the start, by code.', samples, { name: 'stopline_refusals_total', label: 'code' })}
      ${drawTable('What was remarked of files', 'Oddities of files that lose no pixel: no image was refused or blocked for them.', samples, { name: 'stopline_remarks_total', label: 'remark' })}
      ${drawAlerts(samples)}
      ${drawFacts(metadata, samples)}
      ${drawLinks()}`;
  }
}

/** What somebody has to look after, in sentences. @param {Sample[]} samples @param {DriftList} [drift] */
function tellTroubles(samples, drift) {
  /** @param {string} name */
  const sum = (name) => sumMetric(samples, name);
  return [
    drift?.storeDegraded && `Nothing can be stored for now: ${drift.storeDegraded}.`,
    drift?.alone && 'Redis cannot be reached, so this replica watches alone.',
    sum('stopline_quarantine_degraded') > 0 && 'The quarantine cannot be written to.',
    sum('stopline_pool_crashes_total') > 0 && `${whole(sum('stopline_pool_crashes_total'))} worker processes crashed.`,
    sum('stopline_model_failed_provider') > 0 && 'A provider of the model failed, so another one computes.',
  ].filter((text) => typeof text === 'string');
}

/** @param {Sample[]} samples */
function drawLoad(samples) {
  /** @param {string} name */
  const sum = (name) => sumMetric(samples, name);
  const images = sum('stopline_inspections_total');
  const lag = sum('nodejs_eventloop_lag_p99_seconds');
  /** @type {[string, string, string][]} */
  const figures = [
    ['Images judged', whole(images), 'since the start'],
    [
      'Waiting',
      whole(sum('stopline_pool_queue_size')),
      `${duration(1000 * sum('stopline_pool_expected_wait_seconds'))} for one that comes now`,
    ],
    ['At work', whole(sum('stopline_pool_running')), 'images in workers'],
    [
      'In memory',
      megabytes(sum('process_resident_memory_bytes')),
      `${megabytes(sum('stopline_buffered_bytes'))} of bodies`,
    ],
    ['Delay', `${Math.round(lag * 1000)} ms`, 'of the event loop, 99 of 100 times less'],
  ];
  return html`<dl class="figures">${figures.map(([term, value, remark]) => html`<div><dt>${term}</dt><dd>${value}</dd><dd class="remark">${remark}</dd></div>`)}</dl>`;
}

/** @param {Unjudged} [unjudged] absent where the service is no gate */
function drawUnjudged(unjudged) {
  if (!unjudged) return undefined;
  const { total, paths } = unjudged;
  if (paths.length === 0)
    return html`<section><h2>Let through unjudged</h2><p class="soft">Nothing: every request was judged.</p></section>`;
  return html`<section><h2>Let through unjudged</h2>
    <p class="soft">${total === 0 ? 'Only what the settings let pass.' : html`<b>${whole(total)}</b> requests were passed on without a verdict. The last column says which line of the settings mends it.`}</p>
    <${PlainTable} name="" heads=${['path', 'reason', 'requests', 'what mends it']} rows=${paths.map(
      ({ path, reason, count, mend }) =>
        html`<tr><th scope="row"><code>${path}</code></th><td>${reason}</td><td>${whole(count)}</td><td>${mend}</td></tr>`,
    )} /></section>`;
}

/** @param {string} title @param {string} remark @param {Sample[]} samples @param {{ name: string, label: string }} metric */
function drawTable(title, remark, samples, { name, label }) {
  const rows = samples.filter((sample) => sample.name === name && sample.value > 0).sort((a, b) => b.value - a.value);
  return html`<section><h2>${title}</h2>
    ${
      rows.length === 0
        ? html`<p class="soft">Nothing since the start.</p>`
        : html`<p class="soft">${remark}</p>
      <${PlainTable} name="" heads=${[label, 'times']} rows=${rows.map(({ labels, value }) => html`<tr><th scope="row"><code>${labels[label]}</code></th><td>${whole(value)}</td></tr>`)} />`
    }</section>`;
}

/** @param {Sample[]} samples */
function drawAlerts(samples) {
  const rows = samples.filter(({ name, value }) => name === 'stopline_alerts_total' && value > 0);
  const waiting = sumMetric(samples, 'stopline_alerts_pending');
  const hasSinks = samples.some(({ name }) => name === 'stopline_alerts_pending');
  if (!hasSinks && rows.length === 0)
    return html`<section><h2>Alerts</h2><p class="soft">None is sent: no receiver is set up (<code>--alert-webhook</code>, <code>--alertmanager</code>, <code>--alert-slack</code>).</p></section>`;
  return html`<section><h2>Alerts</h2><p class="soft">${waiting > 0 ? `${whole(waiting)} wait for their receiver.` : 'None waits.'} Each by itself stands under <a href="#/events">Events</a>.</p>
    ${rows.length > 0 && html`<${PlainTable} name="" heads=${['receiver', 'outcome', 'alerts']} rows=${rows.map(({ labels, value }) => html`<tr><th scope="row">${labels.sink}</th><td>${labels.outcome}</td><td>${whole(value)}</td></tr>`)} />`}</section>`;
}

/** @param {Metadata} metadata @param {Sample[]} samples */
function drawFacts({ version, stopline: { profile, threads, core, model } }, samples) {
  const started = sumMetric(samples, 'process_start_time_seconds');
  return html`<section><h2>What it runs on</h2><${Facts} facts=${[
    ['version', version],
    started > 0 && ['up for', duration(Date.now() - started * 1000)],
    ['Profile', html`<a href="#/profile">${profile.name}</a> (${profile.sha256.slice(0, 12)})`],
    ['workers', String(threads)],
    core && ['core', `${core.build}, ${core.simd}${core.reason ? ` (${core.reason})` : ''}`],
    model && ['model', `${model.name} on ${model.provider} (${model.runtime}, ${model.device})`],
    model &&
      model.failed.length > 0 && [
        'failed providers',
        model.failed.map(({ provider, reason }) => `${provider}: ${reason}`).join('; '),
      ],
  ]} /></section>`;
}

function drawLinks() {
  return html`<section><h2>More</h2><ul class="links">
    <li><a href="docs">The HTTP API of this service</a>, with every route and field</li>
    <li><a href="dashboard/manual/operations.md">Running it</a>: what is said of a source, states, alerts, metrics</li>
    <li><a href="dashboard/manual/drift.md">How drift is found</a>, and what is promised</li>
    <li><a href="dashboard/manual/gate.md">The gate and the quarantine</a></li>
    <li><a href="dashboard/manual/errors.md">What each code of a refusal means</a></li>
    <li><a href="dashboard/manual/statistics.md">What each statistic is</a>, <a href="dashboard/manual/causes.md">each cause</a>, <a href="dashboard/manual/settings.md">each setting</a></li>
    <li><a href="metrics">Metrics</a> for Prometheus</li>
  </ul></section>`;
}
