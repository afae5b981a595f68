import { get, once } from './api.js';
import { ago, answerOf, clock, count, h, percent, pText, s, show } from './dom.js';

/** P-values of a camera that its line shows. */
const sparkLength = 60;
const sparkSize = { width: 180, height: 28 };
/** Lines beyond this are drawn when the filter brings them up. */
const maxLines = 200;

/** Every camera in a line: can the classifier be trusted right now? */
export async function overviewPage(element) {
  const cameras = new Map();
  const lines = new Map();
  let filter = '';
  let isDrawn = true;

  const load = async () => {
    const [drift, recent] = await Promise.all([get('/drift?limit=1000'), get('/recent')]);
    for (const { source, pValue, counts, images, at } of recent ?? []) {
      const camera = cameras.get(source) ?? { source };
      cameras.set(source, { ...camera, pValues: pValue, counts, images, lastAt: at });
    }
    for (const summary of drift?.sources ?? []) {
      cameras.set(summary.source, { pValues: [], ...cameras.get(summary.source), ...summary });
    }
  };
  const [profile] = await Promise.all([once('/profile'), load()]);
  const limits = profile.falseAlarmRate.promised;

  const headline = h('h1');
  const detail = h('p', { class: 'lead' });
  const search = h('input', {
    type: 'search',
    placeholder: 'Find a camera',
    'aria-label': 'Find a camera',
    oninput: () => {
      filter = search.value.toLowerCase();
      draw();
    },
  });
  const body = h('tbody');
  const head = h(
    'thead',
    {},
    h(
      'tr',
      {},
      ...['Camera', 'Trust it?', 'Since', 'Likely cause', 'Stopped', 'p-values, latest right', 'Last image'].map(
        (text) => h('th', { scope: 'col' }, text),
      ),
    ),
  );
  const table = h('table', { class: 'cameras' }, head, body);
  const empty = h('div', { class: 'empty' });
  element.append(h('header', { class: 'title' }, h('div', {}, headline, detail), search), table, empty);

  function draw() {
    isDrawn = true;
    const all = [...cameras.values()]
      .map((camera) => ({
        ...camera,
        ...answerOf(camera.state, camera.pValues, limits.block),
        stopped: stoppedOf(camera),
      }))
      .sort((a, b) => rank(a) - rank(b) || (a.source < b.source ? -1 : 1));
    const [words, more] = sentence(all);
    show(headline, words);
    show(detail, more);
    search.hidden = all.length < 8;
    table.hidden = all.length === 0;
    show(
      empty,
      all.length === 0 && [
        h('p', {}, 'No camera has sent an image yet. Send one:'),
        h(
          'pre',
          {},
          h(
            'code',
            {},
            `curl --data-binary @frame.jpg -H 'content-type: image/jpeg' \\\n  '${location.origin}/inspect?source=front'`,
          ),
        ),
      ],
    );
    const shown = all.filter(({ source }) => source.toLowerCase().includes(filter)).slice(0, maxLines);
    const places = shown.map((camera) => {
      const line = lines.get(camera.source) ?? cameraLine(camera.source);
      lines.set(camera.source, line);
      line.update(camera);
      return line.element;
    });
    arrange(body, places);
  }

  /** Share of the last images that were warned about or blocked. */
  function stoppedOf({ pValues }) {
    return pValues.length === 0 ? undefined : pValues.filter((p) => p <= limits.warn).length / pValues.length;
  }

  /** Bursts of verdicts are drawn together. */
  const later = () => {
    if (!isDrawn) return;
    isDrawn = false;
    setTimeout(() => requestAnimationFrame(draw), 250);
  };
  draw();
  const ticking = setInterval(later, 5000);
  return {
    verdict({ source, at, pValue }) {
      const camera = cameras.get(source) ?? { source, pValues: [], state: 'learning', since: at };
      camera.pValues = [...camera.pValues.slice(1 - sparkLength), pValue];
      camera.lastAt = at;
      cameras.set(source, camera);
      later();
    },
    async transition(transition) {
      if (!transition) await load();
      else {
        const { source, to, at, causes } = transition;
        cameras.set(source, {
          pValues: [],
          ...cameras.get(source),
          source,
          state: to,
          since: at,
          cause: causes?.[0]?.cause,
        });
      }
      later();
    },
    close: () => clearInterval(ticking),
  };
}

