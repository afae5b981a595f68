import { describe, expect, it } from 'vitest';
import { StoplineError } from '../../src/errors.ts';
import { admit, passageHeaders, type Report, roundRetryAfter } from '../../src/gate/admission.ts';
import { defaultPolicy, type Policy } from '../../src/gate/policy.ts';
import type { FoundImages } from '../../src/gate/protocols/protocol.ts';
import type { Verdict } from '../../src/profile/verdict.ts';

const leftOver = new StoplineError('UNINSPECTED', 'Expected an image that can be inspected but one is elsewhere.');
/** The verdict of an image is what its bytes say. */
const inspect = async (image: unknown) =>
  ({
    verdict: Buffer.from(image as Uint8Array).toString(),
    pValue: 0.5,
    falseAlarmRate: { warn: 0.01, block: 0.001 },
    reasons: [],
    profile: { sha256: 'f'.repeat(64) },
  }) as unknown as Verdict;

async function ask(policy: Partial<Policy>, found: Partial<FoundImages> | StoplineError) {
  const reports: Report[] = [];
  const passage = await admit({
    policy: { ...defaultPolicy, ...policy },
    find: () => {
      if (found instanceof StoplineError) throw found;
      return { images: [], ...found };
    },
    inspect,
    report: (report) => reports.push(report),
  });
  await passage.judged;
  return { passage, report: reports[0] };
}

const pass = Buffer.from('pass');
const block = Buffer.from('block');
const closed = { mode: 'enforce', onError: 'closed' } as const;
const open = { mode: 'enforce', onError: 'open' } as const;

describe('a request of which something is left over', () => {
  it('is refused by a closed gate, whatever else it holds, also where a part could go on', async () => {
    for (const partial of [false, true]) {
      const { passage, report } = await ask({ ...closed, partial }, { images: [pass, block], unjudged: leftOver });
      expect(passage.action).toBe('refuse');
      expect(passage.decision?.refused).toEqual([1]);
      expect(report?.unjudged).toBeUndefined();
    }
    const { passage } = await ask(closed, { images: [pass], unjudged: leftOver });
    expect(passage.decision).toMatchObject({ action: 'refuse', error: leftOver });
    expect(passageHeaders(passage)['x-stopline-verdict']).toBe('none; reason=UNINSPECTED');
  });

  it('goes through an open gate, which says so, unless one of its images is refused', async () => {
    const { passage, report } = await ask(open, { images: [pass], unjudged: leftOver });
    expect(passage.action).toBe('bypass');
    expect(report).toEqual({ outcome: 'bypassed', reason: 'UNINSPECTED', unjudged: leftOver });
    const refused = await ask(open, { images: [block, pass], unjudged: leftOver });
    expect(refused.passage).toMatchObject({ action: 'refuse', decision: { verdict: { verdict: 'block' } } });
  });

  it('is told of while observing, too', async () => {
    const { report } = await ask({ mode: 'observe' }, { images: [block], unjudged: leftOver });
    expect(report).toEqual({ outcome: 'observed', reason: 'UNINSPECTED', unjudged: leftOver });
    const none = await ask({ mode: 'observe' }, leftOver);
    expect(none.report).toEqual({ outcome: 'observed', reason: 'UNINSPECTED', unjudged: leftOver });
  });
});

describe('a request that is judged whole', () => {
  it('is reported without anything that was let through', async () => {
    expect((await ask(open, { images: [pass] })).report).toEqual({ outcome: 'forwarded', reason: 'pass' });
    expect((await ask(open, { images: [block] })).report).toEqual({ outcome: 'refused', reason: 'block' });
    expect((await ask({ share: 0 }, { images: [pass] })).report).toEqual({ outcome: 'skipped', reason: 'share' });
  });
});

it('Retry-After is whole seconds, and at least one', () => {
  expect([0, 1, 1000, 1001].map(roundRetryAfter)).toEqual([1, 1, 1, 2]);
});
