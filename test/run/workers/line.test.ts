import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { createWorkerLine, type WorkerLine } from '../../../src/run/workers/line.ts';
import type { ProbeTask } from '../../fixtures/pool.program.ts';

const filename = fileURLToPath(new URL('../../fixtures/pool.program.ts', import.meta.url));
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
    start(2, { limitMs: 60_000 });
    await Promise.all([line.run({ kind: 'echo', value: 0 }), line.run({ kind: 'echo', value: 0 })]);
    let done = 0;
    const slow = Array.from({ length: 4 }, () =>
      line.run({ kind: 'spin', ms: 300 }, { isSlow: true }).then(() => done++),
    );
    // However long the slow ones take together, none of these waits for more than the one at work.
    for (let value = 0; value < 10; value++) await line.run({ kind: 'echo', value });
    expect(done).toBeLessThan(4);
    await Promise.all(slow);
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
