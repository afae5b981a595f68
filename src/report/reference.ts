import type { Statistic } from '../image/statistics/statistic.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { profileVersion } from '../profile/checksum.ts';
import type { Profile } from '../profile/description.ts';
import { inSentence, labelStatistic } from '../profile/labels.ts';
import { distributionCard } from './distributions.ts';
import { html, type Markup } from './html.ts';
import { breakable, count, decimal, percent, unitText } from './words.ts';

/** Longer lists end in "and N more". */
const maxRows = 24;

const propertyLabels: Readonly<Record<string, string>> = {
  format: 'file format',
  size: 'size in pixels',
  encoder: 'encoder (fingerprint of its settings)',
  fingerprint: 'encoder (fingerprint of its settings)',
  codec: 'video codec',
  wrapping: 'metadata and markers (no evidence)',
  colour: 'colour model',
  bitDepth: 'bit depth',
  orientation: 'EXIF orientation',
  history: 'JPEG compression before',
  layout: 'which way round (as the places of things tell)',
};

/** The table's row of a statistic, or what can be said of one that this version does not know. */
function findRow(name: string): Pick<Statistic, 'name' | 'unit' | 'meaning' | 'digits'> & { group: string } {
  return (
    statistics.find((row) => row.name === name) ?? {
      name,
      unit: '',
      group: 'other',
      meaning: 'Unknown to this version of Stopline.',
      digits: 3,
    }
  );
}

/** One small drawing for every scored statistic, grouped as in docs/statistics.md. */
export function distributionsSection(profile: Profile): Markup {
  const { shape, data } = profile.tensors.calibrationValues;
  const images = shape[1];
  const drawn = profile.statistics.map(({ name, logFloor }, i) => {
    const { group, ...row } = findRow(name);
    return {
      group,
      card: distributionCard({ ...row, logFloor, sorted: data.slice(i * images, (i + 1) * images).sort() }),
    };
  });
  const groups = [...new Set(drawn.map(({ group }) => group))].map((group) => {
    const cards = drawn.filter((entry) => entry.group === group).map(({ card }) => card);
    return html`<details><summary><h3>${group}</h3> <small>${count(cards.length, 'statistic')}</small></summary><div class="distributions">${cards}</div></details>`;
  });
  const known = new Set([...profile.statistics.map(({ name }) => name), ...Object.keys(profile.constants)]);
  const left = statistics.filter(({ name }) => !known.has(name)).map(({ name }) => name);
  const missing =
    left.length > 0 &&
    html`<p class="soft">Not scored here, because they are only shown or do not apply to every reference image: ${left.map((name) => inSentence(labelStatistic(name))).join('; ')}.</p>`;
  return html`<section id="distributions"><h2>What is normal</h2>
<p>How the ${count(profile.statistics.length, 'scored statistic')} lie over the ${count(images, 'reference image')}. The solid line is the median (p50), the dotted ones are the 1st and the 99th percentile. Heavy-tailed ones are drawn over a logarithm, as they are scored; the numbers are always the plain ones. Each group unfolds.</p>
${missing}${groups}</section>`;
}

