import { readFileSync } from 'node:fs';
import { loadCore } from '../../src/core/index.ts';
import type { ModelCard } from '../../src/image/embedding/cardschema.ts';
import { knownFrames } from '../../src/image/embedding/knownframes.ts';
import { openPrepared } from '../../src/image/embedding/open.ts';
import { proposeFor, readModel } from '../../src/image/embedding/prepare.ts';
import type { FoundModel } from './collect.ts';

/** What a proposal turned out to be. */
export const verdicts = ['right', 'assumed', 'wrong', 'unknown', 'refused'] as const;

export interface Row {
  name: string;
  kind: string;
  proposal: string;
  right: string;
  from: string;
  verdict: (typeof verdicts)[number];
  /** What runs it, and how many numbers the embedding has. */
  runs: string;
  failure?: string;
}

interface Known {
  match: string;
  range: keyof typeof ranges;
  from: string;
}

const mean = [0.485, 0.456, 0.406];
const std = [0.229, 0.224, 0.225];
/** What a black and a white pixel become, channel by channel. */
const ranges = {
  raw: [[0, 255]],
  unit: [[0, 1]],
  signed: [[-1, 1]],
  isnet: [[-0.5, 127 / 256]],
  torchvision: mean.map((centre, i) => [-centre / std[i], (1 - centre) / std[i]]),
} as const;

const known = JSON.parse(readFileSync(new URL('cards.json', import.meta.url), 'utf8')) as Known[];

/**
 * Proposes a card for a network, compares it with the right one where that is known, and runs it on one frame.
 * @param seen sha256 of networks that there have been, to which this one is added
 * @returns nothing for one that there has been
 */
export async function judgeModel({ name, path }: FoundModel, seen: Set<string>): Promise<Row | undefined> {
  const { range, from = '' } = known.find(({ match }) => new RegExp(match).test(name)) ?? {};
  const row: Row = { name, kind: '', proposal: '', right: range ?? '', from, verdict: 'refused', runs: '' };
  try {
    const read = await readModel(path);
    if (seen.has(read.sha256)) return undefined;
    seen.add(read.sha256);
    row.kind = read.kind;
    const { card } = proposeFor(path, read);
    row.proposal = describeRange(card);
    row.verdict = compare(card, range);
    const embedder = await openPrepared({ files: read.files, card, answers: [] }, { core: loadCore() });
    const [embedding] = await embedder.embed([knownFrames.waves()]);
    row.runs = `${embedder.info.provider}, ${embedding.length}`;
    await embedder.close();
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string };
    row.failure = `${code.replace('STOPLINE_ERR_', '')}: ${message}`;
    row.runs = code.replace('STOPLINE_ERR_', '');
  }
  return row;
}

/** A proposal is right where black and white pixels become the right numbers; wrong only where it is not said to be assumed. */
function compare(card: ModelCard, range: keyof typeof ranges | undefined): Row['verdict'] {
  if (range === undefined) return 'unknown';
  const wanted = ranges[range];
  const given = ends(card);
  const isRight = given.every((pair, channel) => {
    const expected = wanted[channel % wanted.length];
    const reach = 0.05 * Math.abs(expected[1] - expected[0]);
    return pair.every((value, end) => Math.abs(value - expected[end]) <= reach);
  });
  const isAssumed = card.assumed?.some((field) => /^input\.(scale|mean|std)$/.test(field));
  return isAssumed ? 'assumed' : isRight ? 'right' : 'wrong';
}

const ends = ({ input }: ModelCard): [number, number][] =>
  input.mean.map((centre, i) => [-centre / input.std[i], (255 * input.scale - centre) / input.std[i]]);

function describeRange(card: ModelCard): string {
  const [[black, white]] = ends(card);
  const { layout, width, height, channels, colour } = card.input;
  const shown = (value: number) => String(Number(value.toPrecision(3)));
  return `${layout} ${width}x${height}, ${channels === 1 ? 'luma' : colour}, ${shown(black)} to ${shown(white)}`;
}

/** The table and its counts as Markdown. */
export function writeTable(rows: readonly Row[]): string {
  const count = (verdict: Row['verdict']) => rows.filter((row) => row.verdict === verdict).length;
  const counts = verdicts.map((verdict) => `${count(verdict)} ${verdict}`).join(', ');
  const ran = rows.filter(({ runs }) => /^\w+, \d+$/.test(runs)).length;
  const lines = rows.map(
    ({ name, kind, proposal, right, from, verdict, runs }) =>
      `| ${[shorten(name), kind, proposal, right, from, verdict, runs].join(' | ')} |`,
  );
  return [
    `${rows.length} networks: ${counts}; ${ran} answer a generated frame.`,
    '',
    '| network | form | proposal (of red, black to white) | right | known from | verdict | runs on, numbers |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
    '',
  ].join('\n');
}

const shorten = (name: string) => `\`${name.replace(/\/(models?|dist|assets)\//g, '/')}\``;
