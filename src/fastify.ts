import type { FastifyInstance, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { StoplineError } from './errors.ts';
import { admit, type Passage, passageHeaders, type Report, resolvePolicy, roundRetryAfter } from './gate/admission.ts';
import { placeText } from './gate/bodies/encodedtext.ts';
import { openPool } from './gate/gate.ts';
import { defaultPolicy, type Policy, policyFrom } from './gate/policy.ts';
import type { FoundImages } from './gate/protocols/protocol.ts';
import { protocolRoutes, protocols } from './gate/protocols/protocols.ts';
import { Search } from './gate/protocols/search.ts';
import { invalid, uninspected } from './gate/protocols/tensor.ts';
import { createMatcher } from './gate/routes.ts';
import { defaultLimits } from './image/frame.ts';
import type { Profile } from './profile/description.ts';
import type { Pool, PoolOptions } from './run/pool.ts';
import type { Route } from './settings.ts';

/** How the gate in front of the handlers judges and decides; only `profile` is needed. */
export interface StoplineOptions extends Partial<Policy>, Omit<PoolOptions, 'profile' | 'isBatch'> {
  /** A loaded Profile, or the path of one. */
  profile: Profile | string;
  /**
   * Routes of this application that take images, by the path they were declared with (`/classify/:camera`), and what is
   * different about each. Those of the Open Inference Protocol and of TensorFlow Serving are known.
   */
  routes?: readonly Route[];
  /** Told of every request that was judged or let through unjudged. It must not throw. */
  onReport?: (report: Report, request: FastifyRequest) => void;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What the gate made of this request; null on routes that are not judged. */
    stopline: Passage | null;
  }
  interface FastifyInstance {
    stopline: { pool: Pool };
  }
}

/**
 * A gate in front of the handlers of a Fastify application: finds the images of a request, judges them, and refuses it or
 * lets it through, with `request.stopline` saying why. Images are judged in worker threads.
 *
 * @example
 * import stopline from 'stopline/fastify';
 * await app.register(stopline, {
 *   profile: 'camera.stopline',
 *   mode: 'enforce',
 *   onError: 'closed',
 *   routes: [{ path: '/classify', protocol: 'image' }],
 * });
 * app.post('/classify', async (request) => classifier.predict(request.body));
 */
