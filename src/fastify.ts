import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { StoplineError } from './errors.ts';
import type { Passage } from './gate/admission.ts';
import { type Admitted, ApplicationGate, type ApplicationOptions } from './gate/application.ts';
import { createMatcher } from './gate/routes.ts';
import type { Pool } from './run/pool.ts';
import type { Route } from './settings.ts';

/**
 * How the gate in front of the handlers judges and decides; only `profile` is needed. `routes` name paths by the pattern they
 * were declared with (`/classify/:camera`), with the prefix of their scope or without.
 */
export type StoplineOptions = ApplicationOptions<FastifyRequest>;

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
  const { routes = [] } = options;
  const gate = await ApplicationGate.open({ ...options, routes });
  app.decorate('stopline', { pool: gate.pool });
  app.decorateRequest('stopline', null);
  app.addHook('onClose', () => gate.close());

  const asBuffer = { parseAs: 'buffer' as const, bodyLimit: gate.bodyLimit };
  if (!app.hasContentTypeParser('image/jpeg')) {
    app.addContentTypeParser(/^image\//, asBuffer, (_request, body, done) => done(null, body));
  }
  if (!app.hasContentTypeParser('application/octet-stream')) {
    app.addContentTypeParser('application/octet-stream', asBuffer, (_request, body, done) => done(null, body));
  }

  const declared = new DeclaredRoutes(app);
  app.addHook('onReady', async () => {
    for (const route of routes) declared.check(route);
  });

  app.addHook('preHandler', async (request, reply) => {
    const names = declared.findNames(request.routeOptions.url ?? '');
    const route = names.map((name) => gate.match(name)).find((found) => found !== undefined);
    if (!route || route.protocol === 'pass') return;
    const { passage, headers, refusal } = await judge(gate, route, { request, reply });
    request.stopline = passage;
    reply.headers(headers);
    if (!refusal) return;
    return reply.code(refusal.status).headers(refusal.headers).send(refusal.body);
  });
}

/** From the body that the application has parsed, or from one that the handler is still to read, as `request.file()` does. */
function judge(
  gate: ApplicationGate<FastifyRequest>,
  route: Route,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
): Promise<Admitted> {
  const exchange = { raw: request.raw, response: reply.raw, request };
  const { body: parsed } = request;
  // Fastify says null where a parser was asked and left the body to be read.
  return gate.guardNode(
    route,
    parsed === null || parsed === undefined ? exchange : { ...exchange, parsed, isPacked: true },
  );
}

const methods = ['POST', 'PUT', 'PATCH', 'GET', 'DELETE'] as const;

/** The routes that a gate stands before: those of the scope that it is registered in, and of the scopes below. */
class DeclaredRoutes {
  readonly #app: FastifyInstance;
  /** Pattern of each route, and the same without the prefix of its scope. */
  readonly #urls = new Map<string, string[]>();

  constructor(app: FastifyInstance) {
    this.#app = app;
    app.addHook('onRoute', ({ url, prefix }) => {
      this.#urls.set(url, prefix && url.startsWith(prefix) ? [url, url.slice(prefix.length) || '/'] : [url]);
    });
  }

  /** What a route may be called in the options: its pattern with and without the prefix of its scope. */
  findNames(url: string): string[] {
    const { prefix } = this.#app;
    return this.#urls.get(url) ?? (prefix && url.startsWith(prefix) ? [url, url.slice(prefix.length) || '/'] : [url]);
  }

  /**
   * A gate on a path that no route of its scope has would never judge anything.
   * @throws {StoplineError} OPTION_INVALID
   */
  check(route: Route): void {
    const fits = createMatcher([route]);
    const all = [...this.#urls.values()];
    if (all.some((names) => names.some((name) => fits(name)))) return;
    const isElsewhere = this.#exists(route.path);
    // A route of this scope may have been added before the gate was there to be told of it.
    if (isElsewhere && isRoot(this.#app)) return;
    const known = all.flatMap(([url]) => (url === '*' ? [] : [url])).slice(0, 20);
    const scope = this.#app.prefix === '' ? 'this scope' : `the scope ${this.#app.prefix}`;
    const hint = isElsewhere ? ' That path is there, but was declared before the gate or outside of its scope.' : '';
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected "routes" with paths that ${isRoot(this.#app) ? 'the application' : scope} has but received ${JSON.stringify(route.path)}; it has ${known.join(', ') || 'none'}.${hint}`,
    );
  }

  #exists(url: string): boolean {
    return methods.some((method) => this.#app.hasRoute({ url, method }));
  }
}

/** Whether hooks of an instance are for all routes: scopes are made with the instance around them as their prototype. */
function isRoot(app: FastifyInstance): boolean {
  return !('register' in (Object.getPrototypeOf(app) as object));
}

export default fp(stopline, { fastify: '5.x', name: 'stopline' });
export type { Passage, Report } from './gate/admission.ts';
export type { Route } from './settings.ts';
