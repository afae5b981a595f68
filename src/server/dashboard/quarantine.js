import { get } from './api.js';
import { clock, count, h, pText, show, verdictTag } from './dom.js';
import { actions, itemPage, run } from './item.js';

const pageSize = 24;

/** Kept while other pages are open, so that whoever comes back goes on where they were. */
const state = {
  accepted: false,
  verdict: '',
  source: '',
  /** The images that are shown, newest first. */
  listed: [],
  /** What was done last, for the page that opens after it. */
  told: undefined,
};

/** Images that were stopped, for people to look at: is each of them as it should be? */
export function quarantinePage(element, id) {
  return id ? itemPage(element, id, state) : listPage(element);
}

/** @returns one page of them; undefined where the service keeps none */
function load(more = {}) {
  const query = new URLSearchParams({ limit: pageSize, accepted: state.accepted, ...more });
  for (const name of ['verdict', 'source']) if (state[name]) query.set(name, state[name]);
  return get(`/quarantine?${query}`);
}

async function listPage(element) {
  const first = await load();
  if (!first) return void element.append(...turnedOff());
  /** Where the images go on that are not shown. */
  let next;
  const lead = h('p', { class: 'lead' });
  const trouble = h('div');
  const filters = h('div', { class: 'filters' });
  const status = h('p', { class: 'told', role: 'status' });
  const after = h('div');
  const grid = h('div', { class: 'strange' });
  const empty = h('p', { class: 'soft' });
  const newer = h('button', { type: 'button', hidden: true, onclick: () => run(draw, status) }, 'Show new images');
  const older = h('button', { type: 'button', onclick: () => run(loadOlder, status) }, 'Show older images');
  const title = h('div', {}, h('h1', {}, 'Quarantine'), lead);
  element.append(
    h('header', { class: 'title' }, title),
    trouble,
    h('div', { class: 'row' }, filters, status),
    after,
    newer,
    grid,
    empty,
    h('p', { class: 'more' }, older),
  );

  function describe({ count: images, accepted, bytes, place, degraded, waiting, sources }) {
    show(
      lead,
      images === 0 ? 'No image to look at' : `${count(images, 'image')} to look at (${megabytes(bytes)})`,
      accepted > 0 && `, ${accepted} accepted`,
      '; kept in ',
      h('code', {}, place),
      '.',
    );
    show(
      trouble,
      degraded &&
        h(
          'p',
          { class: 'error' },
          `It cannot be written to for now, and ${count(waiting, 'image')} wait in memory: ${degraded}`,
        ),
    );
    show(after, state.accepted && accepted > 0 && howToFold(place));
    const names = [...new Set([...sources, state.source].filter(Boolean))].sort();
    const chosen = filters.querySelector(':focus')?.id;
    filters.replaceChildren(
      choices(['to look at', 'accepted'], state.accepted ? 'accepted' : 'to look at', (name) => {
        Object.assign(state, { accepted: name === 'accepted', verdict: '', source: '' });
        run(draw, status);
      }),
      select('verdict', 'Verdict', ['warn', 'block']),
      select('source', 'Camera', names),
    );
    if (chosen) document.getElementById(chosen)?.focus();
  }

  function select(name, label, values) {
    const options = ['', ...values].map((value) =>
      h('option', { value, selected: value === state[name] }, value || 'all'),
    );
    const field = h('select', { id: `by-${name}` }, options);
    field.addEventListener('change', () => {
      state[name] = field.value;
      run(draw, status);
    });
    return h('label', { for: `by-${name}` }, label, field);
  }

  async function draw() {
    put(await load());
  }

  function put(found) {
    state.listed = found.items;
    next = found.next;
    describe(found);
    grid.replaceChildren(...state.listed.map(card));
    finish();
    newer.hidden = true;
  }

  async function loadOlder() {
    const found = await load({ before: next });
    const place = state.listed.length;
    state.listed = [...state.listed, ...found.items];
    next = found.next;
    grid.append(...found.items.map(card));
    finish();
    grid.children[place]?.querySelector('a').focus();
  }

  function finish() {
    older.hidden = next === undefined;
    const isFiltered = state.verdict !== '' || state.source !== '';
    const none = state.accepted ? 'No image was accepted yet.' : 'Every image passed, or was looked at.';
    show(empty, state.listed.length === 0 && (isFiltered ? 'No image is like that.' : none));
  }

  function card(item) {
    const { id, at, source, verdict, pValue, reason } = item;
    const article = h(
      'article',
      {},
      h(
        'a',
        { href: `#/quarantine/${id}`, 'aria-label': `Look at the image of ${source}, ${clock(at)}` },
        h('img', { src: `/quarantine/${id}/thumbnail`, alt: '', loading: 'lazy' }),
      ),
      h(
        'p',
        { class: 'row' },
        verdictTag(verdict),
        h('span', {}, `p ${pText(pValue)}`),
        h('b', {}, source),
        h('time', { class: 'soft', datetime: new Date(at).toISOString() }, clock(at)),
      ),
      h('p', {}, reason ?? 'No single statistic stands out.'),
      actions(item, state.accepted, async (done) => {
        const place = [...grid.children].indexOf(article);
        const action = [...article.querySelectorAll('button')].indexOf(document.activeElement);
        state.listed = state.listed.filter((other) => other.id !== id);
        article.remove();
        tell(done);
        if (state.listed.length === 0) await draw();
        else describe(await load({ limit: 1 }));
        finish();
        // Whoever goes through them with the keyboard is already at the next one.
        const neighbour = grid.children[place] ?? grid.lastElementChild;
        neighbour?.querySelectorAll('button')[Math.max(0, action)]?.focus();
      }),
    );
    return article;
  }

  function tell(done) {
    state.told = undefined;
    const undone = async (told) => {
      await draw();
      tell(told);
      grid.querySelector('button')?.focus();
    };
    const undo = done?.undo && h('button', { type: 'button', onclick: () => run(done.undo, status, undone) }, 'Undo');
    status.replaceChildren(...(done ? [`${done.text} `, ...(undo ? [undo] : [])] : []));
  }

  put(first);
  tell(state.told);
  return {
    async refresh() {
      const [newest] = (await load({ limit: 1 })).items;
      newer.hidden =
        !newest || state.listed.some(({ id }) => id === newest.id) || newest.at < (state.listed[0]?.at ?? 0);
    },
  };
}

