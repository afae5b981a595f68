import { asStoplineError, StoplineError } from '../errors.ts';
import type { Verdict } from '../profile/verdict.ts';

/** `observe` judges and reports but lets everything through; `enforce` refuses what is blocked. */
export type Mode = 'observe' | 'enforce';
/** What becomes of an image that cannot be judged while enforcing: let through (`open`) or refused (`closed`). */
export type OnError = 'open' | 'closed';

/** How a gate treats what comes to it. */
export interface Policy {
  mode: Mode;
  onError: OnError;
  /** Share of requests that are judged, 0 to 1; the others are let through. */
  share: number;
  /** How long a verdict may take, in milliseconds; later is an error. */
  verdictTimeoutMs: number;
  /** Lets the other images of a batch through where some are refused. */
  partial: boolean;
}

/** Watch first, then enforce: nothing is refused unless somebody says so. */
export const defaultPolicy: Readonly<Policy> = {
  mode: 'observe',
  onError: 'open',
  share: 1,
  verdictTimeoutMs: 2000,
  partial: false,
};

/**
 * A policy with some of its fields changed; undefined ones stay.
 * @throws {StoplineError} OPTION_INVALID
 */
export function policyFrom(base: Policy, changed: { [K in keyof Policy]?: Policy[K] | undefined }): Policy {
  const given = Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== undefined));
  const policy: Policy = { ...base, ...given };
  const expect = (isMet: boolean, what: string, received: unknown) => {
    if (isMet) return;
    throw new StoplineError('OPTION_INVALID', `Expected ${what} but received ${JSON.stringify(received) ?? received}.`);
  };
  const { mode, onError, share, verdictTimeoutMs } = policy;
  expect(mode === 'observe' || mode === 'enforce', 'mode to be observe or enforce', mode);
  expect(onError === 'open' || onError === 'closed', 'onError to be open or closed', onError);
  expect(share >= 0 && share <= 1, 'share to be a number from 0 to 1', share);
  expect(verdictTimeoutMs >= 1, 'verdictTimeoutMs to be at least 1', verdictTimeoutMs);
  return policy;
}

/** What came of judging one image. */
export type Judged = { verdict: Verdict; error?: undefined } | { verdict?: undefined; error: StoplineError };

export type Action = 'forward' | 'refuse' | 'bypass';
/** A verdict, or that there is none. */
export type Finding = Verdict['verdict'] | 'error';

/** The whole policy: what is done on each finding in each mode. `bypass` is letting through without a verdict. */
export function actionOn({ mode, onError }: Pick<Policy, 'mode' | 'onError'>, finding: Finding): Action {
  if (finding === 'error') return mode === 'enforce' && onError === 'closed' ? 'refuse' : 'bypass';
  return mode === 'enforce' && finding === 'block' ? 'refuse' : 'forward';
}

/** When a request is judged: before it is forwarded, beside it, or not at all. */
export type Timing = 'before' | 'beside' | 'never';

/** @param draw uniform in [0, 1) */
export function chooseTiming({ mode, share }: Pick<Policy, 'mode' | 'share'>, draw: number): Timing {
  if (draw >= share) return 'never';
  return mode === 'enforce' ? 'before' : 'beside';
}

/** What is done with a request, decided from all of its images. */
export interface Decision {
  action: Action;
  /** The strangest verdict among its images; absent where none has one. */
  verdict?: Verdict | undefined;
  /** Why it is refused or bypassed. */
  error?: StoplineError | undefined;
  /** Positions of the refused images. */
  refused: number[];
}

const severity = { pass: 0, warn: 1, block: 2 } as const;

/**
 * One decision for all images of a request: refused if one of them is, or, with `partial`, only if all are.
 * @param images at least one
 */
export function decide(policy: Pick<Policy, 'mode' | 'onError' | 'partial'>, images: readonly Judged[]): Decision {
  const actions = images.map(({ verdict }) => actionOn(policy, verdict?.verdict ?? 'error'));
  const refused = actions.flatMap((action, i) => (action === 'refuse' ? [i] : []));
  const verdict = images.reduce<Verdict | undefined>(
    (worst, { verdict: next }) => (next && (!worst || isStranger(next, worst)) ? next : worst),
    undefined,
  );
  const isRefused = refused.length > 0 && (!policy.partial || refused.length === images.length);
  if (isRefused) return { action: 'refuse', verdict, error: makeError(images[refused[0]]), refused };
  const bypassed = actions.indexOf('bypass');
  if (bypassed >= 0) return { action: 'bypass', verdict, error: images[bypassed].error, refused };
  return { action: 'forward', verdict, refused };
}

function isStranger(next: Verdict, worst: Verdict): boolean {
  const step = severity[next.verdict] - severity[worst.verdict];
  return step > 0 || (step === 0 && next.pValue < worst.pValue);
}

function makeError({ verdict, error }: Judged): StoplineError {
  return error ?? refusalFor(verdict);
}

/** Why an image with this verdict is refused, in words. */
export function refusalFor({ verdict, pValue, reasons, falseAlarmRate }: Verdict): StoplineError {
  const because = reasons.slice(0, 3).map(({ text }) => text);
  const rate = falseAlarmRate[verdict === 'block' ? 'block' : 'warn'];
  return new StoplineError(
    'IMAGE_REFUSED',
    `Expected an image like the reference but received one with a p-value of ${Number(pValue.toPrecision(3))}, where ${rate} or less is refused` +
      `${because.length > 0 ? `: ${because.join('; ')}` : ''}.`,
  );
}

/**
 * Waits for a verdict, but no longer than the policy allows; never throws.
 * @param judge is told when nobody waits any more
 */
export async function judgeWithin(
  timeoutMs: number,
  judge: (signal: AbortSignal) => Promise<Verdict>,
  signal?: AbortSignal,
): Promise<Judged> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new StoplineError('VERDICT_TIMEOUT', `Expected a verdict within ${timeoutMs} ms but there was none.`));
  }, timeoutMs);
  try {
    return { verdict: await judge(signal ? AbortSignal.any([late.signal, signal]) : late.signal) };
  } catch (error) {
    return { error: asStoplineError(error) };
  } finally {
    clearTimeout(timer);
  }
}
