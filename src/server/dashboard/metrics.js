// @ts-check

/** One number of the metrics. @typedef {{ name: string, labels: Record<string, string>, value: number }} Sample */

/**
 * Reads the Prometheus text format.
 * @param {string} text
 * @returns {Sample[]}
 */
export function parseMetrics(text) {
  return text.split('\n').flatMap((line) => {
    const [, name, inner = '', value] = /^(\w+)(?:\{(.*)\})? ([-+\w.]+)/.exec(line) ?? [];
    if (name === undefined || line.startsWith('#')) return [];
    const labels = [...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, told]) => [
      label,
      told.replace(/\\(.)/g, '$1'),
    ]);
    return [{ name, labels: Object.fromEntries(labels), value: Number(value.replace('Inf', 'Infinity')) }];
  });
}

/** The sum of all samples of one name. @param {readonly Sample[]} samples @param {string} name */
export function sumMetric(samples, name) {
  return samples.filter((sample) => sample.name === name).reduce((sum, { value }) => sum + value, 0);
}
