import { get } from './api.js';
import { h, number, show, unitText, verdictTag } from './dom.js';
import { detectorsAndCauses, limitsText, loadComparison, reasonList, statisticsSection } from './verdict.js';

/** One image of yours: its verdict, and where in it the evidence lies. Nothing is kept of it. */
export async function tryPage(element) {
  const comparison = await loadComparison();
  const input = h('input', {
    type: 'file',
    accept: 'image/jpeg,image/png,image/webp',
    id: 'file',
    onchange: () => input.files[0] && judge(input.files[0]),
  });
  const drop = h(
    'label',
    { class: 'drop', for: 'file' },
    h('b', {}, 'Drop an image here'),
    h('span', {}, 'or choose a file: JPEG, PNG or WebP. It is judged and forgotten: it counts for no camera.'),
    input,
  );
  const result = h('div', { class: 'result', 'aria-live': 'polite' });
  element.append(
    h(
      'header',
      { class: 'title' },
      h('div', {}, h('p', { class: 'eyebrow' }, 'Try it'), h('h1', {}, 'What would be said of this image?')),
    ),
    drop,
    result,
  );

  const over = (event) => {
    event.preventDefault();
    drop.classList.add('over');
  };
  const leave = () => drop.classList.remove('over');
  const dropped = (event) => {
    event.preventDefault();
    leave();
    const [file] = event.dataTransfer.files;
    if (file) judge(file);
  };
  // Anywhere on the page: a file dropped beside the field would otherwise replace the page.
  const listeners = { dragover: over, dragleave: leave, drop: dropped };
  for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener);

  async function judge(file) {
    show(result, h('p', { class: 'soft' }, `Judging ${file.name} ...`));
    try {
      const [{ verdict, tiles }, picture] = await Promise.all([
        get('/explain', { method: 'POST', body: file, headers: { 'content-type': 'application/octet-stream' } }),
        readPicture(file),
      ]);
      result.replaceChildren(...explained(file.name, verdict, tiles, picture));
    } catch (error) {
      result.replaceChildren(
        h('p', { class: 'error', role: 'alert' }, `${file.name} cannot be judged: ${error.message}`),
      );
    }
  }

  function explained(name, verdict, tiles, picture) {
    const { reasons, image } = verdict;
    return [
      h(
        'section',
        { class: 'said' },
        h('h2', {}, verdictTag(verdict.verdict), ' ', name),
        h(
          'p',
          {},
          `${limitsText(verdict)} ${image.format} of ${image.width} \u00d7 ${image.height} pixels, judged in ${Math.round(verdict.timingMs.total)} ms.`,
        ),
        reasonList(reasons),
      ),
      h('section', {}, h('h2', {}, 'Where the evidence lies'), tileMaps(tiles, picture)),
      detectorsAndCauses(
        verdict,
        verdict.verdict === 'pass'
          ? 'Had something been wrong with it. It passed.'
          : 'If it was not taken as the reference was.',
      ),
      statisticsSection('Statistics against the reference', verdict.statistics, comparison),
    ];
  }

  return {
    close() {
      for (const [name, listener] of Object.entries(listeners)) removeEventListener(name, listener);
    },
  };
}

/** As a data: address, which the policy of the page allows. */
function readPicture(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function tileMaps({ columns, rows, maps }, picture) {
  return h(
    'div',
    { class: 'tilemaps' },
    maps.map(({ kind, unit, meaning, bad, values }) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const grid = h('div', { class: 'tiles' });
      grid.style.gridTemplate = `repeat(${rows}, 1fr) / repeat(${columns}, 1fr)`;
      for (const [i, value] of values.entries()) {
        const share = high > low ? (value - low) / (high - low) : 0;
        const cell = h('i', {
          title: `row ${Math.floor(i / columns) + 1}, column ${(i % columns) + 1}: ${number(value)} ${unitText(unit)}`,
        });
        cell.style.opacity = String(0.78 * (bad === 'high' ? share : 1 - share));
        grid.append(cell);
      }
      const worst = bad === 'high' ? high : low;
      const position = values.indexOf(worst);
      const where = `row ${Math.floor(position / columns) + 1}, column ${(position % columns) + 1}`;
      return h(
        'figure',
        {},
        h('div', { class: 'under' }, h('img', { src: picture, alt: `Map of ${kind}: worst at ${where}` }), grid),
        h(
          'figcaption',
          {},
          h('b', {}, kind),
          ` ${meaning} `,
          h(
            'small',
            {},
            low === high
              ? `everywhere ${number(low)} ${unitText(unit)}`
              : `${number(low)} to ${number(high)} ${unitText(unit)}; worst at ${where}`,
          ),
        ),
      );
    }),
  );
}
