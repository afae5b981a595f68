// @ts-check
import { html } from './library.js';

/** @import { Kind, Tone } from './types.js' */

/** A verdict as a word on its colour. @param {{ verdict: Kind }} props */
export function VerdictTag({ verdict }) {
  return html`<b class=${`tag ${verdict}`}>${verdict}</b>`;
}

/** @param {{ tone: Tone | 'lost' }} props */
export function Dot({ tone }) {
  return html`<span class=${`dot ${tone}`} aria-hidden="true"></span>`;
}

/** A link to a page of the documents that came with this version. @param {{ page: string, children?: any }} props */
export function Manual({ page, children }) {
  return html`<a href=${`dashboard/manual/${page}.md`}>${children}</a>`;
}

/** Facts as a list of terms. @param {{ facts: ([string, any] | false | undefined | 0 | '')[] }} props */
export function Facts({ facts }) {
  return html`<dl class="facts">
    ${facts.map((fact) => fact && html`<dt>${fact[0]}</dt><dd>${fact[1]}</dd>`)}
  </dl>`;
}

/** @param {{ name: string, heads: string[], rows: any[] }} props */
export function PlainTable({ name, heads, rows }) {
  return html`<table class="plain">
    <caption>${name}</caption>
    <thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
    <tbody>${rows}</tbody>
  </table>`;
}

/**
 * Buttons of which one is chosen.
 * @param {{ label: string, names: readonly string[], chosen: string, onChoose: (name: any) => void }} props
 */
export function Choices({ label, names, chosen, onChoose }) {
  return html`<div class="choices" role="group" aria-label=${label}>
    ${names.map((name) => html`<button type="button" aria-pressed=${String(name === chosen)} onClick=${() => onChoose(name)}>${name}</button>`)}
  </div>`;
}
