import { get, once } from './api.js';
import { clock, fact, h, percent, verdictTag } from './dom.js';
import { detectorsAndCauses, limitsText, loadComparison, reasonList, statisticsSection } from './verdict.js';

/** One image of the quarantine, with all that was said of it. @param state that of the list */
export async function itemPage(element, id, state) {
  const [found, profile, comparison] = await Promise.all([
    get(`/quarantine/${encodeURIComponent(id)}`),
    once('/profile'),
    loadComparison(),
  ]);
  const back = h('p', { class: 'eyebrow' }, h('a', { href: '#/quarantine' }, 'Quarantine'));
  if (!found) {
    const gone = h('h1', {}, 'This image is not there any more');
    element.append(h('header', { class: 'title' }, h('div', {}, back, gone)));
    return;
  }
  const { item, verdict, isAccepted } = found;
  const { source, at, format, bytes, requestId } = item;
  const { listed, told } = state;
  const place = listed.findIndex((other) => other.id === id);
  const toOther = (label, other) => other && h('a', { href: `#/quarantine/${other.id}` }, label);
  const { image } = verdict;
  const onDone = (done) => {
    const others = listed.filter((other) => other.id !== id);
    Object.assign(state, { told: done, listed: others });
    const following = others[place] ?? others.at(-1);
    location.hash = place >= 0 && following ? `#/quarantine/${following.id}` : '#/quarantine';
  };
  const status = h('p', { class: 'told', role: 'status' }, told ? `${told.text} This is the next one.` : '');
  state.told = undefined;
  element.append(
    h(
      'header',
      { class: 'title' },
      h('div', {}, back, h('h1', {}, source, ', ', h('time', { datetime: new Date(at).toISOString() }, clock(at)))),
      place >= 0 &&
        h(
          'nav',
          { 'aria-label': 'Images' },
          toOther('\u2190 Newer', listed[place - 1]),
          toOther('Older \u2192', listed[place + 1]),
        ),
    ),
    status,
    h(
      'div',
      { class: 'held' },
      h('figure', {}, h('img', { src: `/quarantine/${id}/image`, alt: `Image of ${source}, ${clock(at)}` })),
      h(
        'div',
        { class: 'said' },
        actions(item, isAccepted, onDone),
        h(
          'p',
          {},
          verdictTag(verdict.verdict),
          ` ${limitsText(verdict)}`,
          verdict.expectedFlipRate
            ? ` Expected share of changed answers: ${percent(verdict.expectedFlipRate.rate)}.`
            : '',
        ),
        reasonList(verdict.reasons),
        profile.sha256 !== verdict.profile.sha256 &&
          h('p', { class: 'soft' }, `Judged by another Profile than the one in force: ${verdict.profile.name}.`),
      ),
    ),
    statisticsSection('Statistics that moved', verdict.statistics, comparison),
    detectorsAndCauses(verdict),
    h(
      'section',
      {},
      h('h2', {}, 'What it is'),
      h(
        'dl',
        { class: 'facts' },
        fact('image', `${format} of ${image.width} \u00d7 ${image.height} pixels, ${Math.round(bytes / 1000)} kB`),
        fact('sha256', h('code', {}, id)),
        fact('request', h('code', {}, requestId)),
        fact('Profile', `${verdict.profile.name} (${verdict.profile.sha256.slice(0, 12)})`),
        verdict.nearest?.length > 0 && fact('most alike', verdict.nearest.map(({ path }) => path).join(', ')),
      ),
    ),
  );
}

/** What can be done with an image; what fails is told beside it. */
export function actions({ id, at, source, format }, isAccepted, onDone) {
  const failed = h('span', { class: 'bad', role: 'alert' });
  const which = `image of ${source}, ${clock(at)}`;
  const button = (label, act) =>
    h('button', { type: 'button', 'aria-label': `${label}: ${which}`, onclick: () => run(act, failed, onDone) }, label);
  const accept = async () => {
    await get(`/quarantine/${id}/accepted`, { method: 'PUT' });
    return { text: 'Accepted, for the next version of the Profile.', undo: putBack };
  };
  const putBack = async () => {
    await get(`/quarantine/${id}/accepted`, { method: 'DELETE' });
    return { text: 'Put back among the images to look at.' };
  };
  const discard = async () => {
    if (!confirm(`Delete the ${which} for good?`)) return undefined;
    await get(`/quarantine/${id}`, { method: 'DELETE' });
    return { text: 'Deleted.' };
  };
  const name = `${source}-${new Date(at).toISOString().replaceAll(':', '')}-${id.slice(0, 8)}.${format}`;
  return h(
    'div',
    { class: 'row actions' },
    isAccepted ? button('Put back', putBack) : button('Accept', accept),
    button('Discard', discard),
    h(
      'a',
      { class: 'button', href: `/quarantine/${id}/image`, download: name, 'aria-label': `Download: ${which}` },
      'Download',
    ),
    failed,
  );
}

/** Does what a button says and passes on what there is to tell; what fails is told in `failed`. */
export async function run(act, failed, onDone) {
  try {
    const done = await act();
    if (done) await onDone?.(done);
  } catch (error) {
    failed.textContent = error.message;
  }
}
