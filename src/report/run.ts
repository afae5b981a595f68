import { readFile } from 'node:fs/promises';
import {
  type CheckedShare,
  checkPopulation,
  defaultShares,
  type PopulationCheck,
  summarizeCheck,
} from '../drift/check.ts';
import { defaultMaxDistance, describeMedians } from '../drift/moved.ts';
import type { ExpectedHarm, Population, RememberedImage, Shift, VerdictCounts } from '../drift/population.ts';
import type { DriftState } from '../drift/report.ts';
import { decode } from '../image/decode.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { type Thumbnail, thumbnail } from '../image/thumbnail.ts';
import type { Profile } from '../profile/description.ts';
import { describeFileFacts } from '../profile/filefacts.ts';
import { capital, explainUnit, labelStatistic } from '../profile/labels.ts';
import { adviseOn } from '../profile/likelycause.ts';
import { findQuantile } from '../profile/maths/ranks.ts';
import { flipsText, harmSection } from './heatmap.ts';
import { html, type Markup } from './html.ts';
import { page } from './page.ts';
import { powerSection } from './power.ts';
import { breakable, count, decimal, percent } from './words.ts';

/** One change of the state of a source while the images were replayed in their order. */
export interface ReplayedTransition {
  source: string;
  /** Which image of the source, from 1. */
  image: number;
  from: DriftState;
  to: DriftState;
  text: string;
}

/** A run of `score`: its images as a population, and when an alarm would have come. */
export interface Run {
  population: Population;
  transitions: readonly ReplayedTransition[];
}

/** Strangest images with pictures, and the longest side of these in pixels. */
const maxPictures = 24;
const pictureSide = 240;
/** Distributions that are drawn of one thing that a person sees, besides the first; folders and changes of state that are listed. */
const maxOthers = 5;
const maxRows = 40;
const box = { width: 240, height: 64 };

/**
 * A run as one HTML page that needs nothing else: no script, no network, no file beside it.
 *
 * @param read gives the bytes of an image; default: reads its path. An image that cannot be read has no picture.
 * @returns the text of the file
 */
export async function renderRunReport(
  profile: Profile,
  { population, transitions }: Run,
  read: (path: string) => Promise<Uint8Array> = readFile,
): Promise<string> {
  const check = checkPopulation(population, { ...defaultShares(profile), maxDistance: defaultMaxDistance });
  const worst = population.worst().filter(({ verdict }) => verdict !== 'pass');
  const pictures = await drawPictures(worst.slice(0, maxPictures), read);
  return page(
    `${count(check.counts.images, 'image')} against ${profile.name}`,
    html`<header><p class="eyebrow">Stopline run</p><h1>${count(check.counts.images, 'image')} against ${profile.name}</h1>
<p class="lead">${sentence(check, population)}</p>
${runFigures(check, population.harm())}
${fileSection(population)}
<nav aria-label="Sections"><a href="#where">Where</a><a href="#moved">What moved</a>${profile.harm && html`<a href="#harm">What does harm</a>`}<a href="#worst">Strangest images</a><a href="#drift">Drift</a><a href="#power">What the Profile can see</a></nav></header>
<main>${whereSection(population)}
${movedSection(profile, population, check)}
${whySection(population)}
${profile.harm && harmSection(profile.harm, population.harm())}
${worstSection(worst, pictures)}
${driftSection(transitions)}
<details class="whole"><summary>What the Profile can see</summary>${powerSection({ ...profile, harm: undefined })}</details></main>
<footer>Made by <code>stopline report</code> with the Profile <code>${profile.sha256.slice(0, 16)}</code>. Intervals are for images that are independent of each other; neighbouring frames make them too narrow.</footer>`,
  );
}

/** What was found, for a reader of one sentence. */
function sentence(check: PopulationCheck, population: Population): string {
  const { counts } = check;
  const stopped = counts.warn + counts.block;
  const [cause] = population.causes();
  const why =
    cause && stopped > 0 && cause.cause !== 'unknown'
      ? ` Most likely: ${cause.cause} (${cause.count} of ${count(stopped, 'image')}).`
      : '';
  const harm = population.harm();
  return `${summarizeCheck(check)}${why}${harm ? ` ${flipsText(harm)}` : ''}`;
}

/** What all files share is said once, above the images. */
function fileSection(population: Population): Markup | false {
  const { images, failed } = population.counts;
  const lines = describeFileFacts(population.fileFacts(), images - failed);
  return lines.length > 0 && html`<p class="soft">About the files: ${lines.join('; ')}.</p>`;
}

