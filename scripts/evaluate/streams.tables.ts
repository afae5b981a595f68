import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import type { CauseDelays } from './cameras.ts';
import type { PeerAlarms } from './peers.ts';
import { median, type Quiet } from './streams.ts';

/** Delays on one kind of stream, of one change. */
export interface Delay {
  population: string;
  change: string;
  calibration: number;
  correlation: number;
  delays: number[];
}

export interface StreamsReport {
  falseAlarmEvery: number;
  statistics: number;
  quiet: Quiet[];
  peers: PeerAlarms[];
  delays: Delay[];
  /** Share of calibration sets that provably keep the promise, by number of images. */
  kept: { calibration: number; sets: number; kept: number }[];
}

const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;

function markdown(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [row(header), row(header.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n');
}

/** Mean run length in words: with no alarm, the number that it is above with 95 % confidence. */
function runLength({ images, alarms }: Quiet): string {
  // Alarms are rare and far apart: a count of them is Poisson.
  return alarms === 0 ? `over ${round(images / 3)}` : round(images / alarms);
}

const round = (value: number) => Number(value.toPrecision(2)).toLocaleString('en');
const percent = (value: number) => `${Number((100 * value).toFixed(1))} %`;
const shown = (delay: number) => (Number.isFinite(delay) ? `${delay}` : 'missed');

export function streamsReport(report: StreamsReport): string {
  const { falseAlarmEvery, statistics, quiet, peers, delays, kept } = report;
  const parts = [
    `### False alarms where nothing changes\n\nPromised: one in ${falseAlarmEvery.toLocaleString('en')} images. ${statistics} statistics and a score; every run has a calibration set of its own. *Ordered*: the correlation time is that of ordered reference frames; *stream*: it is learnt from the stream.`,
    markdown(
      [
        'stream',
        'correlation time',
        'calibration images',
        'runs x images',
        'alarms',
        'images an alarm',
        'runs without',
        'called ok',
        'learning',
      ],
      quiet.map((cell) => [
        cell.population,
        `${Number.isNaN(cell.correlation) ? 'not known' : round(cell.correlation)} (${cell.isOrdered ? 'ordered' : 'stream'})`,
        cell.calibration,
        `${cell.runs} x ${cell.images / cell.runs}`,
        cell.alarms,
        runLength(cell),
        percent(cell.silent / cell.runs),
        percent(cell.ok),
        percent(cell.learning),
      ]),
    ),
    'Calibration sets for which the promise provably holds in a stream of independent images, however long (see above):',
    markdown(
      ['calibration images', 'sets', 'hold', '95 % interval'],
      kept.map(({ calibration, sets, kept }) => {
        const { low, high } = clopperPearson(kept, sets);
        return [calibration, sets, percent(kept / sets), `${percent(low)} to ${percent(high)}`];
      }),
    ),
    '### The default rules of others on the same streams\n\nOn windows of 50 images, one after the other, against the same calibration images; alarms in 10,000 images in which nothing changes; 200 are all windows.',
    peerTable(peers),
    '### Images until a change is found\n\nMedian over runs; half of the runs take from the lower to the upper quartile.',
    markdown(
      ['stream', 'correlation time', 'change', 'calibration images', 'median', 'quartiles', 'missed'],
      delays.map(({ population, change, calibration, correlation, delays: sorted }) => [
        population,
        round(correlation),
        change,
        calibration,
        shown(median(sorted)),
        quartiles(sorted),
        percent(missed(sorted)),
      ]),
    ),
  ];
  return parts.join('\n\n');
}

export function cameraReport(camera: readonly CauseDelays[]): string {
  return [
    'Images until a cause is found. Fitted as `stopline fit` does, on independent frames; watched on fresh ones, rendered, encoded, decoded and judged. Median over runs; half of them take from the lower to the upper quartile.',
    markdown(
      ['cause', 'severity', 'reference images', 'median', 'quartiles', 'missed'],
      camera.map(({ cause, severity, images, delays: sorted }) => [
        cause,
        severity,
        images,
        shown(median(sorted)),
        quartiles(sorted),
        percent(missed(sorted)),
      ]),
    ),
  ].join('\n\n');
}

function peerTable(peers: readonly PeerAlarms[]): string {
  const populations = [...new Set(peers.map(({ population }) => population))];
  const rules = [...new Set(peers.map(({ rule }) => rule))];
  const findCell = (rule: string, population: string) =>
    peers.find((cell) => cell.rule === rule && cell.population === population)?.perTenThousand ?? Number.NaN;
  return markdown(
    ['rule', ...populations],
    rules.map((rule) => [rule, ...populations.map((population) => round(findCell(rule, population)))]),
  );
}

function quartiles(sorted: readonly number[]): string {
  const at = (share: number) => shown(sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN);
  return `${at(0.25)} to ${at(0.75)}`;
}

function missed(sorted: readonly number[]): number {
  return sorted.filter((delay) => !Number.isFinite(delay)).length / Math.max(1, sorted.length);
}
