// @ts-check
import { readJournal, readStatistics } from './api.js';
import { Component, html } from './library.js';
import { clock } from './words.js';

/** @import { Live } from './live.js' */
/** @import { JournalEntry, Statistic } from './types.js' */

/** One thing that was found. @typedef {{ kind: string, text: string, remark?: string, hash: string }} Found */
/** @typedef {{ query: string, isOpen: boolean, entries: JournalEntry[], words: Statistic[] }} State */

/** How many of each kind are shown. */
const maxOfKind = 5;

/**
 * One field that finds cameras, events, statistics and pages, on every page; "/" goes to it.
 * @extends {Component<{ live: Live, pages: string[][] }, State>}
 */
export class Search extends Component {
  /** @type {State} */
  state = { query: '', isOpen: false, entries: [], words: [] };
  /** @type {HTMLElement | undefined} */
  #element;
  #press = (/** @type {KeyboardEvent} */ event) => {
    const isTyping = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#element?.querySelector('input')?.focus();
  };
  #leave = (/** @type {Event} */ event) => {
    if (event.target instanceof Node && !this.#element?.contains(event.target)) this.setState({ isOpen: false });
  };

  componentDidMount() {
    addEventListener('keydown', this.#press);
    addEventListener('focusin', this.#leave);
    addEventListener('click', this.#leave);
  }

  componentWillUnmount() {
    removeEventListener('keydown', this.#press);
    removeEventListener('focusin', this.#leave);
    removeEventListener('click', this.#leave);
  }

  /** What is searched is read when somebody begins to. */
  async #open() {
    this.setState({ isOpen: true });
    const [journal, words] = await Promise.allSettled([readJournal(), readStatistics()]);
    this.setState({
      entries: journal.status === 'fulfilled' ? journal.value.entries : [],
      words: words.status === 'fulfilled' ? [...words.value.values()] : [],
    });
  }

  /** @returns {Found[]} */
  #find() {
    const { query, entries, words } = this.state;
    const wanted = query.trim().toLowerCase();
    if (wanted === '') return [];
    /** @template Item @param {readonly Item[]} items @param {(item: Item) => string} read */
    const pick = (items, read) => items.filter((item) => read(item).toLowerCase().includes(wanted)).slice(0, maxOfKind);
    return [
      ...pick(this.props.live.cameras.list(), ({ source }) => source).map(({ source, title }) => ({
        kind: 'camera',
        text: source,
        remark: title,
        hash: `#/camera/${encodeURIComponent(source)}`,
      })),
      ...pick(this.props.pages, ([, label]) => label).map(([page, label]) => ({
        kind: 'page',
        text: label,
        hash: `#/${page}`,
      })),
      ...pick(words, ({ name, label }) => `${name} ${label}`).map(({ name, label }) => ({
        kind: 'statistic',
        text: label,
        remark: name,
        hash: `#/profile/${name}`,
      })),
      ...pick(entries, ({ source, text }) => `${source} ${text}`).map(({ at, source, text }) => ({
        kind: 'event',
        text: `${source === undefined ? '' : `${source}: `}${text}`,
        remark: clock(at),
        hash: `#/events/${encodeURIComponent(wanted)}`,
      })),
    ];
  }

  /** @param {KeyboardEvent} event @param {Found[]} found */
  #takeKey(event, found) {
    if (event.key === 'Escape') this.#close();
    if (event.key === 'Enter' && found.length > 0) {
      location.hash = found[0].hash;
      this.#close();
    }
  }

  #close() {
    this.setState({ query: '', isOpen: false });
  }

  /** @param {unknown} _props @param {State} state */
  render(_props, { query, isOpen }) {
    const found = isOpen ? this.#find() : [];
    const isTold = isOpen && query.trim() !== '';
    return html`<search class="search" ref=${(/** @type {HTMLElement | null} */ element) => {
      this.#element = element ?? undefined;
    }}>
      <input type="search" placeholder="Find" aria-label="Find on any page" value=${query} title="Press / to come here"
        onFocus=${() => this.#open()} onKeyDown=${(/** @type {KeyboardEvent} */ event) => this.#takeKey(event, found)}
        onInput=${(/** @type {any} */ { target }) => this.setState({ query: target.value, isOpen: true })} />
      ${
        isTold &&
        html`<div class="found" role="region" aria-label="Found" aria-live="polite">
        ${
          found.length === 0
            ? html`<p class="soft">Nothing is called that.</p>`
            : html`<ul>${found.map(
                ({ kind, text, remark, hash }) =>
                  html`<li><a href=${hash} onClick=${() => this.#close()}><small>${kind}</small> ${text} ${remark && html`<small>${remark}</small>`}</a></li>`,
              )}</ul>`
        }</div>`
      }
    </search>`;
  }
}
