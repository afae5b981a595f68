import { stat } from 'node:fs/promises';
import { StoplineError } from '../errors.ts';
import { quotePath } from '../image/file.ts';
import { type LabelRow, readLabelRows } from '../run/labelling/labelrow.ts';
import { isObjectUrl, type ObjectStore } from '../run/objects.ts';
import { readQuarantine } from '../server/quarantine/read.ts';

/** What the commands that prepare labelling take. */
export const sourceHelp =
  'rows of score (.jsonl; .csv and .parquet hold less), or a quarantine: its folder, or s3://bucket/prefix';

/**
 * The judged images of all sources, one after the other.
 * @throws {StoplineError} INPUT_*, REQUEST_INVALID, OBJECTS_UNAVAILABLE; INPUT_NO_IMAGES where there are none
 */
export async function* readSources(sources: readonly string[], store: ObjectStore): AsyncGenerator<LabelRow> {
  let isEmpty = true;
  for (const source of sources) {
    for await (const row of readSource(source, store)) {
      isEmpty = false;
      yield row;
    }
  }
  if (!isEmpty) return;
  throw new StoplineError(
    'INPUT_NO_IMAGES',
    `Expected rows of score or a quarantine with images in ${sources.map(quotePath).join(', ')} but found no verdict.`,
  );
}

async function* readSource(source: string, store: ObjectStore): AsyncGenerator<LabelRow> {
  const isFolder = isObjectUrl(source) || (await stat(source).catch(() => undefined))?.isDirectory();
  if (!isFolder) return yield* readLabelRows(source, store);
  for await (const { kept, location } of readQuarantine(source, store)) {
    const { timingMs: _, ...verdict } = kept.verdict;
    yield { path: location, ...verdict, source: kept.source, at: kept.at };
  }
}
