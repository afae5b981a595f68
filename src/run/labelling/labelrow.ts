import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { StoplineError } from '../../errors.ts';
import { quotePath, unreadable } from '../../image/file.ts';
import { statistics } from '../../image/statistics/statistics.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { openManifest } from '../inputs/manifest.ts';
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
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
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

function isRow(row: unknown): row is LabelRow {
  const { path, verdict, pValue, score, reasons, statistics: values, image } = (row ?? {}) as Partial<LabelRow>;
  return (
    typeof path === 'string' &&
    (verdict === 'pass' || verdict === 'warn' || verdict === 'block') &&
    typeof pValue === 'number' &&
    typeof score === 'number' &&
    Array.isArray(reasons) &&
    typeof values === 'object' &&
    values !== null &&
    typeof image?.width === 'number' &&
    typeof image.height === 'number'
  );
}

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
