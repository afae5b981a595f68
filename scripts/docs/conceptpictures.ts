/** Draws the pictures of the concept pages from the numbers that `npm run pictures:concepts` keeps. */
import type { Concepts } from './concepts.ts';

const width = 640;
const height = 300;
const frame = { left: 76, right: 20, top: 46, bottom: 50 };
const colours = ['#8b979d', '#b3541e', '#2d6b8c', '#7a3b8f'];
const style =
  'text{font-family:system-ui,sans-serif;font-size:12px;fill:#1d2529}.soft{fill:#4a555b}.head{font-size:14px;font-weight:650}.axis{stroke:#8b979d;fill:none}.edge{stroke:#b02a1a;stroke-dasharray:5 4;fill:none}';

const round = (value: number) => Number(value.toFixed(1));
type Scale = (value: number) => number;

function makeScale([low, high]: readonly [number, number], [from, to]: readonly [number, number]): Scale {
  return (value) => round(from + ((Math.max(low, Math.min(high, value)) - low) / (high - low)) * (to - from));
}

const across: readonly [number, number] = [frame.left, width - frame.right];
const up: readonly [number, number] = [height - frame.bottom, frame.top];

function write(x: number, y: number, text: string, kind = '', anchor = 'start'): string {
  return `<text${kind === '' ? '' : ` class="${kind}"`} x="${x}" y="${y}" text-anchor="${anchor}">${text}</text>`;
}

function drawFrame(title: string, labels: { below: string; beside: string }, parts: readonly string[]): string {
  const middle = (frame.top + height - frame.bottom) / 2;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${title}</title>`,
    `<style>${style}</style>`,
    `<rect width="${width}" height="${height}" fill="#fbfaf7"/>`,
    write(frame.left, 22, title, 'head'),
    `<path class="axis" d="M${frame.left} ${frame.top}V${height - frame.bottom}H${width - frame.right}"/>`,
    write((across[0] + across[1]) / 2, height - 12, labels.below, 'soft', 'middle'),
    `<text class="soft" transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${labels.beside}</text>`,
    ...parts,
    '</svg>',
  ].join('\n')}\n`;
}

/** How a score becomes a p-value: the share of the reference that is at least as strange. */
export function drawCalibration({ reference, judged, warn, images }: Concepts): string {
  const most = Math.max(reference.at(-1) ?? 1, ...judged.map(({ score }) => score)) * 1.05;
  const x = makeScale([0, most], across);
  const y = makeScale([0, 1], up);
  const steps = reference.map((score, i) => `L${x(score)} ${y(1 - i / images)}V${y(1 - (i + 1) / images)}`).join('');
  const limit = reference[Math.max(0, Math.ceil((1 - warn) * (images + 1)) - 1)] ?? most;
  const marks = judged.map(({ name, score, pValue }, i) => {
    const colour = colours[2 - i];
    const anchor = x(score) > width / 2 ? 'end' : 'start';
    const side = anchor === 'end' ? -6 : 6;
    return `<path d="M${x(score)} ${y(0)}V${y(0.62 + 0.14 * i)}" stroke="${colour}" stroke-width="2"/>${write(x(score) + side, y(0.62 + 0.14 * i) + 4, `${name === 'in fog' ? 'an image in fog' : 'a usual image'}: p ${Number(pValue.toPrecision(2))}`, '', anchor)}`;
  });
  return drawFrame(
    `From a score to a p-value: ${images} reference images`,
    { below: 'score of an image: the farther right, the stranger', beside: 'share at least as strange' },
    [
      `<path d="M${x(0)} ${y(1)}${steps}" fill="none" stroke="#1f5a5a" stroke-width="2"/>`,
      `<path class="edge" d="M${x(limit)} ${y(0)}V${y(1)}"/>`,
      write(x(limit) + 6, y(1) + 10, `warned about from here on: ${Number((100 * warn).toPrecision(2))} %`, 'soft'),
      ...marks,
      write(frame.left - 6, y(1) + 4, '1', 'soft', 'end'),
      write(frame.left - 6, y(0) + 4, '0', 'soft', 'end'),
    ],
  );
}

/** Two questions: was the image taken as the reference was, and does it show what that shows? */
export function drawKinds({ kinds }: Concepts): string {
  const all = kinds.flatMap(({ points }) => points.flat());
  const most = Math.max(...all) * 1.05;
  const x = makeScale([0, most], across);
  const y = makeScale([0, most], up);
  const dots = kinds.flatMap(({ points }, i) =>
    points.map(
      ([capture, content]) =>
        `<circle cx="${x(capture)}" cy="${y(content)}" r="4" fill="${colours[i]}" fill-opacity="0.75"/>`,
    ),
  );
  const legend = kinds.map(({ name }, i) => {
    const at = frame.left + 10 + 150 * i;
    return `<circle cx="${at}" cy="36" r="4" fill="${colours[i]}"/>${write(at + 9, 40, name)}`;
  });
  return drawFrame(
    'Capture against content',
    {
      below: 'capture: how strangely it was taken (1 is the edge of the reference)',
      beside: 'content: how strange what it shows',
    },
    [`<path class="edge" d="M${x(1)} ${up[0]}V${up[1]}M${across[0]} ${y(1)}H${across[1]}"/>`, ...dots, ...legend],
  );
}

/** Evidence of a stream that does not change stays below an alarm; of one that changes it passes it. */
export function drawPromise({ streams, changedFrom }: Concepts): string {
  const length = Math.max(...streams.map(({ shares }) => shares.length));
  const x = makeScale([0, length], across);
  const least = -4;
  const y = makeScale([least, 1], up);
  const power = (share: number) => Math.log10(Math.max(share, 10 ** least));
  const lines = streams.map(({ shares }, i) => {
    const path = shares.map((share, n) => `${n === 0 ? 'M' : 'L'}${x(n + 1)} ${y(power(share))}`).join('');
    return `<path d="${path}" fill="none" stroke="${colours[2 - i]}" stroke-width="2"/>`;
  });
  const legend = streams.map(({ name }, i) => {
    const at = frame.left + 10 + 230 * i;
    return `<path d="M${at} 36h18" stroke="${colours[2 - i]}" stroke-width="2"/>${write(at + 24, 40, name)}`;
  });
  const ticks = [-4, -2, 0].map((n) => write(frame.left - 6, y(n) + 4, n === 0 ? '1' : `1/${10 ** -n}`, 'soft', 'end'));
  return drawFrame(
    'Evidence of drift, image after image',
    { below: 'images of the source', beside: 'evidence, as a share of an alarm' },
    [
      `<path class="edge" d="M${across[0]} ${y(0)}H${across[1]}"/>`,
      write(across[0] + 6, y(0) - 6, 'an alarm', 'soft'),
      `<path class="axis" stroke-dasharray="2 4" d="M${x(changedFrom)} ${up[0]}V${up[1]}"/>`,
      ...lines,
      ...legend,
      ...ticks,
    ],
  );
}