/** Trouble first. */
function rank({ tone }) {
  return ['bad', 'watch', 'quiet', 'good'].indexOf(tone);
}

function sentence(all) {
  const of = (tone) => all.filter((camera) => camera.tone === tone);
  const [bad, watch, good] = [of('bad'), of('watch'), of('good')];
  if (all.length === 0) return ['No images yet', ''];
  const quiet = all.length - bad.length - watch.length - good.length;
  const rest = [
    good.length > 0 && `${count(good.length, 'camera')} like the reference`,
    watch.length > 0 && `${watch.length} to look at`,
    quiet > 0 && `${quiet} still learning`,
  ].filter(Boolean);
  if (bad.length > 0) {
    const [first] = bad;
    const who = bad.length === 1 ? first.source : `${count(bad.length, 'camera')} of ${all.length}`;
    const why = bad.length === 1 && first.cause ? `, likely ${first.cause}` : '';
    return [
      `Do not trust the classifier on ${who}`,
      [`${bad.length === 1 ? `Since ${clock(first.since)}${why}. ` : ''}`, rest.join(', ')].join(''),
    ];
  }
  if (watch.length > 0)
    return [
      `${count(watch.length, 'camera')} to look at`,
      rest.filter((text) => !text.endsWith('to look at')).join(', '),
    ];
  if (good.length === 0) return ['Still learning', 'Too few images yet to say whether they are like the reference.'];
  return ['The classifier can be trusted', rest.join(', ')];
}

/** A line of the table, of which only what is another text is changed: a hundred of them are drawn four times a second. */
function cameraLine(source) {
  const dot = h('span', { 'aria-hidden': 'true' });
  const [answer, state] = [h('b'), h('small')];
  const since = h('time');
  const sinceCell = h('td', { 'data-label': 'since' }, since);
  const cause = h('td', { 'data-label': 'cause' });
  const stopped = h('td', { 'data-label': 'stopped' });
  const bars = s('path');
  const spark = s(
    'svg',
    { viewBox: `0 0 ${sparkSize.width} ${sparkSize.height}`, preserveAspectRatio: 'none', role: 'img' },
    bars,
  );
  const last = h('td', { 'data-label': 'last image' });
  const element = h(
    'tr',
    {},
    h('th', { scope: 'row' }, h('a', { href: `#/camera/${encodeURIComponent(source)}` }, source)),
    h('td', { class: 'state' }, dot, answer, state),
    sinceCell,
    cause,
    stopped,
    h('td', { class: 'spark' }, spark),
    last,
  );
  let drawn;
  return {
    element,
    update(camera) {
      const { tone, pValues, lastAt } = camera;
      put(element, 'class', tone);
      put(dot, 'class', `dot ${tone}`);
      say(answer, camera.answer);
      say(state, camera.state ?? 'not watched');
      say(since, camera.since ? ago(camera.since) : '\u2013');
      if (camera.since) {
        put(since, 'datetime', new Date(camera.since).toISOString());
        put(since, 'title', clock(camera.since));
      }
      const isTold = tone !== 'good' && camera.cause;
      say(cause, isTold ? camera.cause : '\u2013');
      put(cause, 'class', isTold ? '' : 'none');
      say(stopped, camera.stopped === undefined ? '\u2013' : percent(camera.stopped));
      say(last, lastAt ? `${ago(lastAt)} ago` : '\u2013');
      if (drawn === pValues) return;
      drawn = pValues;
      bars.setAttribute('d', sparkPath(pValues) || 'M0 0');
      const lowest = pValues.length === 0 ? 'none' : pText(Math.min(...pValues));
      spark.setAttribute('aria-label', `Last ${pValues.length} p-values, smallest ${lowest}`);
    },
  };
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function put(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Leaves what stands where it belongs, so that nothing is laid out for nothing. */
function arrange(parent, elements) {
  let at = parent.firstChild;
  for (const element of elements) {
    if (element === at) at = at.nextSibling;
    else parent.insertBefore(element, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** P-values over a logarithm, from 1 at the bottom to 1/1000 at the top: what stands up is strange. */
function sparkPath(pValues) {
  const { width, height } = sparkSize;
  return pValues
    .map((p, i) => {
      const tall = Math.max(1, (Math.min(3, -Math.log10(Math.max(p, 1e-9))) / 3) * height);
      return `M${((i + sparkLength - pValues.length) * width) / sparkLength} ${height}v${-tall.toFixed(1)}`;
    })
    .join('');
}
