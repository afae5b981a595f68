import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Passage } from './gate/admission.ts';
import { ApplicationGate, type ApplicationOptions, answerNode } from './gate/application.ts';
import type { Pool } from './run/pool.ts';

/** How the gate in front of the handlers judges and decides; only `profile` is needed. */
export type StoplineOptions = ApplicationOptions<IncomingMessage>;

/** A request that went through the gate, and what the gate made of it; undefined where it was not judged. */
export type JudgedRequest = IncomingMessage & { stopline?: Passage };

/** A gate in front of handlers of `node:http`. */
export interface NodeGate {
  /** A listener that judges a request before the handler gets it, and answers in its place where it is refused. */
  guard(
    handler: (request: JudgedRequest, response: ServerResponse) => void,
  ): (request: IncomingMessage, response: ServerResponse) => void;
  readonly pool: Pool;
  /** Finishes what was accepted, then ends the workers. */
  close(): Promise<void>;
}

/**
 * A gate in front of the handlers of a server of `node:http`: judges the images of a request, and refuses it or hands it on,
 * with `request.stopline` saying why. The handler reads the body as if nobody had. Without `routes` every request that can
 * have a body is judged, with `routes` those that they name.
 *
 * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID: a gate without a Profile does not start
 * @example
 * import stopline from 'stopline/node';
 * const gate = await stopline({ profile: 'camera.stopline', mode: 'enforce', onError: 'closed' });
 * createServer(gate.guard((request, response) => classify(request, response))).listen(8000);
 */
async function stopline(options: StoplineOptions): Promise<NodeGate> {
  const gate = await ApplicationGate.open(options);
  return {
    guard: (handler) => (request, response) => {
      const route = gate.matchRequest(request.method ?? '', request.url ?? '');
      if (!route) return handler(request, response);
      void gate.guardNode(route, { raw: request, response, request }).then((admitted) => {
        const judged = Object.assign(request, { stopline: admitted.passage });
        if (answerNode(response, admitted)) handler(judged, response);
      });
    },
    pool: gate.pool,
    close: () => gate.close(),
  };
}

export default stopline;
export type { Passage, Report } from './gate/admission.ts';
export type { Route } from './settings.ts';
