import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { asStoplineError, type StoplineError } from '../errors.ts';
import { defaultLimits } from '../image/frame.ts';
import type { Profile } from '../profile/description.ts';
import type { Pool, PoolOptions } from '../run/pool.ts';
import type { Route } from '../settings.ts';
import {
  type Admission,
  admit,
  type Passage,
  passageHeaders,
  type Report,
  resolvePolicy,
  roundRetryAfter,
} from './admission.ts';
import { peekBody } from './bodies/peek.ts';
import { openInspect, openPool } from './gate.ts';
import { defaultPolicy, type Policy, policyFrom } from './policy.ts';
import { findInParsed, hasContent, type ParsedBody } from './protocols/parsed.ts';
import type { FoundImages } from './protocols/protocol.ts';
import { protocolRoutes, protocols, undescribed } from './protocols/protocols.ts';
import { createMatcher } from './routes.ts';

/** What a gate in front of the handlers of an application needs to know. */
export interface ApplicationOptions<Request> extends Partial<Policy>, Omit<PoolOptions, 'profile' | 'isBatch'> {
  /** A loaded Profile, or the path of one. */
  profile: Profile | string;
  /**
   * Paths that take images, and what is different about each; those of the Open Inference Protocol, TensorFlow Serving and
   * TorchServe are known.
   */
  routes?: readonly Route[];
  /** Told of every request that was judged or let through unjudged. It must not throw. */
  onReport?: (report: Report, request: Request) => void;
}

/** What is said in place of the handler's answer. */
interface Refusal {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** What became of a request, with the headers that tell the client. */
export interface Admitted {
  passage: Passage;
  headers: Record<string, string>;
  refusal?: Refusal;
}

/** The one gate behind the plugin and the middleware of all frameworks. */
export class ApplicationGate<Request> {
  readonly pool: Pool;
  /** Most bytes of a body that is looked into. */
  readonly bodyLimit: number;
  readonly #settings: Policy;
  readonly #inspect: Admission['inspect'];
  readonly #match: (path: string) => Route | undefined;
  readonly #judgesAll: boolean;
  readonly #onReport: ((report: Report, request: Request) => void) | undefined;

  private constructor(
    pool: Pool,
    { settings, inspect }: { settings: Policy; inspect: Admission['inspect'] },
    options: ApplicationOptions<Request>,
  ) {
    this.pool = pool;
    this.#inspect = inspect;
    this.bodyLimit = options.limits?.maxBytes ?? defaultLimits.maxBytes;
    this.#settings = settings;
    this.#match = createMatcher([...(options.routes ?? []), ...protocolRoutes]);
    this.#judgesAll = options.routes === undefined;
    this.#onReport = options.onReport;
  }

  /** @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID */
  static async open<Request>(options: ApplicationOptions<Request>): Promise<ApplicationGate<Request>> {
    const { profile, routes, onReport, mode, onError, share, verdictTimeoutMs, partial, ...poolOptions } = options;
    const settings = policyFrom(defaultPolicy, { mode, onError, share, verdictTimeoutMs, partial });
    const pool = await openPool(profile, settings, poolOptions);
    return new ApplicationGate(pool, { settings, inspect: await openInspect(pool) }, options);
  }

  /** The route that a pattern or path fits; undefined where none does. */
  match(path: string): Route | undefined {
    return this.#match(path);
  }

  /**
   * The route by which a request is judged; undefined where it is none of the gate's business. Frameworks differ in how they
   * read a path, so one that could be read as that of a route is taken for it.
   */
  matchRequest(method: string, url: string): Route | undefined {
    if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return undefined;
    const [path] = url.split(/[?#]/, 1);
    const found = this.#match(path) ?? this.#match(readLoosely(path));
    const route = found ?? (this.#judgesAll ? undescribed : undefined);
    return route?.protocol === 'pass' ? undefined : route;
  }

  /** Judges one request, or lets it through to be judged beside. */
  async admit(
    route: Route,
    options: { request: Request; signal: AbortSignal; find: () => Promise<FoundImages> },
  ): Promise<Admitted> {
    const { request, signal, find } = options;
    const passage = await admit({
      policy: resolvePolicy(this.#settings, route),
      signal,
      find,
      inspect: this.#inspect,
      report: (report) => this.#onReport?.(report, request),
    });
    const { action, decision, found } = passage;
    const headers = passageHeaders(passage);
    if (action !== 'refuse' || !decision?.error) return { passage, headers };
    return { passage, headers, refusal: this.#refuse(decision.error, route, found?.id) };
  }

  /**
   * Judges a request of `node:http` and of the frameworks that stand on it. Its body stays to be read, unless somebody has
   * read it before; then what came of that is looked into.
   */
  async guardNode(
    route: Route,
    exchange: { raw: IncomingMessage; response: ServerResponse; request: Request } & Omit<ParsedBody, 'headers'>,
  ): Promise<Admitted> {
    const { raw, response, request, ...body } = exchange;
    const { headers } = raw;
    const signal = watchClient(response);
    if (raw.readableDidRead && hasContent(body)) {
      return this.admit(route, { request, signal, find: () => findInParsed({ ...body, headers }, route) });
    }
    // Before the handler gets it, also where it is judged beside.
    const content = await peekBody(raw, this.bodyLimit).catch(asStoplineError);
    return this.admit(route, { request, signal, find: () => this.findIn(content, headers, route) });
  }

  /** The images of a body, or why it could not be read. */
  async findIn(content: Buffer | StoplineError, headers: IncomingHttpHeaders, route: Route): Promise<FoundImages> {
    if (!Buffer.isBuffer(content)) throw content;
    return protocols[route.protocol].find({ body: content, headers, bodyLimit: this.bodyLimit }, route);
  }

  /** Finishes what was accepted, then ends the workers. */
  close(): Promise<void> {
    return this.pool.close();
  }

  #refuse(error: StoplineError, route: Route, id: string | undefined): Refusal {
    const { refusal, refusalType = 'application/json; charset=utf-8' } = protocols[route.protocol];
    const headers: Record<string, string> = { 'content-type': refusalType };
    if (error.status === 503) headers['retry-after'] = String(roundRetryAfter(this.pool.expectedWaitMs));
    return { status: error.status, headers, body: Buffer.from(JSON.stringify(refusal(error, id))) };
  }
}

/** Tells the client, and answers in the place of a handler where the request is refused. @returns whether the handler goes on */
export function answerNode(response: ServerResponse, { headers, refusal }: Admitted): boolean {
  if (response.headersSent || response.destroyed) return false;
  for (const [name, value] of Object.entries({ ...headers, ...refusal?.headers })) response.setHeader(name, value);
  if (!refusal) return true;
  response.statusCode = refusal.status;
  response.end(refusal.body);
  return false;
}

/** A path as a framework might read it that decodes letters and counts no slash twice. */
function readLoosely(path: string): string {
  let decoded = path;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    // It stays as it is for the framework, too.
  }
  return decoded.replace(/\/{2,}/g, '/');
}

/** Aborts when the client goes away before its answer was sent. */
function watchClient(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableEnded) gone.abort();
  });
  return gone.signal;
}
