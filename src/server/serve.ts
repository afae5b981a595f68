import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import type { FastifyInstance } from 'fastify';
import { nativeVariants } from '../core/native.ts';
import { asStoplineError, StoplineError } from '../errors.ts';
import type { Pool } from '../run/pool.ts';
import { type Config, hasUpstream } from '../settings.ts';
import { checkOpenness } from './http/access.ts';
import { Judge } from './judge.ts';
import { openProfile, type Reloader } from './reload.ts';
import { checkVersions } from './versions.ts';

/**
 * How long a service that ends goes on answering, each time with `connection: close`: a request on its way to a connection that
 * is closed would be lost, and clients in the midst of asking learn so to go elsewhere.
 */
const lingerMs = 250;

/** A running service. */
export interface Service {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Such as `grpc://127.0.0.1:8081`, where it takes calls of gRPC. */
  readonly grpcUrl?: string;
  readonly pool: Pool;
  /** Resolves when the service has ended; false when requests had to be cut off at the end of the drain time. */
  readonly ended: Promise<boolean>;
  /** See `Reloader`. */
  reload: Reloader['reload'];
  /** Stops accepting, finishes the requests in flight within `drainTimeoutMs`, then ends the workers. */
  close(): Promise<boolean>;
}

/**
 * Starts the service: resolves when it listens and every worker is ready.
 *
 * @param onListening called when it listens, with workers that may need a while: from then on it can be closed
 * @throws {StoplineError} OPTION_INVALID without a profile or when the address cannot be bound, RUNTIME_UNSAFE, PROFILE_*,
 *   MODEL_*, CORE_UNAVAILABLE
 * @example
 * const service = await serve(loadConfig({ flags: { profile: 'front.stopline', port: 0 } }).config);
 */
export async function serve(config: Config, onListening?: (service: Service) => void): Promise<Service> {
  if (config.profile === undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected --profile to name a profile file but received none.');
  }
  checkOpenness(config);
  limitArenas();
  limitHeap();
  const unsafe = checkVersions();
  const judge = await openJudge(config);
  // A second of work that the workers need not wait for.
  const { buildApp } = await import('./app.ts');
  const app = await buildApp(config, judge).catch(async (error) => {
    await judge.pool.destroy();
    throw error;
  });
  for (const { text } of unsafe) app.log.warn(text);
  const url = await listen(app, config);
  const grpcUrl = await app.grpc?.listen().catch(async (error) => {
    await app.close();
    await judge.pool.destroy();
    throw error;
  });
  const service = new ListeningService(app, { url, ...(grpcUrl !== undefined && { grpcUrl }) }, config.drainTimeoutMs);
  onListening?.(service);
  await judge.pool.ready().catch(async (error) => {
    if (service.isClosing) return; // nobody waits for workers any more
    if (hasUpstream(config)) return; // logged, and told by every answer
    await service.close();
    throw error;
  });
  if (service.isClosing) return service;
  app.cameras.start();
  void app.validators.compileAll();
  return service;
}

/**
 * The native core keeps glibc to two arenas when it is loaded. Without it every thread of this process gets an arena of its own,
 * and what is freed in one is not used by the others: memory then grows for tens of thousands of requests. So it is loaded here,
 * before there are threads, also where only worker processes compute.
 */
function limitArenas(): void {
  try {
    nativeVariants();
  } catch {
    // There is no native build here.
  }
}

/**
 * Keeps the memory of a service where its start has brought it. V8 lets its young generation grow to 130 MB while requests come fast,
 * and keeps it, although what they leave behind dies at once: it stays at 17 MB. And how far the old generation may grow before it is
 * looked through hangs on how busy the machine is: beside other work it grew from 46 to 113 MB again and again. It may double: bodies
 * count as growth, and with half as much a gate looked through its heap after every 80 images of 140 kB, which then waited for it.
 */
function limitHeap(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=100');
}

