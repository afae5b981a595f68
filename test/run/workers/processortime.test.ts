import { describe, expect, it } from 'vitest';
import { planNextLook, readProcessorMs } from '../../../src/run/workers/processortime.ts';

describe('planNextLook', () => {
  const limitMs = 2000;
  it.each([
    ['has used its time', { usedMs: 2000, lastUsedMs: 0, elapsedMs: 2000 }, undefined],
    ['hangs from the start', { usedMs: 20, lastUsedMs: 0, elapsedMs: 2000 }, undefined],
    ['hangs after it has worked', { usedMs: 900, lastUsedMs: 890, elapsedMs: 4000 }, undefined],
    ['has half of its time left', { usedMs: 1000, lastUsedMs: 0, elapsedMs: 2000 }, 1000],
    ['seldom gets the processor', { usedMs: 100, lastUsedMs: 0, elapsedMs: 2000 }, 1900],
    ['has next to nothing left', { usedMs: 1990, lastUsedMs: 1000, elapsedMs: 5000 }, 500],
    ['gets so little that it would never end', { usedMs: 900, lastUsedMs: 800, elapsedMs: 20_001 }, undefined],
  ])('a task that %s', (_what, task, expected) => {
    expect(planNextLook({ limitMs, ...task })).toBe(expected);
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
