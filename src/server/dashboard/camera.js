// @ts-check
import { answerCamera, toneState } from './answer.js';
import { readDrift, readHistory, readProfile, readRecent, readReference, readStatistics } from './api.js';
import {
  arrangeBand,
  arrangeScores,
  arrangeScoreTrend,
  arrangeShares,
  Chart,
  makeBandChart,
  makeScoreChart,
  makeScoreTrend,
  makeShareChart,
} from './charts.js';
import { CloudSection, EvidenceSection, listLeads, StateList } from './evidence.js';
import { html, loadStyle } from './library.js';
import { LivePage } from './page.js';
import { Choices, Dot, VerdictTag } from './parts.js';
import {
  ago,
  capital,
  clock,
  count,
  labelStatistic,
  nameZone,
  number,
  percent,
  pText,
  readMoment,
  valueText,
  valueUnit,
  writeMoment,
} from './words.js';

/**
 * @import { Columns } from './charts.js'
 * @import { Lead } from './evidence.js'
 * @import { Answer, Camera, DriftReport, History, Kind, ProfileAnswer, RecentImages, Reference, Statistic, StrangeImage,
 *   TransitionEvent, VerdictEvent } from './types.js'
 */

await loadStyle('camera.css');

/** Images on the chart of the latest. */
const keptImages = 300;
const spans = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000 };
/** Things that moved of which a number is drawn. */
const maxDrawn = 9;
/** Tiles side by side on the map of what stays. */
const placeColumns = 16;
/** @typedef {'latest' | keyof typeof spans | 'from, to'} Range */
const ranges = /** @type {Range[]} */ (['latest', ...Object.keys(spans), 'from, to']);
/** The state is read with every so-many-th round of images, and the history with every so-many-th. */
const roundsToDrift = 3;
const roundsToHistory = 15;
/** @type {readonly Kind[]} */
const kinds = ['pass', 'warn', 'block'];
/** What cannot be told now, as a question. */
const questions = {
  standsStill: 'whether the picture stands still',
  view: 'whether the camera looks where it did',
  colour: 'whether its colours are right',
  places: 'whether something hides a part of the view',
};
const verdictWords = { pass: 'passed', warn: 'warned about', block: 'blocked' };

/** What does not change while the page is open. @typedef {{ profile: ProfileAnswer, reference: Reference, words: Map<string, Statistic> }} Known */

/**
 * @typedef {object} State
 * @property {Range} range
 * @property {Known} [known]
 * @property {RecentImages} [images]
 * @property {DriftReport} [report]
 * @property {History} [history] of the range
 * @property {number} [ratio] width of the latest picture by its height, once it is there
 * @property {[number, number]} [shown] start and end of the range, in milliseconds
 * @property {[number, number]} [chosen] start and end that the user has chosen
 */

/**
 * One camera: what it sees now, what it is judged, what moved, and the images that say so.
 * @extends {LivePage<State>}
 */
export class CameraPage extends LivePage {
  /** @type {State} */
  state = { range: 'latest' };
  #rounds = 0;
  /** The statistics that the report says have moved, one for each thing that a person sees. @type {string[]} */
  #wanted = [];
  /** Columns of the charts, made once for each answer of the service. @type {WeakMap<object, Map<string, Columns>>} */
  #columns = new WeakMap();

