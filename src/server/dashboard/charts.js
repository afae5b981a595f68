// @ts-check
import { Component, html, loadStyle } from './library.js';
import { dayOfYear, nameZone, number, timeOfDay, usesUtc } from './words.js';

/** @import { Kind, Transition, TrendPoint } from './types.js' */

await Promise.all([loadStyle('uPlot.min.css'), loadStyle('charts.css'), loadChartCode()]);

/** It is 50 kB, so only pages that have charts load it. */
function loadChartCode() {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    Object.assign(script, { src: 'dashboard/uPlot.iife.min.js', onload: resolve, onerror: reject });
    document.head.append(script);
  });
}

/** Charts that are to be drawn, and how much of a frame is given to them: a page of twelve must not stop for all at once. */
/** @type {Set<() => void>} */
const waiting = new Set();
const sliceMs = 8;

function drawSome() {
  const until = performance.now() + sliceMs;
  try {
    for (const draw of waiting) {
      waiting.delete(draw);
      draw();
      if (performance.now() >= until) break;
    }
  } finally {
    // One that cannot be drawn must not stop the others for good.
    if (waiting.size > 0) requestAnimationFrame(drawSome);
  }
}

/** @param {() => void} draw */
function drawLater(draw) {
  if (waiting.size === 0) requestAnimationFrame(drawSome);
  waiting.add(draw);
}

/** Colours of the page as it is now, light or dark. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  /** @param {string} name */
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: read('ink'),
    paper: read('paper'),
    soft: read('soft'),
    line: read('line'),
    data: read('seen'),
    band: read('band'),
    cloud: read('cloud'),
    /** @type {Record<Kind, string>} */
    verdict: { pass: read('good'), warn: read('watch'), block: read('bad') },
  };
}

/** @typedef {ReturnType<typeof readColours>} Colours */
/** @typedef {(number | null)[][]} Columns */

const font = '12px system-ui, sans-serif';

/** @param {Colours} colours @param {uPlot.Axis} [more] @returns {uPlot.Axis} */
function makeAxis({ soft, line }, more = {}) {
  return { stroke: soft, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, gap: 6, ...more };
}

/** Times as on a 24-hour clock, with the day where they span several, and the zone. @param {Colours} colours */
function makeTimeAxis(colours, label = true) {
  /** @param {number} span */
  const tell = (span) => (/** @type {number} */ seconds) => {
    const at = seconds * 1000;
    if (span > 2 * 86_400) return dayOfYear(at);
    return span < 600 ? timeOfDay(at) : timeOfDay(at).slice(0, 5);
  };
  return makeAxis(colours, {
    size: 28,
    space: 80,
    values: (plot, ticks) => ticks.map(tell((plot.scales.x.max ?? 0) - (plot.scales.x.min ?? 0))),
    ...(label && { label: `Time (${nameZone()})`, labelFont: font, labelSize: 20, labelGap: 0 }),
  });
}

/** @param {number} seconds */
const readZone = (seconds) =>
  usesUtc() ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000);

/**
 * Changes of state as lines from top to bottom, named where there is room.
 * @param {() => Transition[]} marks
 * @param {boolean} isNamed
 * @returns {uPlot.Plugin}
 */
function markStates(marks, isNamed) {
  return {
    hooks: {
      draw(plot) {
        const { ctx, bbox } = plot;
        const { ink, soft, paper } = readColours();
        const { min = 0, max = 0 } = plot.scales.x;
        ctx.save();
        ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
        /** Where names end that are there already, line by line. */
        const free = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
        for (const { at, to } of [...marks()].sort((a, b) => a.at - b.at)) {
          if (at / 1000 < min || at / 1000 > max) continue;
          const x = Math.round(plot.valToPos(at / 1000, 'x', true));
          ctx.strokeStyle = soft;
          ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
          const width = ctx.measureText(to).width + 6 * devicePixelRatio;
          // At the right edge a name stands before its line.
          const from = x + width > bbox.left + bbox.width ? x - width : x;
          const line = free.findIndex((end) => from >= end);
          if (!isNamed || line < 0) continue;
          // Below zero no image lies: names at the top would hide the strangest.
          const top = bbox.top + bbox.height - 13 * (line + 1) * devicePixelRatio;
          // Lines lie under it, and would make it hard to read.
          ctx.fillStyle = paper;
          ctx.globalAlpha = 0.8;
          ctx.fillRect(
            from + devicePixelRatio,
            top + devicePixelRatio,
            width - 2 * devicePixelRatio,
            13 * devicePixelRatio,
          );
          ctx.globalAlpha = 1;
          ctx.fillStyle = ink;
          ctx.textAlign = 'left';
          ctx.fillText(to, from + 3 * devicePixelRatio, top + 11 * devicePixelRatio);
          free[line] = from + width;
        }
        ctx.restore();
      },
    },
  };
}