/** Accepting changes nothing by itself, so this is said where accepted images are. */
function howToFold(place) {
  const folder = `${place.replace(/\/+$/, '')}/accepted/`;
  const word = /^[\w./:-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", "'\\''")}'`;
  return h(
    'section',
    { class: 'now' },
    h('h2', {}, 'To make these normal'),
    h(
      'p',
      { class: 'soft' },
      'Nothing has changed yet: images like these are still stopped. This fits a new version of the Profile on its reference and on them, and before it writes says what is lost by that. A service that watches the file takes it by itself.',
    ),
    h(
      'pre',
      {},
      h(
        'code',
        {},
        `stopline profile accept ${word} \\\n  --profile camera.stopline --reference drives/ --out next.stopline`,
      ),
    ),
  );
}

function turnedOff() {
  return [
    h(
      'header',
      { class: 'title' },
      h(
        'div',
        {},
        h('h1', {}, 'Quarantine'),
        h('p', { class: 'lead' }, 'This service keeps no images. Tell it where, a folder or a bucket, and it does:'),
      ),
    ),
    h(
      'div',
      { class: 'empty' },
      h(
        'pre',
        {},
        h('code', {}, 'stopline serve --profile camera.stopline --quarantine kept/\n# or s3://bucket/prefix'),
      ),
      h(
        'p',
        { class: 'soft' },
        'Images that are warned about or blocked are then kept here with their verdicts, at most 10\u202f000 of them, 1 GiB and 30 days unless other settings say so.',
      ),
    ),
  ];
}

function choices(names, chosen, onChoose) {
  const button = (name) =>
    h(
      'button',
      {
        type: 'button',
        id: `show-${name.replaceAll(' ', '-')}`,
        'aria-pressed': String(name === chosen),
        onclick: () => onChoose(name),
      },
      name,
    );
  return h('div', { class: 'choices', role: 'group', 'aria-label': 'Which images' }, names.map(button));
}

function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${Math.round(bytes / 1e5) / 10} MB`;
}
