import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Passage } from './gate/admission.ts';
import { ApplicationGate, type ApplicationOptions, answerNode } from './gate/application.ts';
import type { Pool } from './run/pool.ts';

/** A request as Express and parsers of bodies leave it. */
type ExpressRequest = IncomingMessage & {
  originalUrl?: string;
  body?: unknown;
  file?: unknown;
  files?: unknown;
  stopline?: Passage;
};

/** How the gate in front of the handlers judges and decides; only `profile` is needed. */
export type StoplineOptions = ApplicationOptions<IncomingMessage>;

declare global {
  namespace Express {
    interface Request {
      /** What the gate made of this request; undefined where it was not judged. */
      stopline?: Passage;
    }
  }
}

/** Middleware of Express, and of whatever else calls `(request, response, next)`. */
export interface ExpressGate {
  (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): Promise<void>;
  readonly pool: Pool;
  /** Finishes what was accepted, then ends the workers. */
  close(): Promise<void>;
}

/**
 * A gate as middleware of Express 5: judges the images of a request, and refuses it or hands it on, with `request.stopline`
 * saying why. Parsers of bodies may stand before it or after it. Without `routes` every request that can have a body and
 * comes to it is judged, with `routes` those that they name, by the whole path.
 *
 * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID: a gate without a Profile does not start
 * @example
 * import stopline from 'stopline/express';
 * const gate = await stopline({ profile: 'camera.stopline', mode: 'enforce', onError: 'closed' });
 * app.post('/classify', gate, express.raw({ type: 'image/*' }), (request, response) => response.json(predict(request.body)));
 */
async function stopline(options: StoplineOptions): Promise<ExpressGate> {
  const gate = await ApplicationGate.open(options);
  const middleware = async (request: ExpressRequest, response: ServerResponse, next: (error?: unknown) => void) => {
    const route = gate.matchRequest(request.method ?? '', request.originalUrl ?? request.url ?? '');
    if (!route) return next();
    const { body: parsed, file, files } = request;
    const exchange = { raw: request, response, request, parsed, files: file ?? files };
    const admitted = await gate.guardNode(route, exchange);
    request.stopline = admitted.passage;
    if (answerNode(response, admitted)) next();
  };
  return Object.assign(middleware, { pool: gate.pool, close: () => gate.close() });
}

export default stopline;
export type { Passage, Report } from './gate/admission.ts';
export type { Route } from './settings.ts';
