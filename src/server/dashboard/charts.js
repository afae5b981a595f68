import { dayOfYear, h, timeOfDay } from './dom.js';

/* global uPlot */

/** Of 50 kB, so it is there only for pages that have charts. */
await new Promise((resolve, reject) => {
  const script = h('script', { src: '/dashboard/uPlot.iife.min.js', onload: resolve, onerror: reject });
  document.head.append(h('link', { rel: 'stylesheet', href: '/dashboard/uPlot.min.css' }), script);
});

/** Charts that are to be drawn, and how much of a frame is given to them: a page of twelve must not stop for all at once. */
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

function drawLater(draw) {
  if (waiting.size === 0) requestAnimationFrame(drawSome);
  waiting.add(draw);
}

/** Colours of the page as it is now, light or dark. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: of('ink'),
    soft: of('soft'),
    line: of('line'),
    seen: of('seen'),
    warn: of('watch'),
    block: of('bad'),
    band: of('band'),
    cloud: of('cloud'),
  };
}

const font = '12px system-ui, sans-serif';

function axis(more = {}) {
  const { soft, line } = colours();
  return { stroke: soft, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, gap: 6, ...more };
}

/** Times as on a 24-hour clock, with the day where they span several. */
function timeAxis() {
  const text = (span) => (seconds) => {
    const at = seconds * 1000;
    if (span > 2 * 86_400) return dayOfYear(at);
    return span < 600 ? timeOfDay(at) : timeOfDay(at).slice(0, 5);
  };
  return axis({ size: 28, space: 80, values: (plot, ticks) => ticks.map(text(plot.scales.x.max - plot.scales.x.min)) });
}

/** Charts that follow the width of their element and the colours of the page. */
function chart(element, make) {
  let plot;
  let data;
  const build = () => {
    plot?.destroy();
    plot = new uPlot(
      { width: Math.max(120, element.clientWidth), legend: { show: false }, ...make(colours()) },
      data,
      element,
    );
  };
  const draw = () => {
    if (plot) plot.setData(data);
    else build();
  };
  const resized = new ResizeObserver(() => {
    if (plot && Math.abs(plot.width - element.clientWidth) > 2)
      plot.setSize({ width: Math.max(120, element.clientWidth), height: plot.height });
  });
  resized.observe(element);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', build);
  return {
    set(next) {
      data = next;
      drawLater(draw);
    },
    close() {
      waiting.delete(draw);
      resized.disconnect();
      dark.removeEventListener('change', build);
      plot?.destroy();
    },
  };
}

const points = (fillColour, size) => ({ show: true, size, width: 0, fill: fillColour, stroke: fillColour });
const noLine = { paths: () => null };

/**
 * P-values over time on a logarithmic scale, dots by verdict, with the lines below which an image is warned about and blocked.
 * Data: seconds, then pass, warn, block (null where it is another).
 */
export function pValueChart(element, { block }) {
  return chart(element, (colour) => ({
    height: 240,
    scales: { y: { distr: 3, range: (_plot, least) => [Math.min(block / 2, least || 1) / 1.3, 1.2] } },
    axes: [
      timeAxis(),
      axis({
        size: 52,
        // Decades alone: the rest would stand in each other's way.
        values: (_plot, ticks) =>
          ticks.map((tick) => (Number.isInteger(Number(Math.log10(tick).toFixed(6))) ? String(tick) : '')),
      }),
    ],
    cursor: { y: false },
    series: [
      {},
      { label: 'pass', ...noLine, points: points(colour.seen, 5) },
      { label: 'warn', ...noLine, points: points(colour.warn, 6) },
      { label: 'block', ...noLine, points: points(colour.block, 6) },
      { label: 'warned below', stroke: colour.warn, width: 1, dash: [4, 4], points: { show: false } },
      { label: 'blocked below', stroke: colour.block, width: 1.5, points: { show: false } },
    ],
    padding: [8, 8, 0, 0],
  }));
}

/** Columns for `pValueChart`. */
export function pValueData({ at, pValue, verdict }, { warn, block }) {
  const pick = (kind) => pValue.map((p, i) => (verdict[i] === kind ? Math.max(p, 1e-6) : null));
  return [
    at.map((time) => time / 1000),
    pick('pass'),
    pick('warn'),
    pick('block'),
    at.map(() => warn),
    at.map(() => block),
  ];
}

/** Shares of verdicts over time, stacked: data from `historyData`. */
export function historyChart(element) {
  const bars = () => uPlot.paths.bars({ size: [0.9, 24], align: 1 });
  return chart(element, (colour) => ({
    height: 160,
    scales: {
      // The whole stretch of time that was asked for, also where it is empty.
      x: { range: (plot) => plot.data[3] ?? [0, 1] },
      y: { range: (_plot, _least, most) => [0, Math.max(0.05, Math.min(1, (most || 0) * 1.1))] },
    },
    axes: [
      timeAxis(),
      axis({ size: 52, values: (_plot, ticks) => ticks.map((tick) => `${Math.round(tick * 1000) / 10} %`) }),
    ],
    cursor: { show: false },
    series: [
      {},
      { label: 'warned or blocked', fill: colour.warn, width: 0, paths: bars(), points: { show: false } },
      { label: 'blocked', fill: colour.block, width: 0, paths: bars(), points: { show: false } },
    ],
    padding: [8, 8, 0, 0],
  }));
}

/** @param range start and end in milliseconds */
export function historyData(trend, range) {
  const share = (of) => trend.map((point) => (point.images > 0 ? of(point) / point.images : null));
  return [
    trend.map(({ at }) => at / 1000),
    share(({ warn, block }) => warn + block),
    share(({ block }) => block),
    range.map((at) => at / 1000),
  ];
}

/** One statistic over the latest images, with the reference's 1-99 % band. */
export function bandChart(element) {
  return chart(element, (colour) => ({
    height: 84,
    scales: { x: { time: false } },
    axes: [
      { show: false },
      axis({ size: 46, space: 24, values: (_plot, ticks) => ticks.map((tick) => String(Number(tick.toPrecision(3)))) }),
    ],
    cursor: { show: false },
    series: [
      {},
      { stroke: colour.ink, width: 1.25, points: { show: false }, spanGaps: true },
      { stroke: colour.line, width: 1, points: { show: false } },
      { stroke: colour.line, width: 1, points: { show: false } },
    ],
    bands: [{ series: [3, 2], fill: colour.band }],
    padding: [6, 4, 6, 0],
  }));
}

export function bandData(values, { p01, p99 }) {
  return [values.map((_, i) => i), values, values.map(() => p01), values.map(() => p99)];
}

/** What the latest images show, over the cloud of the reference. */
export function cloudChart(element) {
  return chart(element, (colour) => ({
    height: 300,
    scales: { x: { time: false } },
    axes: [axis({ size: 26 }), axis({ size: 36 })],
    cursor: { show: false },
    series: [
      {},
      { label: 'reference', ...noLine, points: points(colour.cloud, 5) },
      { label: 'latest images', ...noLine, points: points(colour.block, 5) },
    ],
    padding: [8, 8, 0, 0],
  }));
}

export function cloudData(cloud, latest) {
  const all = [...cloud.map(([x, y]) => [x, y, null]), ...latest.map(([x, y]) => [x, null, y])].sort(
    (a, b) => a[0] - b[0],
  );
  return [0, 1, 2].map((column) => all.map((row) => row[column]));
}
