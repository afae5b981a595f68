import { createReadStream } from 'node:fs';
import type { Observable } from '../drift/observation.ts';
import { type ErrorJson, StoplineError } from '../errors.ts';
import type { Profile } from '../profile/description.ts';
import { decodeText, splitLines } from '../run/inputs/text.ts';
import type { Columns, Row } from '../run/rows/row.ts';

/** One row, of which at least so much was checked as a monitor needs. */
export type ReplayedRow = { path: string; columns?: Columns } & (Observable | { error: ErrorJson });

/**
 * Rows of `score` in their order.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, REQUEST_INVALID, OPTION_INVALID for those of another Profile
 */
export async function* readRows(path: string, { sha256 }: Profile, decideBy?: string): AsyncGenerator<Row> {
  const lines = splitLines(decodeText(createReadStream(path)), path);
  let number = 0;
  try {
    for await (const line of lines) {
      number++;
      if (line.trim() === '') continue;
      const row = parseRow(line);
      if (!row) {
        throw new StoplineError(
          'REQUEST_INVALID',
          `Expected a row of score in line ${number} of "${path}" but received none.`,
        );
      }
      if (!('error' in row) && (row.profile.sha256 !== sha256 || (decideBy ?? row.decidedBy) !== row.decidedBy)) {
        throw new StoplineError(
          'OPTION_INVALID',
          `Expected rows of the Profile ${sha256.slice(0, 12)} decided by ${decideBy ?? 'any detector'} but line ${number} of "${path}" is of ${row.profile.sha256.slice(0, 12)}, decided by ${row.decidedBy}.`,
        );
      }
      yield row;
    }
  } catch (cause) {
    if (cause instanceof StoplineError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new StoplineError(
      code === 'ENOENT' ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE',
      `"${path}" cannot be read: ${message}.`,
      { cause },
    );
  }
}

function parseRow(line: string): Row | undefined {
  try {
    const row = JSON.parse(line);
    if (typeof row?.path !== 'string') return undefined;
    if (typeof row.error?.code === 'string') return row;
    const { pValue, score, statistics, image, profile } = row;
    const isWhole =
      typeof pValue === 'number' && typeof score === 'number' && statistics !== null && typeof statistics === 'object';
    return isWhole &&
      typeof image?.sha256 === 'string' &&
      typeof image.hash === 'string' &&
      typeof profile?.sha256 === 'string'
      ? row
      : undefined;
  } catch {
    return undefined;
  }
}
