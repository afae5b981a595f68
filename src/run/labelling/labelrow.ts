import { createReadStream } from 'node:fs';
import { StoplineError } from '../../errors.ts';
import { quotePath, unreadable } from '../../image/file.ts';
import { statistics } from '../../image/statistics/statistics.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { check, Type } from '../../schema.ts';
import { openManifest } from '../inputs/manifest.ts';
import { decodeText, splitLines } from '../inputs/text.ts';
import type { ObjectStore } from '../objects.ts';
import type { Columns } from '../rows/row.ts';

/** One image that somebody may label: a row of `score`, or as much of one as a table or a quarantine holds. */
export interface LabelRow {
  /** Where the image lies: a path, a URL, or `archive.tar/member.jpg`. */
  path: string;
  verdict: Verdict['verdict'];
  pValue: number;
  score: number;
  expectedFlipRate?: Pick<NonNullable<Verdict['expectedFlipRate']>, 'rate'>;
  reasons: { text: string; group?: string }[];
  causes?: Verdict['causes'];
  cause?: Pick<NonNullable<Verdict['cause']>, 'text'>;
  projection?: number[];
  statistics: Record<string, number | null>;
  image: { format: string; width: number; height: number; sha256?: string; hash?: string };
  columns?: Columns;
  /** The camera, where a service judged it. */
  source?: string;
  /** When it was judged, in milliseconds since 1970, where a service judged it. */
  at?: number;
}

/**
 * The rows that `score` wrote, as JSON lines, CSV or Parquet by the ending of the name, in their order. Tables hold no probable causes.
 * What could not be judged has no verdict to look at and is left out.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, REQUEST_INVALID for what is no row, MANIFEST_INVALID
 */
export async function* readLabelRows(file: string, store: ObjectStore): AsyncGenerator<LabelRow> {
  if (/\.(csv|parquet)$/i.test(file)) {
    const { rows } = await openManifest(file, { store, maxBytes: 0 });
    let number = 0;
    for await (const cells of rows) yield* keepRow(fromTable(cells), file, ++number);
    return;
  }
  let number = 0;
  try {
    for await (const line of splitLines(decodeText(createReadStream(file)), file)) {
      number++;
      if (line.trim() !== '') yield* keepRow(parseJson(line), file, number);
    }
  } catch (cause) {
    throw cause instanceof StoplineError ? cause : unreadable(file, cause as NodeJS.ErrnoException);
  }
}

/** @throws {StoplineError} REQUEST_INVALID */
function* keepRow(row: unknown, file: string, number: number): Generator<LabelRow> {
  if (isRow(row)) yield row;
  else if (!isFailure(row)) {
    throw new StoplineError(
      'REQUEST_INVALID',
      `Expected a row of score in line ${number} of ${quotePath(file)} but received none. Make them: stopline score IMAGES --profile FILE --out verdicts.jsonl`,
    );
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const Text = Type.String();
const Side = Type.Integer({ minimum: 1 });
const RowSchema = Type.Object({
  path: Text,
  verdict: Type.Enum(['pass', 'warn', 'block']),
  pValue: Type.Number(),
  score: Type.Number(),
  expectedFlipRate: Type.Optional(Type.Object({ rate: Type.Number() })),
  reasons: Type.Array(Type.Object({ text: Text, group: Type.Optional(Text) })),
  causes: Type.Optional(Type.Array(Type.Object({ cause: Text, probability: Type.Number() }))),
  cause: Type.Optional(Type.Object({ text: Text })),
  projection: Type.Optional(Type.Array(Type.Number())),
  statistics: Type.Record(Text, Type.Union([Type.Number(), Type.Null()])),
  // Names of files are made of these two.
  image: Type.Object({
    format: Type.String({ pattern: '^[a-z0-9]{1,16}$' }),
    width: Side,
    height: Side,
    sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$' })),
    hash: Type.Optional(Text),
  }),
  source: Type.Optional(Text),
  at: Type.Optional(Type.Number()),
});

/** Every field is looked at, because rows are files that come from elsewhere. */
const isRow = (row: unknown): row is LabelRow => check(RowSchema, row);

function isFailure(row: unknown): boolean {
  const { path, error } = (row ?? {}) as { path?: unknown; error?: { code?: unknown } };
  return typeof path === 'string' && typeof error?.code === 'string';
}

/** A row out of the columns of a table; numbers of CSV are texts. */
function fromTable(cells: Record<string, unknown>): unknown {
  const { path, verdict, errorCode, reason, format } = cells;
  if (errorCode) return { path, error: { code: errorCode } };
  const number = (name: string) => {
    const cell = cells[name];
    return cell === null || cell === undefined || cell === '' ? undefined : Number(cell);
  };
  const rate = number('expectedFlipRate');
  return {
    path,
    verdict,
    pValue: number('pValue'),
    score: number('score'),
    ...(rate !== undefined && { expectedFlipRate: { rate } }),
    reasons: reason ? [{ text: String(reason) }] : [],
    statistics: Object.fromEntries(statistics.map(({ name }) => [name, number(name) ?? null])),
    image: { format: String(format), width: number('width'), height: number('height') },
  };
}