  get #source() {
    return this.props.argument;
  }

  title() {
    const camera = this.#camera();
    if (this.props.live.contact === 'lost') return this.#source;
    return `${this.#source}: ${camera.title}`;
  }

  async load() {
    const [profile, reference, words] = await Promise.all([readProfile(), readReference(), readStatistics()]);
    this.setState({ known: { profile, reference, words } });
    // Which numbers are drawn is what the report says has moved.
    await Promise.all([this.#loadReport(), this.#loadHistory()]);
    await this.#loadImages();
  }

  async refresh() {
    const rounds = this.#rounds++;
    await Promise.all([
      rounds % roundsToDrift === 0 && this.#loadReport(),
      rounds % roundsToHistory === 0 && this.#loadHistory(),
    ]);
    await this.#loadImages();
  }

  /** @param {VerdictEvent} event */
  takeVerdict({ source }) {
    if (source === this.#source) this.markDirty();
  }

  /** @param {TransitionEvent} event */
  takeTransition({ source }) {
    if (source !== this.#source) return;
    this.#rounds = 0;
    this.markDirty();
  }

  async #loadImages() {
    const before = this.state.images;
    const next = await readRecent(this.#source, { after: before?.images ?? 0, statistics: this.#wanted });
    if (!next) return;
    // After a restart, or with another Profile, it counts from the start again.
    const isOther = before === undefined || next.images < before.images;
    this.setState({ images: isOther ? next : joinImages(before, next) });
  }

  async #loadReport() {
    const report = await readDrift(this.#source);
    this.#wanted = listLeads(report?.moved ?? []).map(({ lead }) => lead.statistic);
    this.setState({ report });
  }

  async #loadHistory({ range, chosen } = this.state) {
    const now = this.props.live.now();
    if (range === 'from, to' && chosen && chosen[0] >= chosen[1]) return;
    const [from, to] =
      range === 'from, to' && chosen
        ? chosen
        : [now - (range === 'latest' || range === 'from, to' ? spans.day : spans[range]), now];
    const history = await readHistory(this.#source, { from, to, points: 120 });
    this.setState({ history, shown: [from, to] });
  }

  /** @param {Range} range */
  async #choose(range) {
    // What is shown is where a choice of times begins.
    await this.#show({ range, chosen: this.state.chosen ?? this.state.shown });
  }

  /** @param {Pick<State, 'range' | 'chosen'>} wanted */
  async #show(wanted) {
    this.setState(wanted);
    await this.#loadHistory(wanted);
  }

  /** @returns {Camera & Answer} */
  #camera() {
    const { report } = this.state;
    const camera = this.props.live.cameras.find(this.#source) ?? { source: this.#source, pValues: [], verdicts: [] };
    // The report is read when the state changes, and with every few images; the list is at most some seconds old.
    return { ...camera, ...answerCamera(report ?? camera) };
  }

  /** @param {object} answer of the service @param {string} name @param {() => Columns} make */
  #keepColumns(answer, name, make) {
    const columns = this.#columns.get(answer) ?? new Map();
    this.#columns.set(answer, columns);
    if (!columns.has(name)) columns.set(name, make());
    return columns.get(name);
  }

  /** @param {State} state */
  draw({ known, images, report, history, range }) {
    const heading = html`<header class="title"><div><p class="eyebrow"><a href="#/">Cameras</a></p><h1>${this.#source}</h1></div></header>`;
    if (!known) return heading;
    return html`${heading} ${this.#drawAnswer(report)}
      ${this.#drawSight(images, known)}
      <section>
        <div class="row"><h2>How strange its images are</h2>
          <${Choices} label="Range of time" names=${ranges} chosen=${range} onChoose=${(/** @type {Range} */ name) => this.#choose(name)} />
        </div>
        ${range === 'from, to' && this.#drawTimes()}
        ${this.#drawScores(known)}
        ${history && html`<${StateList} transitions=${history.transitions} />`}
      </section>
      ${images && html`<section><h2>Images that did not pass</h2>${this.#drawStrange(images)}</section>`}
      ${images && this.#drawMoved(images, known)}
      <div class="pair">
        <${EvidenceSection} report=${report} words=${known.words} />
        ${images && html`<${CloudSection} cloud=${known.reference.cloud} images=${images} />`}
      </div>`;
  }

  /** @param {DriftReport} [report] */
  #drawAnswer(report) {
    const isLost = this.props.live.contact === 'lost';
    const { answer, tone, text } = this.#camera();
    const [cause] = report?.causes ?? [];
    const isNamed = tone !== 'good' && cause && cause.cause !== 'unknown';
    return html`<section class=${`now ${isLost ? 'old' : ''}`} aria-live="polite">
      <p class=${`answer ${isLost ? 'lost' : tone}`}><${Dot} tone=${isLost ? 'lost' : tone} />
        <b>Trust the classifier? ${isLost ? 'Not known: no contact with the service.' : `${capital(answer)}.`}</b></p>
      <p>${isLost && 'Before: '}${text}</p>
      ${
        report &&
        html`<p class="soft">The monitor says <b class=${report.maintenance && toneState(report.state) === 'good' ? 'quiet' : toneState(report.state)}>${report.state}</b> since ${clock(report.since)}, for ${ago(report.since, this.props.live.now())}${report.before && `; before it was ${report.before}`}.
        ${isNamed && ` What did not pass is likely ${cause.cause} (${percent(cause.probability)} of it).`}
        ${report.expectedFlipRate !== undefined && ` The classifier is expected to answer otherwise on ${percent(report.expectedFlipRate)} of such images.`}</p>`
      }
      ${report?.learning && html`<${Learning} learning=${report.learning} />`}
      ${report?.sight && !text.toLowerCase().includes(report.sight.text.toLowerCase()) && html`<p>${capital(report.sight.text)}.</p>`}
      ${report?.uncheckable && html`<p class="soft">Not checked now: ${report.uncheckable.map(({ question, why }) => `${questions[question]} (${why})`).join('; ')}.</p>`}
    </section>`;
  }

  /** What it sees now, beside what it should look like. @param {RecentImages | undefined} images @param {Known} known */
  #drawSight(images, { reference }) {
    const latest = images?.latest;
    const { contact } = this.props.live;
    const isNow = contact !== 'lost' && this.#camera().tone !== 'unknown';
    const isKnown = this.props.live.cameras.find(this.#source) !== undefined;
    return html`<section class="sight">
      <figure>
        ${
          latest
            ? html`<div class="seen"><img src=${this.#picturePath(latest)} alt=${`Image of ${this.#source}, ${clock(latest.at)}`} onLoad=${(/** @type {Event} */ event) => this.#takeSize(event)} />${this.#drawHeat()}</div>`
            : html`<div class="blank">${(images || !isKnown) && 'no image yet since the service started'}</div>`
        }
        <figcaption><b>${!images && isKnown ? 'Asking' : !latest ? 'Nothing seen yet' : isNow ? 'Now' : 'Last seen'}</b> ${latest && html`<time datetime=${new Date(latest.at).toISOString()}>${clock(latest.at)}</time>, ${ago(latest.at, this.props.live.now())} ago: <${VerdictTag} verdict=${latest.verdict} /> ${latest.verdict !== 'pass' && latest.reasons[0]}`} ${this.#tellStaying()}</figcaption>
      </figure>
      <figure>
        ${reference.hasExample ? html`<img src="profile/example" alt="A typical reference image" />` : html`<div class="blank">the Profile keeps no example</div>`}
        <figcaption><b>As it should look</b> a typical image of the reference</figcaption>
      </figure>
      ${images && images.files.length > 0 && html`<p class="soft files"><b>About the files of the last ${count(images.statisticsAt.length, 'image')}</b> ${images.files.join('; ')}.</p>`}
    </section>`;
  }

  /** @param {Event} event */
  #takeSize({ target }) {
    const { naturalWidth, naturalHeight } = /** @type {HTMLImageElement} */ (target);
    const ratio = naturalWidth / naturalHeight;
    if (ratio > 0 && ratio !== this.state.ratio) this.setState({ ratio });
  }

  /** Over the latest image: what hides or blurs the same places in image after image. */
  #drawHeat() {
    const { report, ratio } = this.state;
    const places = report?.places;
    if (!places || places.parts.length === 0 || ratio === undefined) return undefined;
    const [wide, tall] = [ratio / placeColumns, placeColumns / places.map.length];
    const tiles = [...places.map].map(
      (digit, tile) =>
        digit !== '0' &&
        html`<rect x=${(tile % placeColumns) * wide} y=${Math.floor(tile / placeColumns) * tall} width=${wide} height=${tall} fill-opacity=${Number(digit) / 12} />`,
    );
    return html`<svg class="heat" viewBox=${`0 0 ${ratio} 1`} role="img" aria-label=${`What stays in front of the view: ${places.parts.map(({ text }) => text).join('; ')}`}>${tiles}</svg>`;
  }

  /** What the heat map shows, in words. */
  #tellStaying() {
    const places = this.state.report?.places;
    if (!places || places.parts.length === 0) return undefined;
    return html`<span class="stays">In red, what hides or blurs the same places of the last ${count(places.images, 'image')}: ${places.parts.map(({ text }) => text).join('; ')}.</span>`;
  }

  /** @param {StrangeImage} image */
  #picturePath({ id }) {
    return `recent/${encodeURIComponent(this.#source)}/pictures/${id}`;
  }

  #drawTimes() {
    const { chosen } = this.state;
    if (!chosen) return undefined;
    /** @param {0 | 1} end @param {string} label */
    const field = (end, label) => {
      const choose = (/** @type {Event & { currentTarget: HTMLInputElement }} */ { currentTarget }) => {
        const at = readMoment(currentTarget.value);
        if (Number.isNaN(at)) return;
        this.#show({ range: 'from, to', chosen: end === 0 ? [at, chosen[1]] : [chosen[0], at] });
      };
      return html`<label>${label} <input type="datetime-local" value=${writeMoment(chosen[end])} onChange=${choose} /></label>`;
    };
    return html`<p class="times">${field(0, 'From')} ${field(1, 'to')} <span class="soft">${nameZone(chosen[0])}</span></p>
      ${chosen[0] >= chosen[1] && html`<p class="soft" role="alert">Expected a start before the end.</p>`}`;
  }

  /** @param {Known} known */
  #drawScores({ reference, profile }) {
    const { images, history, shown, range } = this.state;
    const { promised } = profile.falseAlarmRate;
    const limits = reference.scoreLimits;
    const marks = history?.transitions;
    const lines =
      limits.warn === limits.block
        ? `From the line on images are blocked (${percent(promised.block)} of the reference lie there); a warning would begin at the same place.`
        : `From the dashed line on images are warned about (${percent(promised.warn)} of the reference lie there), from the solid one on they are blocked (${percent(promised.block)}).`;
    const about = `Strangeness is 1 at the edge of the reference and grows without end. ${lines}`;
    if (range === 'latest') {
      if (!images) return undefined;
      if (images.at.length === 0)
        return html`<p class="soft">No image yet since the service started: choose a longer time.</p>`;
      const data = this.#keepColumns(images, 'scores', () => arrangeScores(images, limits));
      return html`<p class="soft">${about} A dot is an image.</p>
        <${Chart} make=${makeScoreChart} data=${data} marks=${marks} isNamed=${true} label="Strangeness of the latest images" />
        <p class="counts"><span>Last ${count(images.verdict.length, 'image')}:</span>
          ${kinds.map((kind) => html`<span><${VerdictTag} verdict=${kind} /> ${images.verdict.filter((verdict) => verdict === kind).length}</span>`)}</p>`;
    }
    const total = (history?.trend ?? []).reduce((sum, point) => sum + point.images, 0);
    const when = range === 'from, to' ? 'between these times' : `in the last ${range}`;
    if (!history || total === 0) return html`<p class="soft">No images ${when}.</p>`;
    const scores = this.#keepColumns(history, 'scores', () => arrangeScoreTrend(history.trend, limits));
    const shares = this.#keepColumns(history, 'shares', () => arrangeShares(history.trend));
    return html`<p class="soft">${about} The lines are the mean and the strangest image of each stretch of time: ${count(total, 'image')} ${when}.</p>
      <${Chart} make=${makeScoreTrend} data=${scores} marks=${marks} range=${shown} isNamed=${true} label=${`Strangeness ${when}`} />
      <p class="soft">Share of images warned about (amber) and blocked (red).</p>
      <${Chart} make=${makeShareChart} data=${shares} marks=${marks} range=${shown} label=${`Share of images stopped ${when}`} />`;
  }

  /** @param {RecentImages} images */
  #drawStrange({ strange }) {
    if (strange.length === 0) return html`<p class="soft">None: every image since the service started passed.</p>`;
    return html`<p class="soft">By what is probably wrong and when, latest first: the first and the strangest image of each time.</p>
      <div class="strange">${strange.map(
        (episode) => html`<article key=${episode.kind + episode.from}>
          <h3>${episode.kind}</h3>
          <p class="soft">${clock(episode.from)}${episode.to - episode.from >= 60_000 && ` to ${clock(episode.to)}`}: ${count(episode.images, 'image')}, ${episode.blocked} blocked</p>
          <div class="pictures">${episode.examples.map((image) => this.#drawExample(image))}</div>
        </article>`,
      )}</div>`;
  }

  /** @param {StrangeImage} image */
  #drawExample(image) {
    const { id, at, verdict, pValue, reasons, nearest, hasPicture } = image;
    return html`<figure key=${id}>
      ${hasPicture ? html`<img src=${this.#picturePath(image)} alt=${`Image of ${clock(at)}, ${verdictWords[verdict]}`} loading="lazy" />` : html`<div class="blank">no picture kept</div>`}
      <figcaption><p class="row"><${VerdictTag} verdict=${verdict} /><span>p ${pText(pValue)}</span><time datetime=${new Date(at).toISOString()}>${clock(at)}</time></p>
        <ol>${reasons.slice(0, 2).map((text) => html`<li>${text}</li>`)}</ol>
        ${nearest && nearest.length > 0 && html`<p>Most alike in the reference: ${nearest.map(({ path }) => path).join(', ')}</p>`}
      </figcaption>
    </figure>`;
  }

  /** What moved as people see it, in the order and the count of every report; else what is least usual. @param {RecentImages} images @param {Known} known */
  #drawMoved(images, known) {
    const { report } = this.state;
    const groups = listLeads(report?.moved ?? []);
    const { moved = 0, compared = 0 } = report?.movedCount ?? {};
    const drawn = images.statistics.slice(0, maxDrawn).map((statistic) => {
      const group = groups.find(({ lead }) => lead.statistic === statistic.name);
      return this.#drawMultiple(statistic, { images, known, group });
    });
    const rest = groups.slice(maxDrawn).map(({ text }) => text.replace(/ the reference$/, ''));
    return html`<section><h2>${moved > 0 ? 'What moved most' : 'What is least usual'}</h2>
      <p class="soft">${moved > 0 ? `${moved} of ${compared} statistics have moved; what explains most comes first. ` : 'Nothing has moved. These lie farthest from the middle of the reference. '}The line is the latest images, the band holds 98 % of the reference, from its 1st to its 99th percentile.</p>
      <div class="multiples">${drawn}</div>
      ${moved > 0 && rest.length > 0 && html`<p class="soft">Also ${rest.join(', ')} the reference: see the evidence below.</p>`}</section>`;
  }

  /**
   * @param {RecentImages['statistics'][number]} statistic
   * @param {{ images: RecentImages, known: Known, group?: Lead | undefined }} about the others of the group say the same to a person
   */
  #drawMultiple({ name, text, values }, { images, known: { reference, words }, group }) {
    const band = reference.statistics.find((row) => row.name === name);
    if (!band) return undefined;
    const row = words.get(name);
    const last = values.findLast((value) => value !== null) ?? null;
    const data = this.#keepColumns(images, name, () => arrangeBand(images.statisticsAt, values, band));
    const seen = group?.text ?? text;
    const isOut = last !== null && (last > band.p99 || last < band.p01);
    const label = labelStatistic(row, name);
    return html`<article key=${name}>
      <h3>${group || isOut ? capital(seen) : label}</h3>
      <p class="value">${label} <b>${valueText(row, last)}</b> <small>${[valueUnit(row), `usually ${valueText(row, band.p01)} to ${valueText(row, band.p99)}`].filter(Boolean).join(', ')}</small></p>
      ${row && !row.isPercent && row.unitMeaning !== row.unit && html`<p class="unit">${capital(row.unitMeaning)}.</p>`}
      <${Chart} make=${makeBandChart} data=${data} marks=${this.state.history?.transitions} label=${`${label} of the latest images`} />
      <details><summary>names</summary><p class="soft"><code>${name}</code> ${row?.meaning}</p>
        ${group?.others.map((other) => html`<p class="soft"><code>${other.statistic}</code> ${words.get(other.statistic)?.meaning} Moved by ${number(other.size)} standard deviations.</p>`)}</details>
    </article>`;
  }
}

/** How far a camera is that still learns. @param {{ learning: NonNullable<DriftReport['learning']> }} props */
function Learning({ learning: { independent = 0, needed, text } }) {
  return html`<p class="meter"><meter min="0" max=${needed} value=${Math.min(needed, independent)} aria-label=${capital(text)}></meter></p>`;
}

/** @param {RecentImages} before @param {RecentImages} next @returns {RecentImages} */
function joinImages(before, next) {
  /** @template Item @param {Item[]} old @param {Item[]} more */
  const join = (old, more) => [...old, ...more].slice(-keptImages);
  return {
    ...next,
    at: join(before.at, next.at),
    pValue: join(before.pValue, next.pValue),
    score: join(before.score, next.score),
    verdict: join(before.verdict, next.verdict),
    projection: join(before.projection, next.projection),
  };
}