function runFigures({ counts, shares }: PopulationCheck, harm: ExpectedHarm | undefined): Markup {
  const share = (term: string, { hits, share: part, low, high, max, passed }: CheckedShare): Markup => {
    const remark = `${decimal(hits)}; 95 % interval ${percent(low)} to ${percent(high)}, ${percent(max)} allowed`;
    return html`<div><dt>${term}</dt><dd>${percent(part)}</dd><dd class="remark"><small>${passed ? remark : html`<span class="alarm">${remark}</span>`}</small></dd></div>`;
  };
  const flips =
    harm &&
    html`<div><dt>Answers expected to be others</dt><dd>${percent(harm.rate.rate)}</dd><dd class="remark"><small>${percent(harm.rate.low)} to ${percent(harm.rate.high)} of ${count(harm.images, 'image')}</small></dd></div>`;
  return html`<dl class="figures"><div><dt>Images</dt><dd>${decimal(counts.images)}</dd><dd class="remark"><small>${decimal(counts.pass)} pass, ${decimal(counts.warn)} warn, ${decimal(counts.block)} block</small></dd></div>
${share('Warned about or blocked', shares.warn)}${share('Blocked', shares.block)}
<div><dt>Not judged</dt><dd>${decimal(counts.failed)}</dd><dd class="remark"><small>broken or not an image; counted as blocked</small></dd></div>${flips}</dl>`;
}

/** Verdicts over the order of the images, and over folders. */
function whereSection(population: Population): Markup {
  const timeline = population.timeline();
  const width = 1000 / timeline.length;
  const stopped = ({ warn, block, failed }: VerdictCounts) => warn + block + failed;
  const bars = (count: (counts: VerdictCounts) => number) =>
    timeline
      .map(({ counts }, i) => {
        const tall = (100 * count(counts)) / counts.images;
        return tall > 0 ? `M${tidy(i * width)} 100v${tidy(-tall)}h${tidy(width * 0.92)}V100z` : '';
      })
      .join('');
  const line = timeline
    .filter(({ meanP }) => Number.isFinite(meanP))
    .map(({ meanP }, i) => `${i === 0 ? 'M' : 'L'}${tidy((i + 0.5) * width)} ${tidy(100 * (1 - meanP))}`)
    .join('');
  const span = timeline[0]?.counts.images ?? 0;
  const folders = population
    .folders()
    .sort((a, b) => stopped(b.counts) / b.counts.images - stopped(a.counts) / a.counts.images);
  const troubled = folders.filter(({ counts }) => stopped(counts) > 0);
  const calm = folders.filter(({ counts }) => stopped(counts) === 0);
  return html`<section id="where"><h2>Where</h2>
<p>The images in the order in which they were judged, ${count(span, 'image')} a bar: the share that was warned about (light) and blocked (dark). The line is the mean p-value, which is 0.5 (halfway) for images like the reference.</p>
<svg class="timeline" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="Share of images stopped, in order"><path class="warn" d="${bars(stopped)}"/><path class="block" d="${bars(({ block, failed }) => block + failed)}"/><line x1="0" x2="1000" y1="50" y2="50"/><path class="mean" d="${line}"/></svg>
<p class="legend"><span>first image</span><span class="right">last image</span></p>
${folderTable('by folder', troubled)}
${calm.length > 0 && html`<details><summary>${count(calm.length, 'folder')} in which every image passed</summary>${folderTable('every image passed', calm)}</details>`}</section>`;
}

function folderTable(caption: string, folders: ReturnType<Population['folders']>): Markup | false {
  const rows = folders.slice(0, maxRows).map(({ folder, counts }) => {
    const part = (n: number) => `width:${((100 * n) / counts.images).toFixed(1)}%`;
    const stopped = counts.warn + counts.block + counts.failed;
    return html`<tr><th scope="row">${breakable(folder)}</th><td>${decimal(counts.images)}</td><td>${percent(stopped / counts.images)}</td><td class="bar stacked"><i class="block" style="${part(counts.block + counts.failed)}"></i><i class="warn" style="${part(counts.warn)}"></i></td></tr>`;
  });
  const more =
    folders.length > maxRows &&
    html`<p class="soft">and ${count(folders.length - maxRows, 'folder')} more with fewer.</p>`;
  return (
    rows.length > 0 &&
    html`<table class="counts folders"><caption>${caption}</caption><thead><tr><th scope="col">folder</th><th scope="col">images</th><th scope="col">stopped</th><th scope="col"><span class="unseen">shares</span></th></tr></thead><tbody>${rows}</tbody></table>${more}`
  );
}

