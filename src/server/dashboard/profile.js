import { once } from './api.js';
import { breakable, count, fact, h, number, percent, whole } from './dom.js';

/** Shares from which on a cell has its full colour; as in the report. */
const full = 0.95;

/** What images are compared with: what it is made of, what it sees, what it does not, and what does harm. */
export async function profilePage(element) {
  const [profile, reference] = await Promise.all([once('/profile'), once('/profile/reference')]);
  const { falseAlarmRate, power, harm, warnings, model } = profile;
  const { promised, achieved } = falseAlarmRate;
  const blind = (power?.causes ?? []).filter(({ warn }) => warn.every((share) => share < 0.5));
  element.append(
    h(
      'header',
      { class: 'title' },
      h(
        'div',
        {},
        h('p', { class: 'eyebrow' }, 'Profile'),
        h('h1', {}, profile.name),
        h(
          'p',
          { class: 'lead' },
          `${count(profile.reference.images, 'reference image')}. Of images like these at most ${percent(promised.warn)} are warned about or blocked, and at most ${percent(promised.block)} blocked.`,
        ),
      ),
      reference.hasExample &&
        h(
          'figure',
          { class: 'example' },
          h('img', { src: '/profile/example', alt: 'A typical reference image' }),
          h('figcaption', {}, 'a typical reference image'),
        ),
    ),
    h(
      'dl',
      { class: 'figures' },
      figure(
        'Reference images',
        whole(profile.reference.images),
        `${profile.reference.split.groups} groups by ${profile.reference.split.by}`,
      ),
      achieved &&
        figure(
          'False alarms met',
          percent(achieved.warn.flagged / achieved.warn.images),
          `95 %: ${percent(achieved.warn.low)} to ${percent(achieved.warn.high)}, ${percent(promised.warn)} promised`,
        ),
      power &&
        figure(
          'Causes seen',
          `${power.causes.filter((row) => row.detectedFrom !== undefined).length} of ${power.causes.length}`,
          '95 % stopped or more, from some severity on',
        ),
      power &&
        figure(
          'Blind to',
          String(blind.length),
          blind.map((row) => row.cause).join(', ') || 'none of the simulated causes',
        ),
    ),
    warnings.length > 0 &&
      h(
        'ul',
        { class: 'notes' },
        warnings.map((text) => h('li', {}, text)),
      ),
    h(
      'section',
      {},
      h('h2', {}, 'What it sees'),
      power
        ? [
            h(
              'p',
              { class: 'soft' },
              `Share of ${count(power.images, 'reference image')}, in percent, that is stopped (warned about or blocked) under each simulated cause, at severities 1 (mild) to 5 (severe).`,
            ),
            heatMap(
              'stopped',
              power.causes.map((row) => ({
                cause: row.cause,
                shares: row.warn,
                from: row.detectedFrom,
                isBlind: blind.includes(row),
              })),
            ),
          ]
        : h('p', { class: 'soft' }, 'Not tried: fitted with --power 0.'),
    ),
    h(
      'section',
      {},
      h('h2', {}, 'What does harm'),
      harm
        ? [
            h(
              'p',
              { class: 'soft' },
              `Share of ${count(harm.images, 'image')}, in percent, on which the answer of ${harm.classifier.name} changes under each cause.`,
            ),
            heatMap(
              'changed',
              harm.causes.map(({ cause, flips }) => ({ cause, shares: flips })),
            ),
          ]
        : h('p', { class: 'soft' }, 'Not known: the Profile was fitted without a classifier.'),
    ),
    h(
      'section',
      {},
      h('h2', {}, 'What it is'),
      h(
        'dl',
        { class: 'facts' },
        fact('fitted', `${profile.createdAt} by Stopline ${profile.stopline}`),
        fact('checksum', h('code', {}, profile.sha256)),
        fact('detectors', profile.detectors.map(({ name }) => name).join(', ')),
        fact(
          'model',
          model
            ? `${model.name}, ${model.dimension} numbers, on ${model.provider ?? model.runtime ?? 'no runtime'}`
            : 'none: statistics alone',
        ),
        fact('populations', String(profile.regimes.length)),
        fact('decoding', h('code', {}, profile.decode.rule)),
        fact('decoder', h('code', {}, profile.decode.decoder)),
      ),
    ),
    h(
      'section',
      {},
      h('h2', {}, 'What is normal'),
      h(
        'div',
        { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Statistics of the reference' },
        h(
          'table',
          { class: 'plain' },
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              ['statistic', '1 %', 'median', '99 %'].map((text) => h('th', { scope: 'col' }, text)),
            ),
          ),
          h(
            'tbody',
            {},
            reference.statistics.map((row) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row' }, breakable(row.name)),
                [row.p01, row.p50, row.p99].map((value) => h('td', {}, number(value))),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Hardest to see first, in two columns where there is room. */
function heatMap(what, rows) {
  const sorted = [...rows].sort((a, b) => sum(a.shares) - sum(b.shares));
  const half = Math.ceil(sorted.length / 2);
  return h(
    'div',
    { class: 'heats' },
    [sorted.slice(0, half), sorted.slice(half)].map((part) => heatTable(what, part)),
  );
}

function heatTable(what, rows) {
  const heads = [1, 2, 3, 4, 5].map((severity) => h('th', { scope: 'col' }, severity));
  const line = ({ cause, shares, from, isBlind }) =>
    h(
      'tr',
      {},
      h('th', { scope: 'row' }, breakable(cause)),
      shares.map((share, i) => {
        const title = `${cause}, severity ${i + 1}: ${percent(share)} ${what}`;
        return h('td', { class: `s${Math.min(10, Math.floor((share / full) * 10))}`, title }, Math.round(share * 100));
      }),
      what === 'stopped' &&
        h('td', { class: 'from' }, isBlind ? h('b', { class: 'bad' }, 'blind') : (from ?? '\u2013')),
    );
  return h(
    'table',
    { class: 'heat' },
    h(
      'thead',
      {},
      h('tr', {}, h('th', { scope: 'col' }, 'cause'), heads, what === 'stopped' && h('th', { scope: 'col' }, 'from')),
    ),
    h('tbody', {}, rows.map(line)),
  );
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function figure(term, value, remark) {
  return h('div', {}, h('dt', {}, term), h('dd', {}, value), h('dd', { class: 'remark' }, remark));
}