async function stopline(app: FastifyInstance, options: StoplineOptions): Promise<void> {
  const { profile, routes = [], onReport, mode, onError, share, verdictTimeoutMs, partial, ...poolOptions } = options;
  const settings = policyFrom(defaultPolicy, { mode, onError, share, verdictTimeoutMs, partial });
  const match = createMatcher([...routes, ...protocolRoutes]);
  const pool = await openPool(profile, settings, poolOptions);
  app.decorate('stopline', { pool });
  app.decorateRequest('stopline', null);
  app.addHook('onClose', () => pool.close());

  const bodyLimit = options.limits?.maxBytes ?? defaultLimits.maxBytes;
  const asBuffer = { parseAs: 'buffer' as const, bodyLimit };
  if (!app.hasContentTypeParser('image/jpeg')) {
    app.addContentTypeParser(/^image\//, asBuffer, (_request, body, done) => done(null, body));
  }
  if (!app.hasContentTypeParser('application/octet-stream')) {
    app.addContentTypeParser('application/octet-stream', asBuffer, (_request, body, done) => done(null, body));
  }

  const urls = new Set<string>();
  app.addHook('onRoute', ({ url }) => void urls.add(url));
  app.addHook('onReady', async () => {
    for (const route of routes) checkRoute(app, route, urls);
  });

  app.addHook('preHandler', async (request, reply) => {
    const route = match(request.routeOptions.url ?? '');
    if (!route || route.protocol === 'pass') return;
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const passage = await admit({
      policy: resolvePolicy(settings, route),
      signal: gone.signal,
      find: () => findImages(request, route),
      inspect: (image, signal) => pool.inspect(image, { signal }),
      report: (report) => onReport?.(report, request),
    });
    request.stopline = passage;
    const { action, decision, found } = passage;
    reply.headers(passageHeaders(passage));
    if (action !== 'refuse' || !decision?.error) return;
    const { error } = decision;
    if (error.status === 503) reply.header('retry-after', roundRetryAfter(pool.expectedWaitMs));
    const { refusal, refusalType } = protocols[route.protocol];
    const answer = refusal(error, found?.id);
    reply.code(error.status);
    // Fastify adds a charset to the type of JSON, unless it comes as bytes.
    return refusalType === undefined
      ? reply.send(answer)
      : reply.type(refusalType).send(Buffer.from(JSON.stringify(answer)));
  });
}

const methods = ['POST', 'PUT', 'PATCH', 'GET', 'DELETE'] as const;

/**
 * A gate on a path that no route has would never judge anything.
 * @throws {StoplineError} OPTION_INVALID
 */
function checkRoute(app: FastifyInstance, route: Route, urls: ReadonlySet<string>): void {
  const fits = createMatcher([route]);
  if ([...urls].some((url) => fits(url))) return;
  // A route may have been added before this plugin.
  if (methods.some((method) => app.hasRoute({ url: route.path, method }))) return;
  const known = [...urls].filter((url) => url !== '*').slice(0, 20);
  throw new StoplineError(
    'OPTION_INVALID',
    `Expected "routes" with paths that the application has but received ${JSON.stringify(route.path)}; it has ${known.join(', ') || 'none'}.`,
  );
}

/** From a body that the application has parsed: bytes, text, JSON, or the parts of a form. */
async function findImages(request: FastifyRequest, route: Route): Promise<FoundImages> {
  const { body, headers } = request;
  const { find } = protocols[route.protocol];
  if (Buffer.isBuffer(body)) return find({ body, headers }, route);
  if (typeof body === 'string') return find({ body: Buffer.from(body), headers }, route);
  if (typeof body !== 'object' || body === null) {
    const isForm = headers['content-type']?.startsWith('multipart/form-data');
    if (isForm) throw uninspected('a form is only read with @fastify/multipart and attachFieldsToBody');
    throw invalid('a body of bytes or JSON', typeof body);
  }
  const parts = Object.entries(body).flatMap(([name, value]) => [value].flat().map((part) => ({ name, part })));
  if (!parts.some(({ part }) => isPart(part))) {
    // What the application has read from JSON is all that its handlers see; so it is written again and looked into.
    return find({ body: Buffer.from(JSON.stringify(body)), headers: { 'content-type': 'application/json' } }, route);
  }
  const search = new Search(route);
  for (const { name, part } of parts) {
    if (!search.wants(name)) continue;
    if (part instanceof Uint8Array) search.add(part);
    else if (isFile(part)) search.add(await part.toBuffer());
    else {
      const bytes = Buffer.from(String((part as { value?: unknown } | null)?.value ?? part));
      const place = placeText(bytes);
      await search.lookIntoText(place, `the field ${JSON.stringify(name)}`, route.input !== undefined);
    }
  }
  return search.finish();
}

/** A file of a form, as @fastify/multipart puts it into the body. */
interface FilePart {
  type: 'file';
  toBuffer(): Promise<Buffer>;
}

function isFile(part: unknown): part is FilePart {
  return typeof part === 'object' && part !== null && 'toBuffer' in part && typeof part.toBuffer === 'function';
}

/** Whether a value of a body is a part of a form: with `attachFieldsToBody` an object, with `keyValues` bytes. */
function isPart(part: unknown): boolean {
  const isField = typeof part === 'object' && part !== null && 'fieldname' in part && 'mimetype' in part;
  return part instanceof Uint8Array || isFile(part) || isField;
}

export default fp(stopline, { fastify: '5.x', name: 'stopline' });
export type { Passage, Report } from './gate/admission.ts';
export type { Route } from './settings.ts';
