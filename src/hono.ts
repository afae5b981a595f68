import type { Context, MiddlewareHandler } from 'hono';
import { asStoplineError } from './errors.ts';
import type { Passage } from './gate/admission.ts';
import { ApplicationGate, type ApplicationOptions } from './gate/application.ts';
import { tooLarge } from './gate/bodies/peek.ts';
import type { Pool } from './run/pool.ts';

/** How the gate in front of the handlers judges and decides; only `profile` is needed. */
export type StoplineOptions = ApplicationOptions<Context>;

/** What the gate leaves for handlers, as `context.get('stopline')`. */
export interface StoplineEnv {
  Variables: {
    /** What the gate made of this request; undefined where it was not judged. */
    stopline?: Passage;
  };
}

/** Middleware of Hono. */
export type HonoGate = MiddlewareHandler<StoplineEnv> & {
  readonly pool: Pool;
  /** Finishes what was accepted, then ends the workers. */
  close(): Promise<void>;
};

/**
 * A gate as middleware of Hono on Node.js: judges the images of a request, and refuses it or hands it on, with
 * `context.get('stopline')` saying why. Without `routes` every request that can have a body and comes to it is judged, with
 * `routes` those that they name.
 *
 * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID: a gate without a Profile does not start
 * @example
 * import stopline from 'stopline/hono';
 * const gate = await stopline({ profile: 'camera.stopline', mode: 'enforce', onError: 'closed' });
 * app.post('/classify', gate, async (context) => context.json(await predict(await context.req.arrayBuffer())));
 */
async function stopline(options: StoplineOptions): Promise<HonoGate> {
  const gate = await ApplicationGate.open(options);
  const middleware: MiddlewareHandler<StoplineEnv> = async (context, next) => {
    const route = gate.matchRequest(context.req.method, new URL(context.req.url).pathname);
    if (!route) return next();
    const { signal } = context.req.raw;
    // Before the handler gets it, also where it is judged beside.
    const taken = await takeBody(context, gate.bodyLimit).catch((error) => ({
      body: asStoplineError(error),
      headers: {},
    }));
    const find = () => gate.findIn(taken.body, taken.headers, route);
    const admitted = await gate.admit(route, { request: context as unknown as Context, signal, find });
    const { passage, headers, refusal } = admitted;
    context.set('stopline', passage);
    for (const [name, value] of Object.entries(headers)) context.header(name, value);
    if (!refusal) return next();
    for (const [name, value] of Object.entries(refusal.headers)) context.header(name, value);
    return context.body(new Uint8Array(refusal.body), refusal.status as 422);
  };
  return Object.assign(middleware, { pool: gate.pool, close: () => gate.close() });
}

/** Reads the body, and puts a request in place of the one that was read, so that handlers can read it again. */
async function takeBody(context: Context, limit: number): Promise<{ body: Buffer; headers: Record<string, string> }> {
  const { req } = context;
  const headers = req.header();
  if (req.raw.bodyUsed) {
    // A form that another handler has parsed is written again, with a boundary of its own.
    const isForm = /^(multipart\/form-data|application\/x-www-form-urlencoded)/i.test(headers['content-type'] ?? '');
    const written = isForm ? new Response(await req.formData()) : new Response(await req.arrayBuffer());
    const type = written.headers.get('content-type') ?? headers['content-type'];
    return { body: Buffer.from(await written.arrayBuffer()), headers: { ...headers, 'content-type': type } };
  }
  const announced = Number(headers['content-length'] ?? 0);
  if (announced > limit) throw tooLarge(limit, String(announced));
  const chunks: Uint8Array[] = [];
  let length = 0;
  const { raw } = req;
  if (!raw.body) return { body: Buffer.alloc(0), headers };
  const reader = raw.body.getReader();
  while (length <= limit) {
    const { value } = await reader.read();
    if (!value) break;
    chunks.push(value);
    length += value.length;
  }
  const rest = length > limit ? reader : undefined;
  req.raw = new Request(raw, { body: restore(chunks, rest), duplex: 'half' } as RequestInit);
  if (rest) throw tooLarge(limit, `more than ${limit}`);
  return { body: Buffer.concat(chunks, length), headers };
}

/** What was read of a body, and then its rest. */
function restore(chunks: readonly Uint8Array[], rest?: ReadableStreamDefaultReader<Uint8Array>): BodyInit {
  if (!rest) return new Blob([...chunks] as BlobPart[]);
  const left = [...chunks];
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = left.shift() ?? (await rest.read()).value;
      if (piece) controller.enqueue(piece);
      else controller.close();
    },
  });
}

export default stopline;
export type { Passage, Report } from './gate/admission.ts';
export type { Route } from './settings.ts';
