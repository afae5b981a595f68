// @ts-check
import { Component, html } from './library.js';

/** @import { Live } from './live.js' */
/** @import { TransitionEvent, VerdictEvent } from './types.js' */

/**
 * @typedef {object} PageProps
 * @property {Live} live
 * @property {string} argument what stands in the address behind the name of the page
 */

const refreshMs = 1000;

/**
 * A page that follows the service: it loads when it is opened, refreshes about once a second where anything came for it, and
 * lets go of everything when another page is opened.
 * @template {object} State
 * @extends {Component<PageProps, State & { failure?: string }>}
 */
export class LivePage extends Component {
  #isDirty = false;
  #isBusy = false;
  /** @type {(() => void) | undefined} */
  #forget;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #press = (/** @type {KeyboardEvent} */ event) => void this.takeKey(event);

  componentDidMount() {
    addEventListener('keydown', this.#press);
    this.#forget = this.props.live.listen({
      verdict: (event) => this.takeVerdict(event),
      transition: (event) => this.takeTransition(event),
      missed: () => void this.#load(),
      change: () => this.setState({}),
    });
    this.#timer = setInterval(() => void this.#refresh(), refreshMs);
    void this.#load();
  }

  componentDidUpdate() {
    this.#setTitle();
  }

  componentWillUnmount() {
    removeEventListener('keydown', this.#press);
    this.#forget?.();
    clearInterval(this.#timer);
  }

  /** The page's part of the title of the window. */
  title() {
    return '';
  }

  /** Reads what the page shows. */
  async load() {}

  /** Reads what has come since. */
  async refresh() {
    await this.load();
  }

  /** @param {VerdictEvent} _event */
  takeVerdict(_event) {
    this.markDirty();
  }

  /** @param {TransitionEvent} _event */
  takeTransition(_event) {
    this.markDirty();
  }

  /** What a key does on this page. @param {KeyboardEvent} _event */
  async takeKey(_event) {}

  /** What is shown has changed in the service. */
  markDirty() {
    this.#isDirty = true;
  }

  /** @param {State} _state */
  draw(_state) {
    return html``;
  }

  render() {
    const { failure } = this.state;
    if (failure === undefined) return this.draw(this.state);
    return html`<header class="title"><h1>This page cannot be shown</h1></header>
      <p class="error" role="alert">${failure}</p>`;
  }

  async #load() {
    try {
      await this.load();
      this.setState({ failure: undefined });
    } catch (error) {
      // Contact is lost: the page keeps what it shows, and its head says so.
      if (error instanceof TypeError && this.props.live.contact === 'lost') return;
      // @ts-expect-error a part of a generic state
      this.setState({ failure: error instanceof Error ? error.message : String(error) });
    }
  }

  async #refresh() {
    if (!this.#isDirty || this.#isBusy || document.hidden) return;
    this.#isDirty = false;
    this.#isBusy = true;
    await this.refresh().catch(() => this.markDirty());
    this.#isBusy = false;
  }

  /** Who has many windows open reads there whether all is well. */
  #setTitle() {
    const { title, tone } = this.props.live.headline();
    const isTold = tone !== 'good' || this.title() === '';
    document.title = [this.title(), isTold && title, 'Stopline'].filter(Boolean).join(' \u00b7 ');
  }
}
