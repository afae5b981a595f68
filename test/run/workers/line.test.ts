import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { createWorkerLine, type WorkerLine } from '../../../src/run/workers/line.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import type { ProbeTask } from '../../fixtures/pool.program.ts';

const filename = fileURLToPath(new URL('../../fixtures/pool.program.ts', import.meta.url));
const folder = temporaryFolder();
let line: WorkerLine<ProbeTask>;
const start = (threads: number, options: { limitMs: number; crashLimit?: number; maxWaitMs?: number }) => {
  const { maxWaitMs, ...processes } = options;
  line = createWorkerLine<ProbeTask>({ filename, threads, maxWaitMs, processes });
};
afterEach(() => line.destroy());

describe.skipIf(process.platform !== 'linux')('the time of a task', () => {
  it('when it is used up ends the process, which counts as slow and not as a crash', async () => {
    start(2, { limitMs: 300, crashLimit: 3 });
    for (let i = 0; i < 5; i++) {
      await expect(line.run({ kind: 'spin', ms: 60_000 })).rejects.toMatchObject({
        code: 'STOPLINE_ERR_IMAGE_TOO_COMPLEX',
      });
    }
    expect([line.crashes, line.slow, line.isFailing]).toEqual([0, 5, false]);
  });
});

describe('slow tasks', () => {
  it('wait in a line of their own and leave the workers to the others', async () => {
    start(2, { limitMs: 600_000 });
    await Promise.all([line.run({ kind: 'echo', value: 0 }), line.run({ kind: 'echo', value: 0 })]);
    const path = join(folder, 'go on');
    const slow = Array.from({ length: 4 }, () => line.run({ kind: 'holdUntil', path }, { isSlow: true }));
    // The slow ones do not end before all of these are answered.
    for (let value = 0; value < 10; value++)
      await expect(line.run({ kind: 'echo', value })).resolves.toMatchObject({ task: value });
    writeFileSync(path, '');
    expect(await Promise.all(slow)).toEqual(Array(4).fill('held'));
  });

  it('are refused by themselves where their line is too long', async () => {
    start(1, { limitMs: 60_000, maxWaitMs: 500 });
    await line.run({ kind: 'echo', value: 0 });
    const first = line.run({ kind: 'spin', ms: 300 }, { isSlow: true });
    await expect(line.run({ kind: 'echo', value: 1 }, { isSlow: true })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OVERLOADED',
    });
    expect(() => line.admit()).not.toThrow();
    await expect(line.run({ kind: 'echo', value: 2 })).resolves.toMatchObject({ task: 2 });
    await first;
  });
});