/**
 * Statistics whose distribution lies elsewhere, drawn over that of the reference: by what a person sees, in the order of every
 * report, the number that tells it best in front and the others folded.
 */
function movedSection(
  profile: Profile,
  population: Population,
  { shifts, groups, moved, compared, maxDistance }: PopulationCheck,
): Markup {
  const text =
    shifts.length === 0
      ? 'Too few images to compare distributions.'
      : `${moved.length} of ${compared} statistics have moved: farther than a Kolmogorov-Smirnov distance of ${maxDistance}, at a false discovery rate of 1 % over all. Grey is the reference, coloured are these images; size is the Wasserstein distance in standard deviations of the reference.`;
  const cards = groups.map(({ words, members: [lead, ...others] }, i) => {
    const rest = others.slice(0, maxOthers).map((shift) => distributionCard(profile, population, shift));
    const more =
      others.length > maxOthers &&
      html`<p class="soft">and ${others.slice(maxOthers).map(({ name }, n) => [n > 0 && ', ', breakable(name)])}.</p>`;
    return html`<section class="seen"><h3>${i + 1}. ${words}</h3>${distributionCard(profile, population, lead)}
${others.length > 0 && html`<details><summary>${count(others.length, 'more statistic')}</summary><div class="distributions">${rest}</div>${more}</details>`}</section>
`;
  });
  return html`<section id="moved"><h2>What moved</h2><p>${text}</p><div class="moved">${cards}</div></section>`;
}

function distributionCard(profile: Profile, population: Population, shift: Shift): Markup {
  const { name, size, distance, adjusted } = shift;
  const position = profile.statistics.findIndex((statistic) => statistic.name === name);
  const { shape, data } = profile.tensors.calibrationValues;
  const sorted = data.slice(position * shape[1], (position + 1) * shape[1]).sort();
  const row = statistics.find((statistic) => statistic.name === name);
  return html`<article class="distribution"><h4>${labelStatistic(name)} <small>${breakable(name)}</small></h4>
${overlay(name, sorted, population.readValues(name), profile.statistics[position].logFloor)}
<p>${capital(describeMedians(shift))}.</p>
<p class="soft">Size ${decimal(size, 1)} standard deviations, Kolmogorov-Smirnov distance ${decimal(distance, 2)}, adjusted p ${adjusted < 1e-12 ? 'below 1e-12' : Number(adjusted.toPrecision(2))}${row?.unit && `; ${explainUnit(row.unit)}`}.</p></article>
`;
}

/** Two histograms over the same bins, each with its own height. */
function overlay(name: string, reference: Float64Array, current: Float64Array, logFloor: number | undefined): Markup {
  const scaled = (value: number) => (logFloor === undefined ? value : Math.log(Math.max(value, 0) + logFloor));
  const low = scaled(Math.min(findQuantile(reference, 0.002), findQuantile(current, 0.002)));
  const high = scaled(Math.max(findQuantile(reference, 0.998), findQuantile(current, 0.998)));
  const bins = 40;
  const path = (values: Float64Array) => {
    const counts = new Array<number>(bins).fill(0);
    for (const value of values) {
      const place = high > low ? Math.floor(((scaled(value) - low) / (high - low)) * bins) : bins >> 1;
      counts[Math.min(bins - 1, Math.max(0, place))]++;
    }
    const most = Math.max(...counts);
    const width = box.width / bins;
    const tops = counts.map((n, i) => `L${tidy(i * width)} ${tidy(box.height * (1 - n / most))}h${tidy(width)}`);
    return `M0 ${box.height}${tops.join('')}L${box.width} ${box.height}z`;
  };
  return html`<svg viewBox="0 0 ${box.width} ${box.height}" preserveAspectRatio="none" role="img" aria-label="${name}: these images over the reference"><path class="of-reference" d="${path(reference)}"/><path d="${path(current)}"/></svg>`;
}

