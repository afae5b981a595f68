// @ts-check
import { groupEpisodes } from './episodes.js';
import { html, loadStyle } from './library.js';
import { LivePage } from './page.js';
import { Choices, Manual, VerdictTag } from './parts.js';
import { Triage } from './triage.js';
import { clock, count, megabytes, pText } from './words.js';

/**
 * @import { Episode } from './episodes.js'
 * @import { PageProps } from './page.js'
 * @import { QuarantineItem, QuarantineList } from './types.js'
 */

await loadStyle('quarantine.css');

const triage = new Triage();

/** Images that were stopped, for people to look at: is each of them as it should be? @param {PageProps} props */
export function QuarantinePage({ live, argument }) {
  if (argument === '') return html`<${ListPage} live=${live} argument="" />`;
  return html`<${ItemLoader} key=${argument} live=${live} argument=${argument} />`;
}

/** The code of one image's page is loaded with the first one. @extends {LivePage<{ Page?: any }>} */
class ItemLoader extends LivePage {
  state = {};

  async load() {
    const { ItemPage } = await import('./item.js');
    this.setState({ Page: ItemPage });
  }

  title() {
    return 'Quarantine';
  }

  /** @param {{ Page?: any }} state */
  draw({ Page }) {
    return Page && html`<${Page} ...${this.props} triage=${triage} />`;
  }
}

/** What keys do. */
const keys =
  'Keys: J and K next and previous, Enter open, A accept, D discard, X select, Shift+A select the whole episode, Ctrl+A all, Esc none, U undo.';

/** @extends {LivePage<{ isLoaded: boolean, isOff: boolean }>} */
class ListPage extends LivePage {
  state = { isLoaded: false, isOff: false };

  title() {
    const open = triage.about?.count ?? 0;
    return open > 0 ? `Quarantine (${open})` : 'Quarantine';
  }

  async load() {
    const found = await triage.load();
    this.setState({ isLoaded: true, isOff: !found });
  }

  async refresh() {
    await triage.look();
    this.setState({});
  }

  /** @param {KeyboardEvent} event */
  async takeKey(event) {
    const isTyping = event.target instanceof HTMLElement && event.target.matches('input:not([type=checkbox]), select');
    if (isTyping || event.altKey || triage.items.length === 0) return;
    const isCommand = event.ctrlKey || event.metaKey;
    const key = isCommand ? `ctrl+${event.key.toLowerCase()}` : event.key === 'A' ? 'A' : event.key.toLowerCase();
    // A button or a link that has the focus does what it says.
    const isOnControl = event.target instanceof HTMLElement && event.target.matches('a, button, input, summary');
    const act = this.#actions()[key];
    if (!act || (key === 'enter' && isOnControl)) return;
    event.preventDefault();
    await this.#run(act)();
    this.setState({}, () => this.#showCurrent());
  }

  /** @returns {Record<string, () => unknown>} by key */
  #actions() {
    const { items, current } = triage;
    const item = items.find(({ id }) => id === current);
    const episode = groupEpisodes(items).find((candidate) => item && candidate.items.includes(item));
    return {
      j: () => triage.move(1),
      arrowright: () => triage.move(1),
      k: () => triage.move(-1),
      arrowleft: () => triage.move(-1),
      x: () => current !== undefined && triage.toggle(current),
      A: () => episode && triage.toggleAll(episode.items),
      'ctrl+a': () => triage.toggleAll(items),
      enter: () => {
        if (current !== undefined) location.hash = `#/quarantine/${current}`;
      },
      a: () => this.#accept(triage.targets()),
      d: () => triage.discard(triage.targets()),
      u: () => triage.undo(),
      escape: () => triage.selected.clear(),
    };
  }

