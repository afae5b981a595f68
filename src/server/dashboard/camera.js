import { get, once } from './api.js';
import {
  bandChart,
  bandData,
  cloudChart,
  cloudData,
  historyChart,
  historyData,
  pValueChart,
  pValueData,
} from './charts.js';
import {
  ago,
  answerOf,
  breakable,
  clock,
  count,
  fact,
  h,
  number,
  percent,
  pText,
  show,
  stateOf,
  unitText,
  verdictTag,
} from './dom.js';

/** Images on the chart. */
const keptImages = 300;
const ranges = { hour: 3600_000, day: 86_400_000, week: 7 * 86_400_000 };

/** One camera: what it is now, what it was, what moved, and the images that say so. */
export async function cameraPage(element, source) {
  const path = encodeURIComponent(source);
  const [profile, reference, table] = await Promise.all([
    once('/profile'),
    once('/profile/reference'),
    once('/statistics'),
  ]);
  const limits = profile.falseAlarmRate.promised;
  const bands = new Map(reference.statistics.map((row) => [row.name, row]));
  const words = new Map(table.map((row) => [row.name, row]));
  let latest = { images: 0, at: [], pValue: [], verdict: [], projection: [] };
  let range = 'hour';
  let shownStrange;

  const now = h('section', { class: 'now', 'aria-live': 'polite' });
  const verdictChart = h('div', { class: 'chart' });
  const counted = h('p', { class: 'counts' });
  const past = h('div', { class: 'chart' });
  const pastNote = h('p', { class: 'soft' });
  const multiples = h('div', { class: 'multiples' });
  const strange = h('div', { class: 'strange' });
  const cloud = h('div', { class: 'chart square' });
  const cloudNote = h('p', { class: 'soft' });
  const evidence = h('div', { class: 'evidence' });
  const transitions = h('ol', { class: 'transitions' });
  const ranged = h('div', { class: 'choices', role: 'group', 'aria-label': 'Time' });
  for (const name of Object.keys(ranges)) {
    const button = h(
      'button',
      { type: 'button', 'aria-pressed': String(name === range), onclick: () => choose(name) },
      name,
    );
    ranged.append(button);
  }
  element.append(
    h(
      'header',
      { class: 'title' },
      h('div', {}, h('p', { class: 'eyebrow' }, h('a', { href: '#/' }, 'Cameras')), h('h1', {}, source)),
    ),
    now,
    h(
      'section',
      {},
      h('h2', {}, 'Latest images'),
      h(
        'p',
        { class: 'soft' },
        'p-value of each image, on a logarithmic scale: how many reference images are at least as strange. Below the dashed line images are warned about, below the solid one they are blocked.',
      ),
      verdictChart,
      counted,
    ),
    h(
      'section',
      {},
      h('h2', {}, 'What moved most'),
      h(
        'p',
        { class: 'soft' },
        'The latest images against the band that holds 98 % of the reference (1st to 99th percentile).',
      ),
      multiples,
    ),
    h('section', {}, h('h2', {}, 'Strangest images of late'), strange),
    h(
      'div',
      { class: 'pair' },
      h('section', {}, h('h2', {}, 'What they show'), cloudNote, cloud),
      h('section', {}, h('h2', {}, 'Evidence of drift'), evidence),
    ),
    h('section', {}, h('div', { class: 'row' }, h('h2', {}, 'History'), ranged), pastNote, past, transitions),
  );
  const charts = { p: pValueChart(verdictChart, limits), past: historyChart(past), cloud: cloudChart(cloud) };
  const small = new Map();

  async function loadRecent() {
    const next = await get(`/recent/${path}?after=${latest.images}`);
    if (!next) return;
    // A restart, or another Profile: it counts from the start again.
    if (next.images < latest.images) latest = { images: 0, at: [], pValue: [], verdict: [], projection: [] };
    const joined = (name) => [...latest[name], ...next[name]].slice(-keptImages);
    latest = {
      ...next,
      at: joined('at'),
      pValue: joined('pValue'),
      verdict: joined('verdict'),
      projection: joined('projection'),
    };
    if (latest.at.length > 0) charts.p.set(pValueData(latest, limits));
    const of = (kind) => latest.verdict.filter((verdict) => verdict === kind).length;
    show(
      counted,
      h('span', {}, `Last ${count(latest.at.length, 'image')}:`),
      ['pass', 'warn', 'block'].map((kind) => h('span', {}, verdictTag(kind), ` ${of(kind)}`)),
    );
    drawMultiples(next.statistics);
    const strangest = JSON.stringify(next.strange);
    if (strangest !== shownStrange) {
      shownStrange = strangest;
      const none = h('p', { class: 'soft' }, 'None: every image of late passed.');
      show(strange, next.strange.length === 0 ? none : next.strange.map(strangeImage));
    }
    const { cloud: points } = reference;
    if (points.length === 0)
      show(cloudNote, 'The Profile was fitted without a model, so what images show is not compared.');
    else {
      show(
        cloudNote,
        `First two principal coordinates of the embeddings, in reference standard deviations: grey the reference, red the last ${latest.projection.length} images.`,
      );
      charts.cloud.set(cloudData(points, latest.projection));
    }
    cloud.hidden = points.length === 0;
  }

  function drawMultiples(statistics) {
    const wanted = new Set(statistics.map(({ name }) => name));
    for (const [name, { card, plot }] of small) {
      if (wanted.has(name)) continue;
      plot.close();
      card.remove();
      small.delete(name);
    }
    for (const { name, values } of statistics) {
      const band = bands.get(name);
      if (!band) continue;
      const row = words.get(name);
      let entry = small.get(name);
      if (!entry) {
        const plotted = h('div', { class: 'chart' });
        const value = h('p', { class: 'value' });
        const card = h('article', {}, h('h3', { title: row?.meaning }, breakable(name)), value, plotted);
        entry = { card, value, plot: bandChart(plotted) };
        small.set(name, entry);
      }
      const last = values.filter((value) => value !== null).at(-1);
      const outside = last > band.p99 ? row?.high : last < band.p01 ? row?.low : undefined;
      const text = `${number(last)} ${unitText(row?.unit)}`;
      show(
        entry.value,
        h('b', { class: outside ? 'bad' : '' }, text),
        h('small', {}, outside ? `${outside} the reference` : `within ${number(band.p01)} to ${number(band.p99)}`),
      );
      entry.plot.set(bandData(values, band));
    }
    // In the order in which they moved.
    const cards = statistics.flatMap(({ name }) => small.get(name)?.card ?? []);
    if (cards.some((card, i) => card !== multiples.children[i])) multiples.append(...cards);
  }

  function strangeImage({ id, at, verdict, pValue, reasons, causes, nearest, hasPicture }) {
    const [cause] = causes ?? [];
    return h(
      'article',
      {},
      h(
        'div',
        { class: 'pictures' },
        hasPicture
          ? h(
              'figure',
              {},
              h('img', { src: `/recent/${path}/pictures/${id}`, alt: `Image of ${clock(at)}`, loading: 'lazy' }),
            )
          : h('div', { class: 'blank' }, 'no picture kept'),
        reference.hasExample &&
          h(
            'figure',
            {},
            h('img', { src: '/profile/example', alt: 'A typical reference image', loading: 'lazy' }),
            h('figcaption', {}, 'typical reference'),
          ),
      ),
      h(
        'p',
        { class: 'row' },
        verdictTag(verdict),
        h('span', {}, `p ${pText(pValue)}`),
        h('time', { class: 'soft', datetime: new Date(at).toISOString() }, clock(at)),
      ),
      h(
        'ol',
        {},
        reasons.slice(0, 3).map((text) => h('li', {}, text)),
      ),
      cause && h('p', {}, 'Likely ', h('b', {}, cause.cause), ` (${percent(cause.probability)})`),
      nearest?.length > 0 &&
        h('p', { class: 'soft' }, `Most alike in the reference: ${nearest.map((image) => image.path).join(', ')}`),
    );
  }

  async function loadDrift() {
    const report = await get(`/drift/${path}`);
    const { answer, tone, text } = answerOf(report?.state, latest.pValue, limits.block);
    const [cause] = report?.causes ?? [];
    show(
      now,
      h(
        'p',
        { class: `answer ${tone}` },
        h('span', { class: `dot ${tone}`, 'aria-hidden': 'true' }),
        h('b', {}, `Trust the classifier? ${answer[0].toUpperCase()}${answer.slice(1)}.`),
      ),
      report &&
        h(
          'p',
          {},
          `${text[0].toUpperCase()}${text.slice(1)}. The monitor says ${report.state}${report.reason ? ` (${report.reason})` : ''} since ${clock(report.since)}, for ${ago(report.since)}.`,
          tone !== 'good' && cause ? ` Likely cause: ${cause.cause} (${percent(cause.probability)}).` : '',
          report.expectedFlipRate !== undefined
            ? ` Expected share of changed answers: ${percent(report.expectedFlipRate)}.`
            : '',
        ),
    );
    if (!report) return show(evidence, h('p', { class: 'soft' }, 'Nothing is known of this camera yet.'));
    const { evidence: told, correlationTime, window, moved, content, frames } = report;
    const share = Math.min(1, told.share);
    show(
      evidence,
      h(
        'div',
        { class: 'meter' },
        h('meter', { min: 0, max: 1, value: share.toFixed(4), high: 0.5, 'aria-label': 'Evidence of drift' }),
        h(
          'span',
          {},
          `${told.share >= 1 ? 'More than an alarm needs' : `${percent(told.share)} of what an alarm needs`}, most by ${told.by}`,
        ),
      ),
      h('p', { class: 'soft' }, report.promise),
      h(
        'dl',
        { class: 'facts' },
        fact('images', `${report.images}, worth ${report.effectiveImages} independent ones`),
        correlationTime && fact('memory', `${number(correlationTime.images)} images (by the ${correlationTime.from})`),
        fact('alarms', `${told.alarms}${told.lastAlarmAt ? `, the last at ${clock(told.lastAlarmAt)}` : ''}`),
        fact('window', `${count(window.images, 'image')} from ${clock(window.from)} to ${clock(window.to)}`),
        content && fact('content', `maximum mean discrepancy ${number(content.distance)}, p ${pText(content.pValue)}`),
        frames.length > 0 &&
          fact('most evidence', frames.map((frame) => `${frame.id.slice(0, 8)} (p ${pText(frame.pValue)})`).join(', ')),
      ),
      moved.length > 0 &&
        h(
          'table',
          { class: 'plain' },
          h('caption', {}, 'Statistics of the window that lie elsewhere than in the reference'),
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              h('th', { scope: 'col' }, 'statistic'),
              h('th', { scope: 'col' }, 'way'),
              h('th', { scope: 'col' }, 'size, sd'),
              h('th', { scope: 'col' }, 'adjusted p'),
            ),
          ),
          h(
            'tbody',
            {},
            moved.map((row) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row' }, breakable(row.statistic)),
                h('td', {}, row.direction),
                h('td', {}, number(row.size)),
                h('td', {}, pText(row.pValue)),
              ),
            ),
          ),
        ),
    );
  }

  async function loadHistory() {
    const to = Date.now();
    const history = await get(`/history/${path}?from=${to - ranges[range]}&to=${to}&points=120`);
    const trend = history?.trend ?? [];
    const images = trend.reduce((sum, point) => sum + point.images, 0);
    past.hidden = images === 0;
    show(
      pastNote,
      images === 0
        ? `No images in the last ${range}.`
        : `Share of images warned about (amber) and blocked (red) in the last ${range}: ${count(images, 'image')}.`,
    );
    if (images > 0) charts.past.set(historyData(trend, [to - ranges[range], to]));
    show(
      transitions,
      (history?.transitions ?? []).map(({ at, from, to: state }) =>
        h(
          'li',
          {},
          h('time', { datetime: new Date(at).toISOString() }, clock(at)),
          ` ${from} \u2192 `,
          h('b', { class: stateOf(state).tone }, state),
        ),
      ),
    );
  }

  async function choose(name) {
    range = name;
    for (const button of ranged.children) button.setAttribute('aria-pressed', String(button.textContent === name));
    await loadHistory();
  }

  let rounds = 0;
  await loadRecent();
  await Promise.all([loadDrift(), loadHistory()]);
  let isMine = false;
  return {
    verdict: (verdict) => {
      isMine ||= verdict.source === source;
    },
    transition: (transition) => {
      if (!transition || transition.source === source) isMine = true;
      rounds = 0;
    },
    async refresh() {
      if (!isMine) return;
      isMine = false;
      await Promise.all([loadRecent(), rounds % 3 === 0 && loadDrift(), rounds % 15 === 0 && loadHistory()]);
      rounds++;
    },
    close() {
      for (const plot of Object.values(charts)) plot.close();
      for (const { plot } of small.values()) plot.close();
    },
  };
}
