// @ts-check

import { keptImages } from './cameras.js';
import { html, loadStyle } from './library.js';
import { LivePage } from './page.js';
import { ago, clock, percent, pText, whole } from './words.js';

/** @import { Answer, Camera } from './types.js' */

await loadStyle('overview.css');

const sparkSize = { width: 180, height: 28 };
/** Lines beyond this are drawn when the filter brings them up. */
const maxLines = 200;
/** From so many cameras on there is a field to find one. */
const leastToFind = 4;

/**
 * Every camera in a line: can the classifier be trusted right now?
 * @extends {LivePage<{ filter: string }>}
 */
export class OverviewPage extends LivePage {
  state = { filter: '' };

  draw() {
    const { live } = this.props;
    const now = live.now();
    const { text, detail, tone } = live.headline();
    const cameras = live.cameras.list();
    const isLost = live.contact === 'lost';
    const shown = cameras.filter(({ source }) => source.toLowerCase().includes(this.state.filter));
    return html`<header class="title">
        <div aria-live="polite">
          <h1 class=${`headline ${tone}`}><span class=${`dot ${tone}`} aria-hidden="true"></span>${text}</h1>
          <p class="lead">${detail}</p>
        </div>
        ${cameras.length >= leastToFind && this.#drawSearch()}
      </header>
      ${
        cameras.length > 0 &&
        html`<table class=${`cameras ${isLost ? 'old' : ''}`}>
        <thead><tr>
          ${['Camera', 'Trust it?', 'Since', 'Likely cause', 'Stopped', 'How strange, latest right', 'Last image'].map(
            (head) => html`<th scope="col">${head}</th>`,
          )}
        </tr></thead>
        <tbody>${shown.slice(0, maxLines).map((camera) => drawLine(camera, now, isLost))}</tbody>
      </table>`
      }
      ${shown.length > maxLines && html`<p class="soft">${maxLines} of ${shown.length} are shown: type a part of a name to find others.</p>`}
      ${cameras.length > 0 && shown.length === 0 && html`<p class="soft">No camera is called that.</p>`}
      ${cameras.length === 0 && !isLost && live.contact !== 'connecting' && drawEmpty()}`;
  }

  #drawSearch() {
    return html`<input type="search" placeholder="Find a camera" aria-label="Find a camera" value=${this.state.filter}
      onInput=${(/** @type {any} */ { target }) => this.setState({ filter: target.value.toLowerCase() })} />`;
  }
}

function drawEmpty() {
  return html`<div class="empty">
    <p>No camera has sent an image yet. Send one:</p>
    <pre><code>${`curl --data-binary @frame.jpg -H 'content-type: image/jpeg' \\\n  '${location.origin}/inspect?source=front'`}</code></pre>
  </div>`;
}

/** @param {Camera & Answer} camera @param {number} now @param {boolean} isLost */
function drawLine(camera, now, isLost) {
  const { source, since, lastAt, pValues, verdicts } = camera;
  // What was known before contact was lost is no answer.
  const { answer, tone } = isLost ? { answer: 'not known', tone: 'unknown' } : camera;
  const cause = camera.recent?.cause ?? camera.cause;
  const isCaused = tone !== 'good' && cause;
  const stopped = verdicts.filter((verdict) => verdict !== 'pass').length;
  return html`<tr key=${source} class=${tone}>
    <th scope="row"><a href=${`#/camera/${encodeURIComponent(source)}`}>${source}</a></th>
    <td class="state"><span class=${`dot ${tone}`} aria-hidden="true"></span><b>${answer}</b>${tone !== 'good' && html`<small>${isLost ? `was: ${camera.answer}` : tellShortly(camera)}</small>`}</td>
    <td data-label="since">${since ? html`<time datetime=${new Date(since).toISOString()} title=${clock(since)}>${ago(since, now)}</time>` : '\u2013'}</td>
    <td data-label="cause" class=${isCaused ? '' : 'none'}>${isCaused ? cause : '\u2013'}</td>
    <td data-label="stopped">${verdicts.length === 0 ? '\u2013' : percent(stopped / verdicts.length)}</td>
    <td class="spark"><svg viewBox=${`0 0 ${sparkSize.width} ${sparkSize.height}`} preserveAspectRatio="none" role="img"
      aria-label=${`Last ${pValues.length} p-values, smallest ${pValues.length === 0 ? 'none' : pText(Math.min(...pValues))}`}><path d=${sparkPath(pValues)} /></svg></td>
    <td data-label="last image">${lastAt ? `${ago(lastAt, now)} ago` : '\u2013'}</td>
  </tr>`;
}

/** Why, in a few words: the page of the camera says more. @param {Camera & Answer} camera */
function tellShortly({ text, tone, learning }) {
  if (tone !== 'quiet' || !learning) return text.split(';')[0].replace(/\.$/, '');
  const { independent, needed, more } = learning;
  return independent === undefined
    ? `${whole(more)} images more, at least`
    : `${independent} of ${needed} independent images`;
}

/**
 * P-values over a logarithm, from 1 at the bottom to 1/1000 at the top: what stands up is strange.
 * @param {number[]} pValues
 */
function sparkPath(pValues) {
  const { width, height } = sparkSize;
  const bars = pValues.map((p, i) => {
    const tall = Math.max(1, (Math.min(3, -Math.log10(Math.max(p, 1e-9))) / 3) * height);
    return `M${((i + keptImages - pValues.length) * width) / keptImages} ${height}v${-tall.toFixed(1)}`;
  });
  return bars.join('') || 'M0 0';
}