/**
 * One chart: follows the width of its element and the colours of the page, and is drawn again where its data are others.
 * @typedef {object} ChartProps
 * @property {(colours: Colours) => Partial<uPlot.Options>} make
 * @property {Columns} data
 * @property {string} label what it shows, for those who cannot see it
 * @property {Transition[]} [marks] changes of state
 * @property {boolean} [isNamed] whether the names of the states stand beside their lines
 * @property {[number, number]} [range] start and end in milliseconds, also where there are no data
 * @extends {Component<ChartProps>}
 */
export class Chart extends Component {
  /** @type {uPlot | undefined} */
  #plot;
  /** @type {HTMLElement | undefined} */
  #element;
  #resized = new ResizeObserver(() => this.#resize());
  #dark = matchMedia('(prefers-color-scheme: dark)');
  #rebuild = () => this.#build();
  #draw = () => {
    if (this.#plot) this.#plot.setData(/** @type {uPlot.AlignedData} */ (this.props.data));
    else this.#build();
  };

  componentDidMount() {
    if (this.#element) this.#resized.observe(this.#element);
    this.#dark.addEventListener('change', this.#rebuild);
    drawLater(this.#draw);
  }

  /** @param {ChartProps} next */
  shouldComponentUpdate(next) {
    return next.data !== this.props.data || next.marks !== this.props.marks || next.make !== this.props.make;
  }

  /** @param {ChartProps} before */
  componentDidUpdate(before) {
    if (before.make !== this.props.make) {
      this.#plot?.destroy();
      this.#plot = undefined;
    }
    drawLater(this.#draw);
  }

  componentWillUnmount() {
    waiting.delete(this.#draw);
    this.#resized.disconnect();
    this.#dark.removeEventListener('change', this.#rebuild);
    this.#plot?.destroy();
  }

  #build() {
    if (!this.#element) return;
    this.#plot?.destroy();
    const { make, data, isNamed = false } = this.props;
    const options = make(readColours());
    const { x = {}, ...scales } = options.scales ?? {};
    const range = () => this.props.range?.map((at) => at / 1000);
    this.#plot = new uPlot(
      {
        width: Math.max(120, this.#element.clientWidth),
        height: 200,
        legend: { show: false },
        tzDate: readZone,
        ...options,
        series: options.series ?? [],
        scales: { x: { range: (_plot, least, most) => spread(range(), least, most), ...x }, ...scales },
        plugins: [markStates(() => this.props.marks ?? [], isNamed)],
      },
      /** @type {uPlot.AlignedData} */ (data),
      this.#element,
    );
  }

  #resize() {
    const { clientWidth = 0 } = this.#element ?? {};
    const plot = this.#plot;
    if (!plot || Math.abs(plot.width - clientWidth) <= 2) return;
    plot.setSize({ width: Math.max(120, clientWidth), height: plot.height });
  }

  render() {
    return html`<div class="chart" role="img" aria-label=${this.props.label}
      ref=${(/** @type {HTMLElement} */ element) => {
        this.#element = element ?? undefined;
      }}></div>`;
  }
}

/** @param {number[] | undefined} wanted @param {number | null} least @param {number | null} most @returns {[number, number]} */
function spread(wanted, least, most) {
  if (wanted) return [wanted[0], wanted[1]];
  const [from, to] = [least ?? 0, most ?? 1];
  return to > from ? [from, to] : [from - 30, to + 30];
}

/** @param {string} fill @param {number} size @returns {uPlot.Series.Points} */
const points = (fill, size) => ({ show: true, size, width: 0, fill, stroke: fill });
/** @type {{ paths: uPlot.Series.PathBuilder }} */
const noLine = { paths: () => null };

/** Numbers of any size on one axis: even steps up to 1, decades beyond. */
const wideScale = {
  distr: /** @type {const} */ (4),
  asinh: 1,
  /** @param {uPlot} _plot @param {number} least @param {number} most @returns {[number, number]} */
  range: (_plot, least, most) => [Math.min(-0.5, least ?? 0), Math.max(2, (most ?? 1) * 1.15)],
};

/** @param {Colours} colours */
function makeWideAxis(colours) {
  return makeAxis(colours, {
    size: 52,
    label: 'strangeness',
    labelFont: font,
    labelSize: 18,
    labelGap: 0,
    splits: (plot) => {
      const most = plot.scales.y.max ?? 1;
      return [0, 1, 3, 10, 30, 100, 300, 1000, 1e4, 1e5].filter((tick) => tick <= most);
    },
    filter: (_plot, ticks) => ticks,
    values: (_plot, ticks) => ticks.map(String),
  });
}

/**
 * Strangeness of each image, dots by verdict, with the lines from which on images are warned about and blocked.
 * Columns: seconds; pass, warn, block (null where it is another); the two lines.
 * @param {Colours} colours
 * @returns {Partial<uPlot.Options>}
 */
export function makeScoreChart(colours) {
  const { verdict } = colours;
  return {
    height: 260,
    scales: { y: wideScale },
    axes: [makeTimeAxis(colours), makeWideAxis(colours)],
    cursor: { y: false },
    series: [
      {},
      { label: 'pass', ...noLine, points: points(verdict.pass, 5) },
      { label: 'warn', ...noLine, points: points(verdict.warn, 6) },
      { label: 'block', ...noLine, points: points(verdict.block, 6) },
      { label: 'warned from', stroke: verdict.warn, width: 1, dash: [4, 4], points: { show: false } },
      { label: 'blocked from', stroke: verdict.block, width: 1.5, points: { show: false } },
    ],
    padding: [8, 8, 0, 0],
  };
}

/**
 * @param {{ at: number[], score: number[], verdict: Kind[] }} images
 * @param {{ warn?: number | undefined, block?: number | undefined }} limits
 * @returns {Columns}
 */
export function arrangeScores({ at, score, verdict }, { warn, block }) {
  /** @param {Kind} kind */
  const pick = (kind) => score.map((value, i) => (verdict[i] === kind ? value : null));
  const lines = [warn, block].map((limit) => at.map(() => limit ?? null));
  return [at.map((time) => time / 1000), pick('pass'), pick('warn'), pick('block'), ...lines];
}

/** The same over a longer time: the mean and the largest of each stretch. @param {Colours} colours @returns {Partial<uPlot.Options>} */
export function makeScoreTrend(colours) {
  const { ink, data, band, verdict } = colours;
  return {
    height: 260,
    scales: { y: wideScale },
    axes: [makeTimeAxis(colours), makeWideAxis(colours)],
    cursor: { y: false },
    series: [
      {},
      { label: 'strangest', stroke: data, width: 1, points: points(data, 4), spanGaps: false },
      { label: 'mean', stroke: ink, width: 1.5, points: points(ink, 4), spanGaps: false },
      { label: 'warned from', stroke: verdict.warn, width: 1, dash: [4, 4], points: { show: false } },
      { label: 'blocked from', stroke: verdict.block, width: 1.5, points: { show: false } },
    ],
    bands: [{ series: [1, 2], fill: band }],
    padding: [8, 8, 0, 0],
  };
}

/** @param {TrendPoint[]} trend @param {{ warn?: number | undefined, block?: number | undefined }} limits @returns {Columns} */
export function arrangeScoreTrend(trend, { warn, block }) {
  return [
    trend.map(({ at, span }) => (at + span / 2) / 1000),
    trend.map(({ scoreMax }) => scoreMax),
    trend.map(({ scoreMean }) => scoreMean),
    trend.map(() => warn ?? null),
    trend.map(() => block ?? null),
  ];
}

/** Shares of verdicts over time, stacked. @param {Colours} colours @returns {Partial<uPlot.Options>} */
export function makeShareChart(colours) {
  const bars = () => uPlot.paths.bars?.({ size: [0.9, 24], align: 1 }) ?? noLine.paths;
  const { verdict } = colours;
  return {
    height: 170,
    scales: { y: { range: (_plot, _least, most) => [0, Math.max(0.05, Math.min(1, (most || 0) * 1.1))] } },
    axes: [
      makeTimeAxis(colours),
      makeAxis(colours, {
        size: 52,
        values: (_plot, ticks) => ticks.map((tick) => `${Math.round(tick * 1000) / 10} %`),
      }),
    ],
    cursor: { show: false },
    series: [
      {},
      { label: 'warned or blocked', fill: verdict.warn, width: 0, paths: bars(), points: { show: false } },
      { label: 'blocked', fill: verdict.block, width: 0, paths: bars(), points: { show: false } },
    ],
    padding: [8, 8, 0, 0],
  };
}

/** @param {TrendPoint[]} trend @returns {Columns} */
export function arrangeShares(trend) {
  /** @param {(point: TrendPoint) => number} read */
  const share = (read) => trend.map((point) => (point.images > 0 ? read(point) / point.images : null));
  return [trend.map(({ at }) => at / 1000), share(({ warn, block }) => warn + block), share(({ block }) => block)];
}

/** One statistic over the latest images, with the band that holds 98 % of the reference. @param {Colours} colours @returns {Partial<uPlot.Options>} */
export function makeBandChart(colours) {
  const { ink, line, band } = colours;
  return {
    height: 110,
    axes: [
      makeTimeAxis(colours, false),
      makeAxis(colours, {
        size: 46,
        space: 24,
        values: (_plot, ticks) => ticks.map((tick) => number(tick)),
      }),
    ],
    cursor: { show: false },
    series: [
      {},
      { stroke: ink, width: 1.25, points: { show: false }, spanGaps: true },
      { stroke: line, width: 1, points: { show: false } },
      { stroke: line, width: 1, points: { show: false } },
    ],
    bands: [{ series: [3, 2], fill: band }],
    padding: [6, 8, 0, 0],
  };
}

/**
 * @param {number[]} at
 * @param {(number | null)[]} values
 * @param {{ p01: number, p99: number }} band
 * @returns {Columns}
 */
export function arrangeBand(at, values, { p01, p99 }) {
  return [at.map((time) => time / 1000), values, values.map(() => p01), values.map(() => p99)];
}

/** What the latest images show, over the cloud of the reference. @param {Colours} colours @returns {Partial<uPlot.Options>} */
export function makeCloudChart(colours) {
  return {
    height: 300,
    scales: { x: { time: false, range: (_plot, least, most) => [least - 0.3, most + 0.3] } },
    axes: [
      makeAxis(colours, { size: 26, label: 'first coordinate', labelFont: font, labelSize: 18, labelGap: 0 }),
      makeAxis(colours, { size: 36, label: 'second coordinate', labelFont: font, labelSize: 18, labelGap: 0 }),
    ],
    cursor: { show: false },
    series: [
      {},
      { label: 'reference', ...noLine, points: points(colours.cloud, 5) },
      { label: 'latest images', ...noLine, points: points(colours.data, 5) },
    ],
    padding: [8, 8, 0, 0],
  };
}

/** @param {[number, number][]} cloud @param {[number, number][]} latest @returns {Columns} */
export function arrangeCloud(cloud, latest) {
  const all = [...cloud.map(([x, y]) => [x, y, null]), ...latest.map(([x, y]) => [x, null, y])].sort(
    (a, b) => (a[0] ?? 0) - (b[0] ?? 0),
  );
  return [0, 1, 2].map((column) => all.map((row) => row[column]));
}
