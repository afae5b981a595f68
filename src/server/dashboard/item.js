// @ts-check
import { readProfile, readQuarantined } from './api.js';
import { html } from './library.js';
import { LivePage } from './page.js';
import { Facts, VerdictTag } from './parts.js';
import {
  CauseAndAdvice,
  DetectorsAndCauses,
  FileRemarks,
  loadComparison,
  ReasonList,
  StatisticsSection,
  tellLimits,
} from './verdict.js';
import { clock, percent } from './words.js';

/**
 * @import { Triage } from './triage.js'
 * @import { ProfileAnswer, QuarantinedImage } from './types.js'
 * @import { Comparison } from './verdict.js'
 */

/** @typedef {{ found?: QuarantinedImage, profile?: ProfileAnswer, comparison?: Comparison, isGone: boolean }} State */

/** One image of the quarantine, with all that was said of it. @extends {LivePage<State>} */
export class ItemPage extends LivePage {
  /** @type {State} */
  state = { isGone: false };

  /** @returns {Triage} that of the list */
  get #triage() {
    // @ts-expect-error the list gives it
    return this.props.triage;
  }

  get #id() {
    return this.props.argument;
  }

  title() {
    const { found } = this.state;
    return found ? `${found.item.source}: ${found.verdict.verdict}` : 'Quarantine';
  }

  async load() {
    const [found, profile, comparison] = await Promise.all([
      readQuarantined(this.#id),
      readProfile(),
      loadComparison(),
    ]);
    this.#triage.current = this.#id;
    this.setState({ found, profile, comparison, isGone: !found });
  }

  async refresh() {}

  /** @param {KeyboardEvent} event */
  async takeKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, () => unknown>} */
    const acts = {
      j: () => this.#go(1),
      k: () => this.#go(-1),
      arrowright: () => this.#go(1),
      arrowleft: () => this.#go(-1),
      a: () => this.#accept(),
      d: () => this.#discard(),
      u: () => this.#undo(),
      escape: () => {
        location.hash = '#/quarantine';
      },
    };
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    await act();
  }

  /** @param {1 | -1} step */
  #neighbour(step) {
    const { items } = this.#triage;
    const place = items.findIndex(({ id }) => id === this.#id);
    return place < 0 ? undefined : items[place + step];
  }

  /** @param {1 | -1} step */
  #go(step) {
    const other = this.#neighbour(step);
    if (other) location.hash = `#/quarantine/${other.id}`;
  }

  async #accept() {
    await this.#triage.accept([this.#id], !this.state.found?.isAccepted);
    this.#goOn();
  }

  #discard() {
    this.#triage.discard([this.#id]);
    this.#goOn();
  }

  async #undo() {
    await this.#triage.undo();
    this.setState({});
  }

  /** To the next image that nothing was done with; back to the list where there is none. */
  #goOn() {
    const { current, done } = this.#triage;
    const isOther = current !== undefined && current !== this.#id && !done.has(current);
    location.hash = isOther ? `#/quarantine/${current}` : '#/quarantine';
  }

  /** @param {State} state */
  draw({ found, profile, comparison, isGone }) {
    const back = html`<p class="eyebrow"><a href="#/quarantine">Quarantine</a></p>`;
    if (isGone) return html`<header class="title"><div>${back}<h1>This image is not there any more</h1></div></header>`;
    if (!found || !profile || !comparison) return html`<header class="title"><div>${back}</div></header>`;
    const { item, verdict } = found;
    const { source, at } = item;
    const [newer, older] = [this.#neighbour(-1), this.#neighbour(1)];
    return html`<header class="title">
        <div>${back}<h1>${source}, <time datetime=${new Date(at).toISOString()}>${clock(at)}</time></h1></div>
        <nav aria-label="Images">${newer && html`<a href=${`#/quarantine/${newer.id}`}>\u2190 Newer</a>`}${older && html`<a href=${`#/quarantine/${older.id}`}>Older \u2192</a>`}</nav>
      </header>
      <div class="held">
        <figure><img src=${`quarantine/${this.#id}/image`} alt=${`Image of ${source}, ${clock(at)}`} /></figure>
        <div class="said">${this.#drawActions(found)}
          <p><${VerdictTag} verdict=${verdict.verdict} /> ${tellLimits(verdict)}${verdict.expectedFlipRate && ` Expected share of changed answers: ${percent(verdict.expectedFlipRate.rate)}.`}</p>
          <${CauseAndAdvice} verdict=${verdict} />
          <${ReasonList} reasons=${verdict.reasons} />
          <${FileRemarks} image=${verdict.image} />
          ${profile.sha256 !== verdict.profile.sha256 && html`<p class="soft">Judged by another Profile than the one in force: ${verdict.profile.name}.</p>`}
        </div>
      </div>
      <${StatisticsSection} title="Against the reference" verdict=${verdict} comparison=${comparison} />
      <${DetectorsAndCauses} verdict=${verdict} />
      ${drawFacts(found)}`;
  }

  /** @param {QuarantinedImage} found */
  #drawActions({ item: { id, at, source, format }, isAccepted }) {
    const { message, step, done } = this.#triage;
    const which = `image of ${source}, ${clock(at)}`;
    const name = `${source}-${new Date(at).toISOString().replaceAll(':', '')}-${id.slice(0, 8)}.${format}`;
    const isDone = done.get(id);
    return html`<div class="row actions">
        ${
          isDone
            ? html`<b>${isDone}</b>`
            : html`<button type="button" aria-label=${`${isAccepted ? 'Put back' : 'Accept'}: ${which}`} onClick=${() => this.#accept()}>${isAccepted ? 'Put back' : 'Accept'}</button>
          <button type="button" aria-label=${`Discard: ${which}`} onClick=${() => this.#discard()}>Discard</button>`
        }
        <a class="button" href=${`quarantine/${id}/image`} download=${name} aria-label=${`Download: ${which}`}>Download</a>
      </div>
      <p class="soft keys">Keys: J and K next and previous, A ${isAccepted ? 'put back' : 'accept'}, D discard, U undo, Esc back to all.</p>
      <p class="told" role="status">${message && step ? html`${message} <button type="button" onClick=${() => this.#undo()}>Undo</button>` : message}</p>`;
  }
}

/** @param {QuarantinedImage} found */
function drawFacts({ item, verdict }) {
  const { format, bytes, requestId, id } = item;
  const { image, nearest, profile } = verdict;
  return html`<section><h2>What it is</h2><${Facts} facts=${[
    ['image', `${format} of ${image.width} \u00d7 ${image.height} pixels, ${Math.round(bytes / 1000)} kB`],
    ['sha256', html`<code>${id}</code>`],
    ['request', html`<code>${requestId}</code>`],
    ['Profile', `${profile.name} (${profile.sha256.slice(0, 12)})`],
    nearest && nearest.length > 0 && ['most alike', nearest.map(({ path }) => path).join(', ')],
  ]} /></section>`;
}