/** What the reference was made of: split, folders, file properties, constants. */
export function referenceSection(profile: Profile): Markup {
  const { reference, categories, constants } = profile;
  const { split } = reference;
  const rank = (property: string) => (Object.keys(propertyLabels).indexOf(property) + 100) % 100;
  const properties = Object.keys(categories)
    .filter((property) => !Object.hasOwn(constants, property))
    .sort((a, b) => rank(a) - rank(b))
    .map((property) => countTable(propertyLabels[property] ?? property, Object.entries(categories[property])));
  const folders = countTable(
    'folders',
    reference.folders.map(({ folder, images }) => [folder, images]),
  );
  const rows = Object.entries(constants).map(([name, value]) => {
    const { unit, digits } = findRow(name);
    return html`<tr><th scope="row" title="${name}">${propertyLabels[name] ?? labelStatistic(name)}</th><td><data value="${value}">${decimal(value, digits)}</data> ${unitText(unit)}</td></tr>`;
  });
  const fixed =
    rows.length === 0
      ? html`<p class="soft">No statistic had one value throughout.</p>`
      : html`<table class="counts"><caption>constants <small>one value throughout: any other is new</small></caption><tbody>${rows}</tbody></table>`;
  return html`<section id="reference"><h2>What the reference is</h2>
<p>${count(reference.images, 'distinct image')}, ${reference.fitted < reference.images ? html`a seeded choice of ${decimal(reference.fitted)}` : 'all'} of them fitted to say what is normal. What a clean one scores was learnt by models fitted without one of ${count(split.folds, 'part')} of them in turn: ${count(split.groups, 'group')} by ${split.by}, never cut, seed ${split.seed}. ${count(reference.duplicates, 'exact copy', 'exact copies')} counted once, ${count(reference.skipped, 'file')} skipped.</p>
<h3>Files and folders <small>properties are those of the fitted images</small></h3>
<div class="columns">${folders}${properties}${fixed}</div></section>`;
}

/** Names with their counts, most frequent first, and a bar for the share. */
function countTable(caption: string, entries: readonly (readonly [string, number])[]): Markup {
  const total = entries.reduce((sum, [, n]) => sum + n, 0);
  const sorted = [...entries].sort((a, b) => b[1] - a[1]);
  const rows = sorted.slice(0, maxRows).map(([name, n]) => {
    const bar = html`<td class="bar"><i style="width:${((100 * n) / total).toFixed(1)}%"></i></td>`;
    return html`<tr><th scope="row">${breakable(name)}</th><td>${decimal(n)}</td>${bar}</tr>`;
  });
  const rest = sorted.slice(maxRows);
  const more =
    rest.length > 0 &&
    html`<tr><th scope="row" class="soft">and ${decimal(rest.length)} more</th><td>${decimal(rest.reduce((sum, [, n]) => sum + n, 0))}</td><td></td></tr>`;
  return html`<table class="counts"><caption>${caption}</caption><tbody>${rows}${more}</tbody></table>`;
}

/** Where the Profile comes from, and which build of what made it. */
export function provenanceSection(profile: Profile): Markup {
  const { falseAlarmRate, decode, detectors, causes } = profile;
  const rates = (['warn', 'block'] as const).map((level) => {
    const asked = falseAlarmRate.asked[level];
    const promised = falseAlarmRate.promised[level];
    return `${level} ${percent(promised)}${promised > asked ? ` (asked: ${percent(asked)})` : ''}`;
  });
  const outliers = profile.reference.outliers;
  const facts: [string, Markup | string][] = [
    ['name', profile.name],
    ['sha256', html`<code>${profile.sha256}</code>`],
    ['fitted', profile.createdAt],
    ['by', `Stopline ${profile.stopline}, Profile version ${profileVersion}`],
    [
      falseAlarmRate.threshold === 'tail' ? 'false alarms expected by a fitted tail' : 'false alarms promised',
      rates.join(', '),
    ],
    ...(profile.reference.leftOut
      ? [['left out', `${count(profile.reference.leftOut, 'image')}, which no rate is about`] as [string, string]]
      : []),
    ...(outliers ? [['outliers', `${count(outliers, 'image')} unlike the rest`] as [string, string]] : []),
    ['detectors', detectors.map(({ name }) => name).join(', ')],
    ...(profile.harm
      ? [
          [
            'classifier',
            html`${profile.harm.classifier.name} <code>${profile.harm.classifier.sha256.slice(0, 16)}</code>`,
          ] as [string, Markup],
        ]
      : []),
    ['causes learnt', causes ? `${causes.names.length}` : 'none (--simulations 0)'],
    ['decoding rule', html`<code>${decode.rule}</code>`],
    ['decoder', html`<code>${decode.decoder}</code>`],
  ];
  const rows = facts.map(([term, fact]) => html`<dt>${term}</dt><dd>${fact}</dd>`);
  return html`<section id="provenance"><h2>Where it comes from</h2><dl class="facts">${rows}</dl></section>`;
}
