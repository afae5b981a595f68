// @ts-check
import { explain, explainHere } from './api.js';
import { html, loadStyle } from './library.js';
import { LivePage } from './page.js';
import { VerdictTag } from './parts.js';
import {
  CauseAndAdvice,
  DetectorsAndCauses,
  FileRemarks,
  loadComparison,
  ReasonList,
  StatisticsSection,
  tellLimits,
} from './verdict.js';
import { number, percent, unitText } from './words.js';

/**
 * @import { Explanation, TileMaps } from './types.js'
 * @import { Comparison } from './verdict.js'
 */

await loadStyle('try.css');

/** @typedef {{ name: string, explanation?: Explanation, picture?: string, refusal?: string }} Result */
/** @typedef {{ comparison?: Comparison, isOver: boolean, isLocal: boolean, result?: Result }} State */

/** One image of the reader's: its verdict, and where in it the evidence lies. Nothing is kept of it. @extends {LivePage<State>} */
export class TryPage extends LivePage {
  /** @type {State} */
  state = { isOver: false, isLocal: false };
  /** Anywhere on the page: a file dropped beside the field would otherwise replace the page. @type {Record<string, (event: any) => void>} */
  #listeners = {
    dragover: (event) => {
      event.preventDefault();
      this.setState({ isOver: true });
    },
    dragleave: () => this.setState({ isOver: false }),
    drop: (event) => {
      event.preventDefault();
      this.setState({ isOver: false });
      const [file] = event.dataTransfer.files;
      if (file) void this.#judge(file);
    },
  };

  componentDidMount() {
    super.componentDidMount();
    for (const [name, listener] of Object.entries(this.#listeners)) addEventListener(name, listener);
  }

  componentWillUnmount() {
    super.componentWillUnmount();
    for (const [name, listener] of Object.entries(this.#listeners)) removeEventListener(name, listener);
  }

  title() {
    return 'Try it';
  }

  async load() {
    this.setState({ comparison: await loadComparison() });
  }

  async refresh() {}

  /** @param {File} file */
  async #judge(file) {
    const { name } = file;
    this.setState({ result: { name } });
    try {
      const [explanation, picture] = await Promise.all([
        (this.state.isLocal ? explainHere : explain)(file),
        readPicture(file),
      ]);
      this.setState({ result: { name, explanation, picture } });
    } catch (error) {
      this.setState({ result: { name, refusal: error instanceof Error ? error.message : String(error) } });
    }
  }

  /** @param {State} state */
  draw({ comparison, isOver, isLocal, result }) {
    return html`<header class="title"><div><p class="eyebrow">Try it</p><h1>What would be said of this image?</h1></div></header>
      <label class=${`drop ${isOver ? 'over' : ''}`} for="file"><b>Drop an image here</b>
        <span>or choose a file: JPEG, PNG or WebP. It is judged and forgotten: it counts for no camera.</span>
        <input type="file" id="file" accept="image/jpeg,image/png,image/webp" onChange=${(/** @type {any} */ { target }) => target.files[0] && this.#judge(target.files[0])} />
      </label>
      <label class="local"><input type="checkbox" checked=${isLocal} onChange=${(/** @type {any} */ { target }) => this.setState({ isLocal: target.checked })} />
        Judge in this page: the image is not sent</label>
      <div class="result" aria-live="polite">${result && comparison && drawResult(result, comparison)}</div>`;
  }
}

/** @param {Result} result @param {Comparison} comparison */
function drawResult({ name, explanation, picture, refusal }, comparison) {
  if (refusal !== undefined) return html`<p class="error" role="alert">${name} cannot be judged: ${refusal}</p>`;
  if (!explanation || picture === undefined) return html`<p class="soft">Judging ${name} ...</p>`;
  const { verdict, tiles } = explanation;
  const { image, reasons, timingMs } = verdict;
  const isPass = verdict.verdict === 'pass';
  return html`<section class="said">
      <h2><${VerdictTag} verdict=${verdict.verdict} /> ${name}</h2>
      <p>${tellLimits(verdict)} ${image.format.toUpperCase()} of ${image.width} \u00d7 ${image.height} pixels, judged in ${Math.round(timingMs.total)} ms.</p>
      <${FileRemarks} image=${image} />
      ${isPass ? drawPassed(verdict) : html`<${CauseAndAdvice} verdict=${verdict} /><${ReasonList} reasons=${reasons} />`}
    </section>
    <section><h2>${isPass ? 'Where it is weakest, tile by tile' : 'Where the evidence lies'}</h2><div class="tilemaps">${tiles.maps.map((map) => drawTiles(map, tiles, picture))}</div></section>
    <${DetectorsAndCauses} verdict=${verdict} remark=${isPass ? 'What it would look most like, had it not passed.' : 'What it looks most like of them.'} />
    <${StatisticsSection} title="Statistics against the reference" verdict=${verdict} comparison=${comparison} />`;
}

/** A pass needs no reasons: what is unusual is there for who wants to know. @param {import('./types.js').Verdict} verdict */
function drawPassed({ pValue, unusual = [] }) {
  return html`<p>It is like the reference: ${percent(pValue)} of such images are as unusual or more so.</p>
    ${unusual.length > 0 && html`<details><summary>What is least usual about it</summary><${ReasonList} reasons=${unusual} /></details>`}`;
}

/** As a data: address, which the policy of the page allows. @param {File} file @returns {Promise<string>} */
function readPicture(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** @param {TileMaps['maps'][number]} map @param {TileMaps} tiles @param {string} picture */
function drawTiles({ kind, unit, meaning, bad, values }, { columns, rows }, picture) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  /** @param {number} i */
  const place = (i) => `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}`;
  const cells = values.map((value, i) => {
    const share = high > low ? (value - low) / (high - low) : 0;
    const opacity = 0.78 * (bad === 'high' ? share : 1 - share);
    return html`<i title=${`${place(i)}: ${number(value)} ${unitText(unit)}`} style=${{ opacity: String(opacity) }}></i>`;
  });
  const where = place(values.indexOf(bad === 'high' ? high : low));
  const told =
    low === high
      ? `everywhere ${number(low)} ${unitText(unit)}`
      : `${`${number(low)} to ${number(high)} ${unitText(unit)}`.trim()}; worst at ${where}`;
  return html`<figure>
    <div class="under"><img src=${picture} alt=${`Map of ${kind}: worst at ${where}`} />
      <div class="tiles" style=${{ gridTemplate: `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)` }}>${cells}</div></div>
    <figcaption><b>${kind}</b> ${meaning} <small>${told}</small></figcaption>
  </figure>`;
}
