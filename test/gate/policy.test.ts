import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StoplineError } from '../../src/errors.ts';
import {
  type Action,
  actionOn,
  chooseTiming,
  decide,
  defaultPolicy,
  type Judged,
  judgeWithin,
  type Mode,
  type OnError,
  refusalFor,
} from '../../src/gate/policy.ts';
import type { Verdict } from '../../src/profile/verdict.ts';

const makeVerdict = (verdict: Verdict['verdict'], pValue = 0.5) =>
  ({
    verdict,
    pValue,
    falseAlarmRate: { warn: 0.01, block: 0.001 },
    reasons: [{ text: 'darker than the reference' }, { text: 'noisier' }],
  }) as Verdict;
const error = new StoplineError('OVERLOADED', 'Expected less but received more.');
const found: Record<string, Judged> = {
  pass: { verdict: makeVerdict('pass') },
  warn: { verdict: makeVerdict('warn', 0.005) },
  block: { verdict: makeVerdict('block', 0.0005) },
  error: { error },
};

/** The table of docs/gate.md: mode, on error, then what is done on pass, warn, block and error. */
const document = readFileSync(new URL('../../docs/gate.md', import.meta.url), 'utf8');
const table = [...document.matchAll(/^\| (observe|enforce) +\| (open|closed) +\|(.*)\|$/gm)].map(
  ([, mode, onError, cells]) =>
    [mode as Mode, onError as OnError, cells.split('|').map((cell) => cell.trim() as Action)] as const,
);

describe('the policy', () => {
  it('is documented whole', () => {
    expect(table.map(([mode, onError]) => `${mode} ${onError}`)).toEqual([
      'observe open',
      'observe closed',
      'enforce open',
      'enforce closed',
    ]);
    expect(table.map(([, , actions]) => actions.length)).toEqual([4, 4, 4, 4]);
  });

  it.each(table)('%s and %s: %s on pass, warn, block and error', (mode, onError, actions) => {
    const findings = ['pass', 'warn', 'block', 'error'] as const;
    expect(findings.map((finding) => actionOn({ mode, onError }, finding))).toEqual(actions);
    const policy = { mode, onError, partial: false };
    expect(findings.map((finding) => decide(policy, [found[finding]]).action)).toEqual(actions);
  });

  it('lets nothing through unjudged only while enforcing closed, and by default refuses nothing', () => {
    expect(defaultPolicy).toMatchObject({ mode: 'observe', share: 1, partial: false });
    const leaks = table.filter(
      ([mode, onError]) => decide({ mode, onError, partial: false }, [found.error]).action !== 'refuse',
    );
    expect(leaks.map(([mode, onError]) => `${mode} ${onError}`)).toEqual([
      'observe open',
      'observe closed',
      'enforce open',
    ]);
  });

  it('judges before forwarding only while enforcing, and only the share', () => {
    expect(chooseTiming({ mode: 'enforce', share: 1 }, 0.999)).toBe('before');
    expect(chooseTiming({ mode: 'observe', share: 1 }, 0.999)).toBe('beside');
    expect(chooseTiming({ mode: 'enforce', share: 0.25 }, 0.2499)).toBe('before');
    expect(chooseTiming({ mode: 'enforce', share: 0.25 }, 0.25)).toBe('never');
    expect(chooseTiming({ mode: 'enforce', share: 0 }, 0)).toBe('never');
  });
});

describe('a batch', () => {
  const enforce = { mode: 'enforce', onError: 'open', partial: false } as const;
  const { pass, warn, block, error: failed } = found;

  it('is refused whole, for the first refused image, and shows the strangest verdict', () => {
    const decision = decide(enforce, [pass, block, warn, { verdict: makeVerdict('block', 0.0001) }]);
    expect(decision).toMatchObject({
      action: 'refuse',
      refused: [1, 3],
      verdict: { verdict: 'block', pValue: 0.0001 },
    });
    expect(decision.error?.code).toBe('STOPLINE_ERR_IMAGE_REFUSED');
    expect(decision.error?.message).toContain('p-value of 0.0005');
  });

  it('goes on without the refused ones when partial, unless all are refused', () => {
    expect(decide({ ...enforce, partial: true }, [pass, block])).toMatchObject({ action: 'forward', refused: [1] });
    expect(decide({ ...enforce, partial: true }, [block, block])).toMatchObject({ action: 'refuse', refused: [0, 1] });
    const closed = { ...enforce, onError: 'closed', partial: true } as const;
    expect(decide(closed, [failed, pass, block])).toMatchObject({ action: 'forward', refused: [0, 2] });
  });

  it('is bypassed for one image without a verdict when open, refused when closed', () => {
    expect(decide(enforce, [warn, failed])).toMatchObject({ action: 'bypass', error, verdict: { verdict: 'warn' } });
    expect(decide({ ...enforce, onError: 'closed' }, [warn, failed])).toMatchObject({
      action: 'refuse',
      error,
      refused: [1],
    });
    expect(decide(enforce, [failed, block]).action).toBe('refuse');
  });
});

describe('judging within a time', () => {
  it('gives the verdict, or what went wrong as a coded error', async () => {
    expect(await judgeWithin(1000, async () => makeVerdict('warn'))).toEqual({ verdict: makeVerdict('warn') });
    const broken = await judgeWithin(1000, () => Promise.reject(new TypeError('no such field')));
    expect(broken.error?.code).toBe('STOPLINE_ERR_INTERNAL');
    expect((await judgeWithin(1000, () => Promise.reject(error))).error).toBe(error);
  });

  it('tells the judge when time is up or the caller went away', async () => {
    const waits = (signal: AbortSignal) =>
      new Promise<Verdict>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    expect((await judgeWithin(5, waits)).error?.code).toBe('STOPLINE_ERR_VERDICT_TIMEOUT');
    const gone = new AbortController();
    const judged = judgeWithin(60_000, waits, gone.signal);
    gone.abort(error);
    expect((await judged).error).toBe(error);
  });

  it('says in words why an image is refused', () => {
    expect(refusalFor(makeVerdict('block', 0.00050001)).message).toBe(
      'Expected an image like the reference but received one with a p-value of 0.0005, where 0.001 or less is refused: darker than the reference; noisier.',
    );
  });
});