/** Causes, first reasons, and why images could not be judged. */
function whySection(population: Population): Markup {
  const table = (caption: string, entries: (readonly [string, number])[]) => {
    const total = entries.reduce((sum, [, n]) => sum + n, 0);
    const rows = entries
      .slice(0, 12)
      .map(
        ([name, n]) =>
          html`<tr><th scope="row">${name}</th><td>${decimal(n)}</td><td class="bar"><i style="width:${((100 * n) / total).toFixed(1)}%"></i></td></tr>`,
      );
    return (
      entries.length > 0 && html`<table class="counts"><caption>${caption}</caption><tbody>${rows}</tbody></table>`
    );
  };
  const causes = population.causes().map(({ cause, count: n }) => [cause, n] as const);
  const reasons = population.reasons().map(({ text, count: n }) => [text, n] as const);
  const errors = population.errors().map(({ code, count: n, example }) => [`${code}, such as ${example}`, n] as const);
  if (causes.length + reasons.length + errors.length === 0) {
    return html`<section id="why"><h2>Why</h2><p>Every image passed.</p></section>`;
  }
  return html`<section id="why"><h2>Why</h2><p>Of images that did not pass.</p>
<div class="columns">${table('likeliest cause', causes)}${table('first reason', reasons)}${table('could not be judged', errors)}</div>
${adviceList(population)}</section>`;
}

/** Causes that are told with what to do about them. */
const maxAdvised = 3;

/** What to do about the likeliest causes, for both readers. */
function adviceList(population: Population): Markup | false {
  const rows = population
    .causes()
    .slice(0, maxAdvised)
    .flatMap(({ cause }) => {
      const advice = adviseOn(cause);
      return advice
        ? [
            html`<tr><th scope="row">${cause}</th><td class="text">${advice.onShift}</td><td class="text">${advice.dataScientist}</td></tr>`,
          ]
        : [];
    });
  return (
    rows.length > 0 &&
    html`<table class="counts"><caption>what to do</caption><thead><tr><th scope="col">cause</th><th scope="col" class="text">on shift</th><th scope="col" class="text">data scientist</th></tr></thead><tbody>${rows}</tbody></table>`
  );
}

function worstSection(worst: readonly RememberedImage[], pictures: ReadonlyMap<string, Thumbnail>): Markup {
  const figures = worst.slice(0, maxPictures).map(({ path, verdict, pValue, reasons, cause, nearest }) => {
    const picture = pictures.get(path);
    const shown = picture
      ? html`<img src="${picture.source}" alt="${path}" width="${picture.width}" height="${picture.height}">`
      : html`<div class="blank">no picture: the file is not there</div>`;
    return html`<figure>${shown}<figcaption><b><span class="verdict ${verdict}">${verdict}</span> ${breakable(path)}</b><em>p ${Number(pValue.toPrecision(2))}${cause && `, likely ${cause}`}</em><ol>${reasons.map((text) => html`<li>${text}</li>`)}</ol>${nearest && html`<em>most alike: ${nearest.join(', ')}</em>`}</figcaption></figure>
`;
  });
  const text =
    worst.length === 0 ? 'None: every image passed.' : 'By score; of images with the same first reason at most twelve.';
  return html`<section id="worst"><h2>Strangest images</h2><p>${text}</p><div class="pictures worst">${figures}</div></section>`;
}

function driftSection(transitions: readonly ReplayedTransition[]): Markup {
  const rows = transitions
    .slice(0, maxRows)
    .map(
      ({ source, image, from, to, text }) =>
        html`<tr><th scope="row">${breakable(source)}</th><td>${decimal(image)}</td><td class="text">${from} \u2192 <b class="${to === 'drifted' || to === 'frozen' ? 'alarm' : ''}">${to}</b></td><td class="text">${text}</td></tr>`,
    );
  const more =
    transitions.length > maxRows &&
    html`<p class="soft">and ${count(transitions.length - maxRows, 'change')} more.</p>`;
  const table =
    rows.length > 0 &&
    html`<table class="counts drift"><thead><tr><th scope="col">folder</th><th scope="col">image</th><th scope="col" class="text">state</th><th scope="col" class="text">because</th></tr></thead><tbody>${rows}</tbody></table>`;
  const none = rows.length === 0 && html`<p>No folder came out of learning: too few images, or too much alike.</p>`;
  return html`<section id="drift"><h2>Drift over time</h2><p>Each folder watched image by image, in its order, as a service watches a camera: when its state would have changed.</p>${none}${table}${more}</section>`;
}

async function drawPictures(
  images: readonly RememberedImage[],
  read: (path: string) => Promise<Uint8Array>,
): Promise<Map<string, Thumbnail>> {
  const drawn = new Map<string, Thumbnail>();
  for (const { path } of images) {
    try {
      drawn.set(path, await thumbnail((await decode(await read(path))).frame, pictureSide));
    } catch {
      // The rows may have been moved away from their images: the rest of the report does not depend on them.
    }
  }
  return drawn;
}

function tidy(value: number): number {
  return Math.round(value * 10) / 10;
}
