import type { Context, Middleware } from 'koa';
import type { Passage } from './gate/admission.ts';
import { ApplicationGate, type ApplicationOptions } from './gate/application.ts';
import type { Pool } from './run/pool.ts';

/** How the gate in front of the handlers judges and decides; only `profile` is needed. */
export type StoplineOptions = ApplicationOptions<Context>;

/** What the gate leaves in `ctx.state`. */
export interface StoplineState {
  /** What the gate made of this request; undefined where it was not judged. */
  stopline?: Passage;
}

/** Middleware of Koa. */
export type KoaGate = Middleware<StoplineState> & {
  readonly pool: Pool;
  /** Finishes what was accepted, then ends the workers. */
  close(): Promise<void>;
};

/**
 * A gate as middleware of Koa: judges the images of a request, and refuses it or hands it on, with `ctx.state.stopline` saying
 * why. Parsers of bodies may stand before it or after it. Without `routes` every request that can have a body and comes to it
 * is judged, with `routes` those that they name.
 *
 * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID: a gate without a Profile does not start
 * @example
 * import stopline from 'stopline/koa';
 * app.use(await stopline({ profile: 'camera.stopline', mode: 'enforce', routes: [{ path: '/classify', protocol: 'image' }] }));
 */
async function stopline(options: StoplineOptions): Promise<KoaGate> {
  const gate = await ApplicationGate.open(options);
  const middleware: Middleware<StoplineState> = async (ctx, next) => {
    const route = gate.matchRequest(ctx.method, ctx.originalUrl);
    if (!route) return next();
    const { body: parsed, files } = ctx.request as { body?: unknown; files?: unknown };
    const exchange = { raw: ctx.req, response: ctx.res, request: ctx as unknown as Context, parsed, files };
    const { passage, headers, refusal } = await gate.guardNode(route, exchange);
    ctx.set(headers);
    ctx.state.stopline = passage;
    if (!refusal) return next();
    ctx.status = refusal.status;
    ctx.body = refusal.body;
    ctx.set(refusal.headers);
  };
  return Object.assign(middleware, { pool: gate.pool, close: () => gate.close() });
}

export default stopline;
export type { Passage, Report } from './gate/admission.ts';
export type { Route } from './settings.ts';
