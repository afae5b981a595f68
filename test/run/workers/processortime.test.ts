import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { planNextLook, readProcessorMs, wantsProcessor } from '../../../src/run/workers/processortime.ts';

describe('planNextLook', () => {
  const limitMs = 2000;
  it.each([
    ['has used its time', { usedMs: 2000, lastUsedMs: 0, elapsedMs: 2000 }, undefined],
    ['hangs from the start', { usedMs: 20, lastUsedMs: 0, elapsedMs: 2000 }, undefined],
    ['hangs after it has worked', { usedMs: 900, lastUsedMs: 890, elapsedMs: 4000 }, undefined],
    ['has half of its time left', { usedMs: 1000, lastUsedMs: 0, elapsedMs: 2000 }, 1000],
    ['has got no processor yet', { usedMs: 0, lastUsedMs: 0, elapsedMs: 2000, isWaiting: true }, 2000],
    ['never gets one', { usedMs: 0, lastUsedMs: 0, elapsedMs: 20_001, isWaiting: true }, undefined],
    ['seldom gets the processor', { usedMs: 100, lastUsedMs: 0, elapsedMs: 2000 }, 1900],
    ['has next to nothing left', { usedMs: 1990, lastUsedMs: 1000, elapsedMs: 5000 }, 500],
    ['gets so little that it would never end', { usedMs: 900, lastUsedMs: 800, elapsedMs: 20_001 }, undefined],
  ])('a task that %s', (_what, task, expected) => {
    expect(planNextLook({ limitMs, isWaiting: false, ...task })).toBe(expected);
  });
});

it.skipIf(process.platform !== 'linux')('processor time grows with work, and not with time', async () => {
  const before = readProcessorMs(process.pid) as number;
  const { user, system } = process.cpuUsage();
  expect(Math.abs(before - (user + system) / 1000)).toBeLessThan(100);
  const until = process.cpuUsage().user + 200_000;
  while (process.cpuUsage().user < until);
  expect((readProcessorMs(process.pid) as number) - before).toBeGreaterThanOrEqual(180);
  expect(readProcessorMs(undefined)).toBeUndefined();
  expect(readProcessorMs(2 ** 30)).toBeUndefined();
});

it.skipIf(process.platform !== 'linux')('a process that works is told from one that waits', async () => {
  // Each says that it is there: a shell that reads what never comes, and one that goes round without end.
  const [waiting, working] = ['echo; read line', 'echo; while :; do :; done'].map((program) =>
    spawn('/bin/sh', ['-c', program], { stdio: ['pipe', 'pipe', 'ignore'] }),
  );
  try {
    await Promise.all([waiting, working].map(({ stdout }) => once(stdout, 'data')));
    await expect.poll(() => wantsProcessor(waiting.pid)).toBe(false);
    await expect.poll(() => wantsProcessor(working.pid)).toBe(true);
  } finally {
    for (const child of [waiting, working]) child.kill('SIGKILL');
  }
  expect([wantsProcessor(undefined), wantsProcessor(2 ** 30)]).toEqual([false, false]);
});
