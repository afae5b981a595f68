import { once } from './api.js';
import { breakable, h, number, percent, pText, s, unitText, verdictTag } from './dom.js';

/** What values are compared with: the bands of the reference, and the words for each statistic, by name. */
export async function loadComparison() {
  const [reference, table] = await Promise.all([once('/profile/reference'), once('/statistics')]);
  const byName = (rows) => new Map(rows.map((row) => [row.name, row]));
  return { bands: byName(reference.statistics), words: byName(table) };
}

/** How likely, and from where on something is done. */
export function limitsText({ pValue, falseAlarmRate: { warn, block } }) {
  return `p-value ${pText(pValue)}: warned about below ${pText(warn)}, blocked below ${pText(block)}.`;
}

/** Why, strongest first. */
export function reasonList(reasons) {
  if (reasons.length === 0) return h('p', {}, 'No single statistic stands out.');
  return h(
    'ol',
    {},
    reasons.map(({ text }) => h('li', {}, text)),
  );
}

/** @param remark stands above the causes */
export function detectorsAndCauses({ detectors, falseAlarmRate, causes }, remark) {
  return h(
    'div',
    { class: 'pair' },
    h('section', {}, h('h2', {}, 'Detectors'), detectorTable(detectors, falseAlarmRate)),
    h(
      'section',
      {},
      h('h2', {}, 'Likely causes'),
      causes && remark && h('p', { class: 'soft' }, remark),
      causeBars(causes),
    ),
  );
}

/** What each detector would have said by itself. */
function detectorTable(detectors, limits) {
  const verdictOf = (p) => (p <= limits.block ? 'block' : p <= limits.warn ? 'warn' : 'pass');
  return h(
    'table',
    { class: 'plain' },
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        ['detector', 'p-value', 'alone it says'].map((text) => h('th', { scope: 'col' }, text)),
      ),
    ),
    h(
      'tbody',
      {},
      detectors.map(({ name, pValue }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, name),
          h('td', {}, pText(pValue)),
          h('td', {}, verdictTag(verdictOf(pValue))),
        ),
      ),
    ),
  );
}

/** @param causes as a verdict has them: none where the Profile was fitted without */
function causeBars(causes) {
  if (!causes) return h('p', { class: 'soft' }, 'The Profile was fitted without causes.');
  return h(
    'ul',
    { class: 'bars' },
    causes.map(({ cause, probability }) =>
      h(
        'li',
        {},
        h('span', {}, cause),
        h('meter', { min: 0, max: 1, value: probability, 'aria-label': cause }),
        h('span', { class: 'number' }, percent(probability)),
      ),
    ),
  );
}

/** Where a value lies against the reference band; beyond three bands it stands at the edge. */
function rangeBar({ p01, p50, p99 }, at) {
  const span = p99 - p01 || 1;
  const x = (value) => 50 + ((value - p50) / span) * 30;
  const place = Math.max(1, Math.min(99, 50 + at * 30));
  const isOutside = at * span + p50 > p99 || at * span + p50 < p01;
  return s(
    'svg',
    { viewBox: '0 0 100 12', preserveAspectRatio: 'none', class: 'range', 'aria-hidden': 'true' },
    s('rect', { class: 'band', x: x(p01), y: 3, width: Math.max(0.5, x(p99) - x(p01)), height: 6 }),
    s('rect', { class: 'median', x: 49.7, y: 2, width: 0.6, height: 8 }),
    s('rect', { class: isOutside ? 'out' : 'in', x: place - 0.8, y: 1, width: 1.6, height: 10 }),
  );
}

/**
 * Values against the reference, farthest out first.
 * @param comparison as of `loadComparison`
 */
export function statisticsSection(title, values, { bands, words }) {
  const rows = [...bands.values()]
    .filter(({ name }) => values[name] !== null && values[name] !== undefined)
    .map((band) => ({ band, at: (values[band.name] - band.p50) / (band.p99 - band.p01 || 1) }))
    .sort((a, b) => Math.abs(b.at) - Math.abs(a.at));
  const line = ({ band, at }) => {
    const row = words.get(band.name);
    return h(
      'tr',
      {},
      h('th', { scope: 'row', title: row?.meaning }, breakable(band.name)),
      h('td', { class: 'number' }, number(values[band.name]), ' ', h('small', {}, unitText(row?.unit))),
      h('td', {}, rangeBar(band, at)),
      h('td', { class: 'number soft' }, `${number(band.p01)} to ${number(band.p99)}`),
    );
  };
  const head = h(
    'thead',
    {},
    h(
      'tr',
      {},
      ['statistic', 'value', 'against the reference', '1 % to 99 %'].map((text) => h('th', { scope: 'col' }, text)),
    ),
  );
  const shown = 24;
  const rest = rows.slice(shown);
  return h(
    'section',
    {},
    h('h2', {}, title),
    h(
      'p',
      { class: 'soft' },
      'The band is the 1st to the 99th percentile of the reference, the tick its median; farthest out first.',
    ),
    h('table', { class: 'plain ranges' }, head, h('tbody', {}, rows.slice(0, shown).map(line))),
    rest.length > 0 &&
      h(
        'details',
        {},
        h('summary', {}, `${rest.length} more`),
        h('table', { class: 'plain ranges' }, h('tbody', {}, rest.map(line))),
      ),
  );
}