async function openJudge(config: Config): Promise<Judge> {
  try {
    return new Judge(await openProfile(config));
  } catch (error) {
    // A gate that is to let through what it cannot judge must be there to do so; a better Profile may come.
    const refusal = asStoplineError(error);
    if (!hasUpstream(config)) throw refusal;
    return new Judge({ refusal });
  }
}

async function listen(app: FastifyInstance, { host, port }: Config): Promise<string> {
  app.addHook('preClose', async () => {
    await delay(lingerMs);
    app.server.emit('lingered');
  });
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    await app.judge.pool.destroy();
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --host and --port to name a free address but ${host}:${port} gave ${code ?? message}.`,
      { cause },
    );
  }
}

class ListeningService implements Service {
  readonly url: string;
  readonly grpcUrl?: string;
  readonly ended: Promise<boolean>;
  readonly #app: FastifyInstance;
  readonly #drainTimeoutMs: number;
  /** Counted from the headers on: a socket that a load balancer holds open without a request must not delay the end. */
  #inFlight = 0;
  #draining: Promise<boolean> | undefined;
  #end: (isClean: boolean) => void = () => undefined;

  constructor(app: FastifyInstance, urls: Pick<Service, 'url' | 'grpcUrl'>, drainTimeoutMs: number) {
    this.#app = app;
    this.url = urls.url;
    if (urls.grpcUrl !== undefined) this.grpcUrl = urls.grpcUrl;
    this.#drainTimeoutMs = drainTimeoutMs;
    this.ended = new Promise<boolean>((resolve) => {
      this.#end = resolve;
    });
    const count = (_request: unknown, response: NodeJS.EventEmitter) => this.#countRequest(response);
    app.server.prependListener('request', count);
    app.server.prependListener('checkContinue', count);
  }

  get pool(): Pool {
    return this.#app.judge.pool;
  }

  reload(): ReturnType<Reloader['reload']> {
    return this.#app.reloader.reload();
  }

  get isClosing(): boolean {
    return this.#draining !== undefined;
  }

  close(): Promise<boolean> {
    if (!this.#draining) {
      this.#draining = this.#drain();
      void this.#draining.then(this.#end);
    }
    return this.#draining;
  }

  #countRequest(response: NodeJS.EventEmitter): void {
    this.#inFlight += 1;
    response.once('close', () => {
      this.#inFlight -= 1;
      this.#app.server.emit('answered');
    });
  }

  async #drain(): Promise<boolean> {
    const app = this.#app;
    app.log.info({ inFlight: this.#inFlight }, 'draining');
    const lingered = once(app.server, 'lingered');
    const closed = app.close(); // refuses at once, then stops accepting; resolves when the last connection has ended
    await lingered;
    const deadline = AbortSignal.timeout(this.#drainTimeoutMs);
    const calls = app.grpc?.close(deadline) ?? Promise.resolve(true);
    while (this.#inFlight > 0 && !deadline.aborted) {
      await once(app.server, 'answered', { signal: deadline }).catch(() => undefined);
    }
    const isClean = (await calls) && this.#inFlight === 0;
    if (!isClean) app.log.warn({ inFlight: this.#inFlight }, 'the drain time is over: requests are cut off');
    app.server.closeAllConnections();
    app.http2.cut();
    await closed; // waits also for images that a gate judges beside
    await app.judge.pool.destroy();
    return isClean;
  }
}

/**
 * Closes the service on SIGTERM or SIGINT; a second signal ends the process at once. SIGHUP reloads the Profile.
 *
 * @returns what `service.ended` resolves to
 */
export async function closeOnSignal(service: Service): Promise<boolean> {
  let isClosing = false;
  for (const [signal, exitCode] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    process.on(signal, () => {
      if (isClosing) process.exit(exitCode);
      isClosing = true;
      void service.close();
    });
  }
  process.on('SIGHUP', () => void service.reload().catch(() => undefined)); // logged where it happened
  return service.ended;
}
