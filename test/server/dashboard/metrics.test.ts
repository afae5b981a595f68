import { expect, it } from 'vitest';
import { parseMetrics, sumMetric } from '../../../src/server/dashboard/metrics.js';

it('reads names, labels and values, and nothing of comments', () => {
  const text = [
    '# HELP a What it is.',
    '# TYPE a counter',
    'a 3',
    'a_total{code="X",path="/v1/{id}"} 2.5e+1 1700000000',
    'b{text="a \\"quoted\\" \\\\ back, slash"} NaN',
    'c{} +Inf',
    '',
  ].join('\n');
  expect(parseMetrics(text)).toEqual([
    { name: 'a', labels: {}, value: 3 },
    { name: 'a_total', labels: { code: 'X', path: '/v1/{id}' }, value: 25 },
    { name: 'b', labels: { text: 'a "quoted" \\ back, slash' }, value: Number.NaN },
    { name: 'c', labels: {}, value: Number.POSITIVE_INFINITY },
  ]);
});

it('adds up the samples of one name', () => {
  const samples = parseMetrics('a{x="1"} 1\na{x="2"} 2\nab 4');
  expect([sumMetric(samples, 'a'), sumMetric(samples, 'ab'), sumMetric(samples, 'none')]).toEqual([3, 4, 0]);
});
