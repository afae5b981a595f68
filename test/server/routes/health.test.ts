import { expect, it } from 'vitest';
import { StoplineError } from '../../../src/errors.ts';
import type { Profile } from '../../../src/profile/description.ts';
import { createBreaker } from '../../../src/server/breaker.ts';
import { createRefusingPool, Judge } from '../../../src/server/judge.ts';
import { describeReadiness, type HealthParts } from '../../../src/server/routes/health.ts';

const refusal = new StoplineError('PROFILE_UNREADABLE', 'There is no Profile.');
const idle = { ...createRefusingPool(refusal), admit: () => undefined };
const full = {
  ...idle,
  admit() {
    throw new StoplineError('OVERLOADED', 'Too many.');
  },
};
const openJudge = (pool: typeof idle) => new Judge({ pool, profile: {} as Profile });
const none = new Judge({ refusal });

it.each<[string, Partial<HealthParts>, object]>([
  ['a service that serves', {}, { ready: true }],
  ['one that starts', { state: { phase: 'starting' } }, { ready: false, reason: 'starting' }],
  ['one that is full', { judge: openJudge(full) }, { ready: false, reason: 'overloaded' }],
  ['one whose workers crash', { judge: openJudge({ ...idle, isFailing: true }) }, { ready: false, reason: 'crashing' }],
  ['a closed gate without a Profile', { judge: none, state: { phase: 'failed' } }, { ready: false, reason: 'failed' }],
  [
    'an open gate without a Profile',
    { judge: none, state: { phase: 'failed' }, isOpen: true },
    { ready: true, degraded: 'failed' },
  ],
  [
    'an open gate that needs its Profile',
    { judge: none, state: { phase: 'failed' }, isOpen: true, needsProfile: true },
    { ready: false, reason: 'failed' },
  ],
  ['an open gate that is full', { judge: openJudge(full), isOpen: true }, { ready: true, degraded: 'overloaded' }],
  [
    'an open gate whose workers crash, which needs its Profile',
    { judge: openJudge({ ...idle, isFailing: true }), isOpen: true, needsProfile: true },
    { ready: true, degraded: 'crashing' },
  ],
  ['an open gate that ends', { state: { phase: 'draining' }, isOpen: true }, { ready: false, reason: 'draining' }],
])('%s', (_name, parts, readiness) => {
  const usual = {
    judge: openJudge(idle),
    state: { phase: 'serving' as const },
    isOpen: false,
    needsProfile: false,
    breakers: [],
  };
  expect(describeReadiness({ ...usual, ...parts })).toEqual(readiness);
});

it('a gate whose upstream is away is not ready, open or not', () => {
  const breaker = createBreaker({ failures: 1, retryMs: 1000 });
  breaker.failed();
  const parts = {
    judge: openJudge(idle),
    state: { phase: 'serving' as const },
    breakers: [breaker],
    needsProfile: false,
  };
  for (const isOpen of [true, false]) {
    expect(describeReadiness({ ...parts, isOpen })).toEqual({ ready: false, reason: 'upstream' });
  }
});
