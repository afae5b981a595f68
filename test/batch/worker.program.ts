/** A worker of a queue whose pool takes every image for an empty one, and dies of one that is called poison. */
import { startQueueWorker } from '../../src/batch/queue.ts';
import { createObjectStore } from '../../src/batch/s3.ts';
import type { Pool } from '../../src/pool.ts';
import { type Row, writeRow } from '../../src/row.ts';

const pool = {
  info: { threads: 2 },
  async score({ name, error }: Parameters<Pool['score']>[0], format: Parameters<Pool['score']>[1]) {
    if (error === undefined && name.endsWith('poison.jpg')) process.kill(process.pid, 'SIGKILL');
    const empty = { code: 'STOPLINE_ERR_IMAGE_EMPTY', message: 'empty' };
    return writeRow(format, { path: name, error: error ?? empty } satisfies Row);
  },
  async close() {},
} as unknown as Pool;

await startQueueWorker(process.argv[2], {
  stalledMs: 1000,
  inputs: { store: createObjectStore(), maxBytes: 100 },
  openPool: async () => pool,
});
