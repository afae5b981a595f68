import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { createGate, type Gate, type Guarded } from '../../src/gate/gate.ts';
import type { Judged } from '../../src/gate/policy.ts';
import { decode } from '../../src/image/decode.ts';
import { encodeFrame, renderFrame } from '../fixtures/camera.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';

let reference: Reference;
let gate: Gate;
let strange: Uint8Array;
const judgements: Judged[] = [];
/** A classifier that remembers how often it was asked. */
let calls = 0;
const classify = async () => {
  calls++;
  return 'green';
};

beforeAll(async () => {
  reference = await fitReference();
  strange = await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 });
  gate = await createGate({
    profile: reference.profile,
    threads: 1,
    mode: 'enforce',
    onError: 'closed',
    verdictTimeoutMs: 60_000,
    onJudged: (judged) => judgements.push(judged),
  });
});
afterAll(async () => {
  await gate.close();
  await reference.remove();
});

async function guard(image: Uint8Array, options?: Parameters<Gate['guard']>[2]) {
  calls = 0;
  return gate.guard(image, classify, options);
}

describe('a gate in the own process', () => {
  it('lets through what is like the reference, and refuses the other without asking the classifier', async () => {
    const forwarded = await guard(reference.frame);
    expect(forwarded).toMatchObject({ outcome: 'forwarded', value: 'green', verdict: { verdict: 'pass' } });
    expect(calls).toBe(1);
    const refused = await guard(strange);
    expect(refused).toMatchObject({
      outcome: 'refused',
      error: { code: 'STOPLINE_ERR_IMAGE_REFUSED' },
      verdict: { verdict: 'block' },
    });
    expect(calls).toBe(0);
    expect(reference.frame.length).toBeGreaterThan(0);
  });

  it('closed, refuses what cannot be judged; open, lets it through and says why', async () => {
    const broken = reference.frame.subarray(0, 500);
    expect(await guard(broken)).toMatchObject({ outcome: 'refused', error: { code: 'STOPLINE_ERR_IMAGE_TRUNCATED' } });
    expect(calls).toBe(0);
    const bypassed = await guard(broken, { onError: 'open' });
    expect(bypassed).toMatchObject({
      outcome: 'bypassed',
      value: 'green',
      error: { code: 'STOPLINE_ERR_IMAGE_TRUNCATED' },
    });
    expect(calls).toBe(1);
  });

  it('observing, asks the classifier at once and tells the verdict later', async () => {
    judgements.length = 0;
    let isJudged = true;
    const result = await gate.guard(
      strange,
      () => {
        isJudged = judgements.length > 0;
        return 'green';
      },
      { mode: 'observe' },
    );
    expect(isJudged).toBe(false);
    if (result.outcome !== 'observed') throw new Error(result.outcome);
    expect((await result.judged).verdict?.verdict).toBe('block');
    expect(judgements).toEqual([await result.judged]);
  });

  it('leaves out what is not sampled', async () => {
    judgements.length = 0;
    expect(await guard(strange, { share: 0 })).toEqual({ outcome: 'unsampled', value: 'green' });
    expect(judgements).toEqual([]);
  });

  it('judges a decoded frame and leaves it to its owner', async () => {
    const { frame } = await decode(reference.frame);
    const { length } = frame.data;
    const seen = await gate.guardFrame(frame, () => frame.data.length);
    expect(seen).toMatchObject({
      outcome: 'forwarded',
      value: length,
      verdict: { image: { format: 'frame', width: 320 } },
    });
    const dark = { ...frame, data: frame.data.map((value) => value / 16) };
    expect(await gate.guardFrame(dark, classify)).toMatchObject({ outcome: 'refused', verdict: { verdict: 'block' } });
    expect(await gate.guardFrame({ ...frame, width: 321 }, classify)).toMatchObject({
      error: { code: 'STOPLINE_ERR_FRAME_INVALID' },
    });
  });

  it('throws on what the classifier throws, and what an abort says, without calling it', async () => {
    const failure = new Error('the classifier fell over');
    await expect(gate.guard(reference.frame, () => Promise.reject(failure))).rejects.toBe(failure);
    const gone = new AbortController();
    calls = 0;
    const waiting = gate.guard(reference.frame, classify, { signal: gone.signal });
    gone.abort(failure);
    await expect(waiting).rejects.toBe(failure);
    expect(calls).toBe(0);
  });

  it('does not start without a Profile or with a policy that does not exist', async () => {
    await expect(createGate({ profile: '/nowhere.stopline' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_PROFILE_UNREADABLE',
    });
    const { profile } = reference;
    await expect(createGate({ profile, mode: 'block' as 'enforce' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
    });
    await expect(guard(strange, { share: 2 })).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
  });

  it('is typed by what happened', () => {
    type Forwarded = Extract<Guarded<string>, { outcome: 'forwarded' }>;
    expectTypeOf<Forwarded['value']>().toEqualTypeOf<string>();
    expectTypeOf<Extract<Guarded<string>, { outcome: 'refused' }>>().not.toHaveProperty('value');
  });
});
