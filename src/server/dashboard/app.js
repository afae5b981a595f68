// @ts-check
import { Component, html, render } from './library.js';
import { Live } from './live.js';
import { Search } from './search.js';
import { clock, usesUtc, useUtc } from './words.js';

/** The code of a page is loaded with it. @type {Record<string, () => Promise<any>>} */
const pages = {
  '': async () => (await import('./overview.js')).OverviewPage,
  camera: async () => (await import('./camera.js')).CameraPage,
  quarantine: async () => (await import('./quarantine.js')).QuarantinePage,
  events: async () => (await import('./events.js')).EventsPage,
  service: async () => (await import('./service.js')).ServicePage,
  profile: async () => (await import('./profile.js')).ProfilePage,
  try: async () => (await import('./try.js')).TryPage,
};

/** The pages that the bar names. */
const links = [
  ['', 'Cameras'],
  ['quarantine', 'Quarantine'],
  ['events', 'Events'],
  ['profile', 'Profile'],
  ['try', 'Try it'],
  ['service', 'Service'],
];

/** @type {Record<string, string>} */
const icons = { good: 'good', bad: 'bad', watch: 'watch', unknown: 'lost', lost: 'lost' };

function readRoute() {
  const [, name = '', argument = ''] = location.hash.split('/');
  return { name: Object.hasOwn(pages, name) ? name : '', argument: decodeURIComponent(argument) };
}

/** The frame of every page: the bar, whether there is contact with the service, and the page that the address names. */
class App extends Component {
  #live = new Live();
  /** Pages drawn so far, so that a page that is opened again begins anew. */
  #opened = 0;
  /** @type {{ Page?: any, argument: string, name: string, key?: number, failure?: string }} */
  state = { ...readRoute() };

  componentDidMount() {
    useUtc(localStorage.getItem('utc') === 'true');
    this.#live.listen({ change: () => this.setState({}), profile: () => void this.#open() });
    addEventListener('hashchange', async () => {
      await this.#open();
      scrollTo(0, 0);
      document.getElementById('main')?.focus({ preventScroll: true });
    });
    void this.#live.start();
    void this.#open();
  }

  async #open() {
    const route = readRoute();
    const opened = ++this.#opened;
    try {
      const Page = await pages[route.name]();
      // Another page may have been opened meanwhile.
      if (opened === this.#opened) this.setState({ ...route, Page, key: opened, failure: undefined });
    } catch (error) {
      this.setState({ ...route, Page: undefined, failure: error instanceof Error ? error.message : String(error) });
    }
  }

  #toggleZone() {
    useUtc(!usesUtc());
    localStorage.setItem('utc', String(usesUtc()));
    void this.#open();
  }

  render() {
    const { Page, argument, name, key, failure } = this.state;
    const live = this.#live;
    const headline = live.headline();
    document.querySelector('link[rel=icon]')?.setAttribute('href', `dashboard/icon${suffixIcon(headline.tone)}.svg`);
    return html`<a class="skip" href="#main">Skip to the content</a>
      <header class="bar">
        <a class="brand" href="#/"><span class="mark" aria-hidden="true"></span><span class="name">Stopline</span></a>
        <nav id="nav" aria-label="Pages">
          ${links.map(([page, label]) => {
            const isHere = page === (name === 'camera' ? '' : name);
            return html`<a href=${`#/${page}`} aria-current=${isHere ? 'page' : undefined}>${label}</a>`;
          })}
        </nav>
        <${Search} live=${live} pages=${links} />
        <button type="button" class="zone" onClick=${() => this.#toggleZone()}
          title="Times as here or as UTC">${usesUtc() ? 'UTC' : 'local time'}</button>
        <${ContactMark} live=${live} />
      </header>
      <main id="main" tabindex="-1" class=${live.contact === 'lost' ? 'lost' : ''}>
        ${live.contact === 'lost' && name !== '' && html`<p class="band" role="alert"><b>${headline.text}.</b> ${headline.detail}</p>`}
        <div class="page" key=${key}>
          ${failure !== undefined && html`<p class="error" role="alert">This page cannot be loaded: ${failure}</p>`}
          ${Page && html`<${Page} live=${live} argument=${argument} />`}
        </div>
      </main>`;
  }
}

/** @param {string} tone */
function suffixIcon(tone) {
  return icons[tone] === undefined ? '' : `-${icons[tone]}`;
}

/** @param {{ live: Live }} props */
function ContactMark({ live }) {
  const { contact, heardAt } = live;
  /** @type {Record<string, string>} */
  const words = { connecting: 'connecting', live: 'live', polling: 'every 5 s', lost: 'no contact' };
  const since = contact === 'lost' && heardAt > 0 ? ` since ${clock(heardAt)}` : '';
  return html`<span id="live" class="live" role="status" data-state=${contact}>${words[contact]}<span class="since">${since}</span></span>`;
}

const root = document.getElementById('app');
if (root) render(html`<${App} />`, root);
