import { follow, forget } from './api.js';
import { h } from './dom.js';

/**
 * A page is a function of the main element and its arguments, and returns what it wants to be told: `verdict` and `transition`
 * as they come, `refresh` about every second where anything came, `close` when another page is opened. Its code is loaded with it.
 */
const pages = {
  '': async () => (await import('./overview.js')).overviewPage,
  camera: async () => (await import('./camera.js')).cameraPage,
  quarantine: async () => (await import('./quarantine.js')).quarantinePage,
  profile: async () => (await import('./profile.js')).profilePage,
  try: async () => (await import('./try.js')).tryPage,
};

const main = document.getElementById('main');
const live = document.getElementById('live');
let page = {};
let isDirty = false;

async function open() {
  const [, name = '', argument = ''] = location.hash.split('/');
  page.close?.();
  page = {};
  for (const link of document.querySelectorAll('#nav a')) {
    const isHere = link.getAttribute('href') === `#/${name === 'camera' ? '' : name}`;
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const element = h('div', { class: 'page' });
  main.replaceChildren(element);
  try {
    const make = await pages[Object.hasOwn(pages, name) ? name : '']();
    const opened = (await make(element, decodeURIComponent(argument))) ?? {};
    // Another page may have been opened meanwhile.
    if (element.isConnected) page = opened;
    else opened.close?.();
  } catch (error) {
    const text = h('p', { class: 'error', role: 'alert' }, error.message);
    element.replaceChildren(h('header', { class: 'title' }, h('h1', {}, 'This page cannot be shown')), text);
  }
}

addEventListener('hashchange', () => {
  open();
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
});

let profile;
follow({
  onVerdict(verdict) {
    // Another Profile is in force: what is drawn is not what images are compared with.
    if (profile !== undefined && profile !== verdict.profile) {
      forget();
      open();
    }
    profile = verdict.profile;
    isDirty = true;
    page.verdict?.(verdict);
  },
  onTransition(transition) {
    isDirty = true;
    page.transition?.(transition);
  },
  onState(state) {
    live.textContent = state;
    live.dataset.state = state;
  },
});

let isBusy = false;
setInterval(async () => {
  if (!isDirty || isBusy || document.hidden || !page.refresh) return;
  isDirty = false;
  isBusy = true;
  await page.refresh().catch(() => undefined);
  isBusy = false;
}, 1000);

open();
