// @ts-check
import { readJournal } from './api.js';
import { html, loadStyle } from './library.js';
import { LivePage } from './page.js';
import { Choices, Manual } from './parts.js';
import { clock, dayOfYear } from './words.js';

/** @import { JournalAnswer, JournalEntry } from './types.js' */

await loadStyle('events.css');

const kinds = {
  all: 'all',
  states: 'state',
  images: 'attention',
  alerts: 'alert',
  Profiles: 'profile',
  unjudged: 'unjudged',
  refusals: 'refusal',
  cameras: 'camera',
};
/** @type {Record<JournalEntry['kind'], string>} */
const kindWords = {
  state: 'state',
  attention: 'images',
  alert: 'alert',
  profile: 'Profile',
  unjudged: 'unjudged',
  refusal: 'refused',
  camera: 'camera',
};

/** @typedef {{ journal?: JournalAnswer, kind: keyof typeof kinds, filter: string }} State */

/** What happened: changes of state, blocked images, alerts, Profiles, what was let through unjudged, refusals. @extends {LivePage<State>} */
export class EventsPage extends LivePage {
  /** @type {State} */
  state = { kind: 'all', filter: this.props.argument.toLowerCase() };

  title() {
    return 'Events';
  }

  async load() {
    this.setState({ journal: await readJournal() });
  }

  /** @param {State} state */
  draw({ journal, kind, filter }) {
    const entries = (journal?.entries ?? []).filter(
      (entry) =>
        (kind === 'all' || entry.kind === kinds[kind]) &&
        `${entry.source} ${entry.text}`.toLowerCase().includes(filter),
    );
    return html`<header class="title"><div><h1>Events</h1>
        <p class="lead">What happened, newest first. ${journal && `Before ${clock(journal.since)}, when the service started, only changes of state are known.`} <${Manual} page="operations">What each means, and alerts<//></p></div></header>
      <div class="row"><${Choices} label="Which events" names=${Object.keys(kinds)} chosen=${kind} onChoose=${(/** @type {State['kind']} */ name) => this.setState({ kind: name })} />
        <input type="search" placeholder="Find a camera or a word" aria-label="Find a camera or a word" value=${filter} onInput=${(/** @type {any} */ { target }) => this.setState({ filter: target.value.toLowerCase() })} /></div>
      ${journal && entries.length === 0 && html`<p class="soft">${journal.entries.length === 0 ? 'Nothing has happened yet.' : 'No event is like that.'}</p>`}
      <ol class="events">${entries.map((entry, i) => drawEntry(entry, entries[i - 1]))}</ol>`;
  }
}

/** @param {JournalEntry} entry @param {JournalEntry} [before] */
function drawEntry({ at, kind, isTrouble, source, text, times = 1 }, before) {
  const day = dayOfYear(at);
  const isNewDay = before !== undefined && day !== dayOfYear(before.at);
  return html`${isNewDay && html`<li class="day">${day}</li>`}
    <li class=${isTrouble ? 'trouble' : ''}><time datetime=${new Date(at).toISOString()}>${clock(at)}</time>
      <span class="kind">${kindWords[kind]}</span>
      <span class="what">${source !== undefined && html`<a href=${`#/camera/${encodeURIComponent(source)}`}>${source}</a> `}${text}${times > 1 && html` <b>${times} times</b>`}</span></li>`;
}
