import { asStoplineError, type StoplineError } from '../errors.ts';
import type { Frame } from '../image/frame.ts';
import type { Verdict } from '../profile/verdict.ts';
import type { Route } from '../settings.ts';
import { type Action, chooseTiming, type Decision, decide, judgeWithin, type Policy } from './policy.ts';
import type { FoundImages } from './protocols/protocol.ts';

/** What became of a request at the gate. */
export interface Passage {
  /** `observe`: let through and judged beside; `skip`: let through unjudged, outside the sampled share. */
  action: Action | 'observe' | 'skip';
  /** Where it was judged before it was let through or refused. */
  decision?: Decision;
  /** Where it is judged beside: what comes of it. Never rejects. */
  judged?: Promise<Decision>;
  found?: FoundImages | undefined;
}

/** What a gate reports for each request: bounded sets, so that they can be labels. */
export interface Report {
  outcome: 'forwarded' | 'refused' | 'bypassed' | 'observed' | 'skipped';
  /** A verdict, or the code of an error without its prefix. */
  reason: string;
  /** Why the request was let through although not all of it was judged. */
  unjudged?: StoplineError;
}

export interface Admission {
  policy: Policy;
  /** Finds the images; what it throws is an error of judging. */
  find(): FoundImages | Promise<FoundImages>;
  inspect(image: Uint8Array | Frame, signal: AbortSignal): Promise<Verdict>;
  report(report: Report): void;
  /** What judging beside waits for; default: that what is to be forwarded has been handed on. */
  begin?: () => Promise<unknown>;
  /** The client went away. */
  signal?: AbortSignal;
}

/** Decides on one request: library policy, all its images. */
export async function admit({ policy, find, inspect, report, begin, signal }: Admission): Promise<Passage> {
  const judgeAll = async (): Promise<{ decision: Decision; found?: FoundImages }> => {
    let found: FoundImages;
    try {
      found = await find();
    } catch (error) {
      return { decision: decide(policy, [{ error: asStoplineError(error) }]) };
    }
    const judging = found.images.map((image) =>
      judgeWithin(policy.verdictTimeoutMs, (signal) => inspect(image, signal), signal),
    );
    const judged = await Promise.all(judging);
    const { unjudged } = found;
    if (!unjudged) return { decision: decide(policy, judged), found };
    // What is left over cannot be taken out of the request, so it is refused or let through whole.
    const decision = decide({ ...policy, partial: false }, [...judged, { error: unjudged }]);
    const refused = decision.refused.filter((position) => position < judged.length);
    return { decision: { ...decision, refused }, found };
  };
  const timing = chooseTiming(policy, Math.random());
  if (timing === 'never') {
    report({ outcome: 'skipped', reason: 'share' });
    return { action: 'skip' };
  }
  if (timing === 'beside') {
    // What is to be forwarded goes first: finding images is work.
    const judged = (begin ? begin() : new Promise<void>((resolve) => setImmediate(resolve))).then(async () => {
      const { decision } = await judgeAll();
      report({ outcome: 'observed', reason: describeReason(decision), ...unjudgedBy(decision) });
      return decision;
    });
    return { action: 'observe', judged };
  }
  const { decision, found } = await judgeAll();
  const outcome = ({ forward: 'forwarded', refuse: 'refused', bypass: 'bypassed' } as const)[decision.action];
  if (!signal?.aborted) report({ outcome, reason: describeReason(decision), ...unjudgedBy(decision) });
  return { action: decision.action, decision, found };
}

function describeReason({ action, verdict, error }: Decision): string {
  if (action === 'forward' || !error || error.code === 'STOPLINE_ERR_IMAGE_REFUSED') return verdict?.verdict ?? 'none';
  return shortCode(error);
}

function unjudgedBy({ action, error }: Decision): Pick<Report, 'unjudged'> {
  return action === 'bypass' && error ? { unjudged: error } : {};
}

function shortCode({ code }: StoplineError): string {
  return code.replace('STOPLINE_ERR_', '');
}

/** The policy of a route: what the route says, else what the settings say. */
export function resolvePolicy(settings: Policy, route: Route | undefined): Policy {
  const { mode, onError, share, partial, verdictTimeoutMs } = { ...settings, ...route };
  return { mode, onError, share, partial, verdictTimeoutMs };
}

/** What `Retry-After` says to a client that should wait so long. */
export function roundRetryAfter(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1000));
}

/** Reasons named in a header. */
const maxReasons = 5;

/** What a passage tells the client, and the upstream: one verdict, that of the strangest image. */
export function passageHeaders({ action, decision }: Passage): Record<string, string> {
  if (action === 'observe') return { 'x-stopline-verdict': 'pending' };
  if (action === 'skip') return { 'x-stopline-verdict': 'skipped' };
  const { verdict, error, refused = [] } = decision ?? {};
  const isVerdict = verdict && (!error || error.code === 'STOPLINE_ERR_IMAGE_REFUSED');
  const headers: Record<string, string> = {
    'x-stopline-verdict': isVerdict
      ? verdict.verdict
      : `${action === 'bypass' ? 'bypass' : 'none'}; reason=${error ? shortCode(error) : 'none'}`,
  };
  if (verdict) {
    headers['x-stopline-p-value'] = String(Number(verdict.pValue.toPrecision(4)));
    headers['x-stopline-profile'] = verdict.profile.sha256.slice(0, 12);
    const reasons = verdict.reasons.slice(0, maxReasons).map(({ group }) => group);
    if (reasons.length > 0) headers['x-stopline-reasons'] = reasons.join(', ');
  }
  if (refused.length > 0) headers['x-stopline-refused'] = refused.join(', ');
  return headers;
}
