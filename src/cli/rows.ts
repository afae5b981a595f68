import { once } from 'node:events';
import { open, rename, unlink } from 'node:fs/promises';
import { StoplineError } from '../errors.ts';

/** Where rows go. Writing waits for the disk or the reader, so memory stays flat however slow they are. */
export interface RowWriter {
  /** What a row that is written so far can be found under. */
  readonly path: string;
  write(text: string): Promise<void>;
  /** Makes the rows visible under their final name. */
  finish(): Promise<void>;
  /** Closes the file and leaves it under its `.partial` name. */
  keep(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}

const chunkLength = 64 * 1024;

/**
 * Writes to `FILE.partial`, which becomes FILE when it is complete: whoever sees FILE sees all of it.
 * @throws {StoplineError} OUTPUT_UNWRITABLE, from every method
 */
export async function openRowFile(path: string): Promise<RowWriter> {
  const partial = `${path}.partial`;
  const attempt = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${path}" but ${message}.`, { cause });
    }
  };
  const file = await attempt(() => open(partial, 'w'));
  let pending = '';
  const flush = () =>
    attempt(async () => {
      const text = pending;
      pending = '';
      await file.writeFile(text);
    });
  return {
    path: partial,
    async write(text) {
      pending += text;
      if (pending.length >= chunkLength) await flush();
    },
    async finish() {
      await flush();
      await attempt(async () => {
        await file.sync();
        await file.close();
        await rename(partial, path);
      });
    },
    async keep() {
      await flush();
      await attempt(() => file.close());
    },
    async discard() {
      await file.close().catch(() => undefined);
      await unlink(partial).catch(() => undefined);
    },
  };
}

/** Rows on standard output. */
export function standardOutputRows(): RowWriter {
  return {
    path: 'standard output',
    async write(text) {
      if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    },
    async finish() {},
    async keep() {},
    async discard() {},
  };
}
