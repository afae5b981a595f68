import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { asStoplineError, StoplineError } from '../errors.ts';
import type { Pool } from '../run/pool.ts';
import type { Config } from '../settings.ts';
import { checkOpenness } from './http/access.ts';
import { openProfile, type Reloader, refusingPool } from './reload.ts';
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
 * @throws {StoplineError} OPTION_INVALID without a profile or when the address cannot be bound, RUNTIME_UNSAFE, PROFILE_*,
 *   MODEL_*, CORE_UNAVAILABLE
 * @example
 * const service = await serve(loadConfig({ flags: { profile: 'front.stopline', port: 0 } }).config);
 */
export async function serve(config: Config): Promise<Service> {
  if (config.profile === undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected --profile to name a profile file but received none.');
  }
  checkOpenness(config);
  const unsafe = checkVersions();
  const { profile, pool } = await openProfile(config).catch((error) => {
    // A gate that is to let through what it cannot judge must be there to do so; a better Profile may come.
    const coded = asStoplineError(error);
    if (config.upstream === undefined) throw coded;
    return { profile: coded, pool: refusingPool(coded) };
  });
  // A second of work that the workers need not wait for.
  const { buildApp } = await import('./app.ts');
  const app = await buildApp(config, pool, profile).catch(async (error) => {
    await pool.destroy();
    throw error;
  });
  for (const { text } of unsafe) app.log.warn(text);
  const url = await listen(app, config);
  const service = startService(app, url, config.drainTimeoutMs);
  await pool.ready().catch(async (error) => {
    if (config.upstream !== undefined) return; // logged, and told by every answer
    await service.close();
    throw error;
  });
  return service;
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

function startService(app: FastifyInstance, url: string, drainTimeoutMs: number): Service {
  // Counted from the headers on: a socket that a load balancer holds open without a request must not delay the end.
  let inFlight = 0;
  app.server.prependListener('request', countRequest);
  app.server.prependListener('checkContinue', countRequest);
  function countRequest(_request: unknown, response: NodeJS.EventEmitter) {
    inFlight += 1;
    response.once('close', () => {
      inFlight -= 1;
      app.server.emit('answered');
    });
  }

  const drain = async (): Promise<boolean> => {
    app.log.info({ inFlight }, 'draining');
    const lingered = once(app.server, 'lingered');
    const closed = app.close(); // refuses at once, then stops accepting; resolves when the last connection has ended
    await lingered;
    const deadline = AbortSignal.timeout(drainTimeoutMs);
    while (inFlight > 0 && !deadline.aborted) {
      await once(app.server, 'answered', { signal: deadline }).catch(() => undefined);
    }
    const isClean = inFlight === 0;
    if (!isClean) app.log.warn({ inFlight }, 'the drain time is over: requests are cut off');
    app.server.closeAllConnections();
    await closed; // also of images that a gate judges beside
    await app.judge.pool.destroy();
    return isClean;
  };

  let draining: Promise<boolean> | undefined;
  let end: (isClean: boolean) => void;
  const ended = new Promise<boolean>((resolve) => {
    end = resolve;
  });
  const close = () => {
    if (!draining) {
      draining = drain();
      draining.then(end);
    }
    return draining;
  };
  return {
    url,
    get pool() {
      return app.judge.pool;
    },
    ended,
    close,
    reload: () => app.reloader.reload(),
  };
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