  /** @param {string[]} ids */
  async #accept(ids) {
    await triage.accept(ids, !triage.filter.accepted);
    await triage.look();
  }

  #showCurrent() {
    const card = document.getElementById(`image-${triage.current}`);
    card?.focus({ preventScroll: true });
    card?.scrollIntoView({ block: 'nearest' });
  }

  /** @param {() => unknown} act */
  #run(act) {
    return async () => {
      try {
        await act();
      } catch (error) {
        triage.message = error instanceof Error ? error.message : String(error);
      }
      this.setState({});
    };
  }

  /** @param {Partial<typeof triage.filter>} filter */
  #choose(filter) {
    Object.assign(triage.filter, filter);
    return this.#run(() => triage.load())();
  }

  /** @param {{ isLoaded: boolean, isOff: boolean }} state */
  draw({ isLoaded, isOff }) {
    if (isOff) return drawTurnedOff();
    const { about, items, filter, hasNewer } = triage;
    if (!isLoaded || !about) return html`<header class="title"><h1>Quarantine</h1></header>`;
    const episodes = groupEpisodes(items);
    return html`${drawHead(about)} ${this.#drawFilters(about)}
      ${filter.accepted && about.accepted > 0 && drawHowToFold(about.kind)}
      <p class="newer" aria-live="polite"><button type="button" hidden=${!hasNewer} onClick=${this.#run(() => triage.load())}>Show new images</button></p>
      ${items.length === 0 && html`<p class="soft">${tellNone(filter)}</p>`}
      ${episodes.map((episode) => this.#drawEpisode(episode))}
      ${about.next !== undefined && html`<p class="more"><button type="button" onClick=${this.#run(() => triage.loadOlder())}>Show older images</button></p>`}
      ${items.length > 0 && this.#drawTray()}`;
  }

  /** @param {QuarantineList} about */
  #drawFilters({ sources }) {
    const { accepted, verdict, source } = triage.filter;
    const names = [...new Set([...sources, source].filter(Boolean))].sort();
    return html`<div class="filters">
      <${Choices} label="Which images" names=${['to look at', 'accepted']} chosen=${accepted ? 'accepted' : 'to look at'}
        onChoose=${(/** @type {string} */ name) => this.#choose({ accepted: name === 'accepted', verdict: '', source: '' })} />
      ${this.#drawSelect('Verdict', ['warn', 'block'], verdict, (value) => ({ verdict: value }))}
      ${this.#drawSelect('Camera', names, source, (value) => ({ source: value }))}
    </div>`;
  }

  /** @param {string} label @param {string[]} values @param {string} chosen @param {(value: string) => Partial<typeof triage.filter>} make */
  #drawSelect(label, values, chosen, make) {
    return html`<label>${label}<select onChange=${(/** @type {any} */ { target }) => this.#choose(make(target.value))}>
      ${['', ...values].map((value) => html`<option value=${value} selected=${value === chosen}>${value || 'all'}</option>`)}
    </select></label>`;
  }

  /** @param {Episode} episode */
  #drawEpisode({ key, source, kind, from, to, items }) {
    const open = items.filter(({ id }) => !triage.done.has(id));
    const ids = open.map(({ id }) => id);
    const areAll = open.length > 0 && open.every(({ id }) => triage.selected.has(id));
    const what = `${source}, ${kind}`;
    return html`<section class="episode" key=${key}>
      <header class="row">
        <input type="checkbox" checked=${areAll} disabled=${open.length === 0} aria-label=${`Select all: ${what}`} onChange=${this.#run(() => triage.toggleAll(items))} />
        <h2><a href=${`#/camera/${encodeURIComponent(source)}`}>${source}</a>: ${kind}</h2>
        <span class="soft">${clock(from)}${to - from >= 60_000 && ` to ${clock(to)}`}, ${count(items.length, 'image')}${open.length < items.length && `, ${open.length} left`}</span>
        <span class="actions">
          <button type="button" disabled=${open.length === 0} aria-label=${`${acceptWord()} all: ${what}`} onClick=${this.#run(() => this.#accept(ids))}>${acceptWord()} all</button>
          <button type="button" disabled=${open.length === 0} aria-label=${`Discard all: ${what}`} onClick=${this.#run(() => triage.discard(ids))}>Discard all</button>
        </span>
      </header>
      <div class="cards">${items.map((item) => this.#drawCard(item))}</div>
    </section>`;
  }

  /** @param {QuarantineItem} item */
  #drawCard(item) {
    const { id, at, source, verdict, pValue, reason } = item;
    const done = triage.done.get(id);
    const isSelected = triage.selected.has(id);
    const isCurrent = triage.current === id;
    const which = `image of ${source}, ${clock(at)}`;
    return html`<article key=${id} id=${`image-${id}`} tabindex="-1" class=${`${done ? 'done' : ''} ${isSelected ? 'selected' : ''} ${isCurrent ? 'current' : ''}`}
        onFocusIn=${() => {
          if (triage.current !== id) {
            triage.current = id;
            this.setState({});
          }
        }}>
      <a href=${`#/quarantine/${id}`} aria-label=${`Look at the ${which}`}><img src=${`quarantine/${id}/thumbnail`} alt="" loading="lazy" /></a>
      <p class="row"><label class="pick"><input type="checkbox" checked=${isSelected} disabled=${done !== undefined} aria-label=${`Select: ${which}`} onChange=${this.#run(() => triage.toggle(id))} /></label>
        <${VerdictTag} verdict=${verdict} /><span>p ${pText(pValue)}</span><time class="soft" datetime=${new Date(at).toISOString()}>${clock(at)}</time></p>
      <p class="reason" title=${reason}>${reason ?? 'No single statistic stands out.'}</p>
      <p class="row actions">
        ${
          done
            ? html`<b>${done}</b>`
            : html`<button type="button" aria-label=${`${acceptWord()}: ${which}`} onClick=${this.#run(() => this.#accept([id]))}>${acceptWord()}</button>
          <button type="button" aria-label=${`Discard: ${which}`} onClick=${this.#run(() => triage.discard([id]))}>Discard</button>`
        }
      </p>
    </article>`;
  }

  /** What was done last, and what can be done with the selected; always there, so that nothing moves. */
  #drawTray() {
    const { selected, message, step } = triage;
    return html`<div class="tray"><p class="told" role="status">${message} ${step && html`<button type="button" onClick=${this.#run(() => triage.undo())}>Undo</button>`}</p>
      ${
        selected.size > 0
          ? html`<p class="row">${selected.size} selected:
        <button type="button" onClick=${this.#run(() => this.#accept(triage.targets()))}>${acceptWord()} selected</button>
        <button type="button" onClick=${this.#run(() => triage.discard(triage.targets()))}>Discard selected</button></p>`
          : html`<p class="keys soft">${keys}</p>`
      }</div>`;
  }
}

function acceptWord() {
  return triage.filter.accepted ? 'Put back' : 'Accept';
}

/** @param {typeof triage.filter} filter */
function tellNone({ accepted, verdict, source }) {
  if (verdict !== '' || source !== '') return 'No image is like that.';
  return accepted ? 'No image was accepted yet.' : 'Every image passed, or was looked at.';
}

/** @param {QuarantineList} about */
function drawHead({ count: images, accepted, bytes, kind, degraded, waiting }) {
  return html`<header class="title"><div>
      <h1>Quarantine</h1>
      <p class="lead">${images === 0 ? 'No image to look at' : `${count(images, 'image')} to look at (${megabytes(bytes)})`}${accepted > 0 && `, ${accepted} accepted`}; kept in the ${kind} that the setting <code>quarantine</code> names. <${Manual} page="gate">How this works<//></p>
    </div></header>
    ${degraded && html`<p class="error">It cannot be written to for now, and ${count(waiting, 'image')} wait in memory: ${degraded}</p>`}`;
}

/** Accepting changes nothing by itself, so this is said where accepted images are. @param {QuarantineList['kind']} kind */
function drawHowToFold(kind) {
  return html`<section class="now">
    <h2>To make these normal</h2>
    <p class="soft">Nothing has changed yet: images like these are still stopped. This fits a new version of the Profile on its reference and on them, and before it writes says what is lost by that. A service that watches the file takes it by itself. QUARANTINE stands for the ${kind} that the setting <code>quarantine</code> of this service names.</p>
    <pre><code>${`stopline profile accept QUARANTINE/accepted/ \\\n  --profile camera.stopline --reference drives/ --out next.stopline`}</code></pre>
  </section>`;
}

function drawTurnedOff() {
  return html`<header class="title"><div>
      <h1>Quarantine</h1>
      <p class="lead">This service keeps no images. Tell it where, a folder or a bucket, and it does:</p>
    </div></header>
    <div class="empty">
      <pre><code>stopline serve --profile camera.stopline --quarantine kept/${'\n'}# or s3://bucket/prefix</code></pre>
      <p class="soft">Images that are warned about or blocked are then kept here with their verdicts, at most 10\u202f000 of them, 1 GiB and 30 days unless other settings say so.</p>
    </div>`;
}
