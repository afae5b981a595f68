import { once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../config.ts';
import { defaultLimits } from '../decode.ts';
import { StoplineError } from '../errors.ts';
import { createPool, type Pool } from '../pool.ts';
import { encodeProfile, loadProfile } from '../profile.ts';
import { checkVersions } from '../versions.ts';
import { checkOpenness } from './access.ts';
import { buildApp } from './app.ts';

/** A running service. */
export interface Service {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly pool: Pool;
  /** Resolves when the service has ended; false when requests had to be cut off at the end of the drain time. */
  readonly ended: Promise<boolean>;
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
  const profile = await loadProfile(config.profile);
  const pool = await createPool({
    // Not the path again: the file may have changed since, and GET /profile must show what the workers judge by.
    profileBytes: encodeProfile(profile),
    threads: config.threads,
    maxWaitMs: config.maxWaitMs,
    core: config.core,
    decideBy: config.decideBy,
    model: config.model,
    limits: {
      maxBytes: config.bodyLimit,
      maxPixels: config.maxPixels,
      maxProgressivePixels: Math.min(config.maxPixels, defaultLimits.maxProgressivePixels),
      maxSide: config.maxSide,
    },
  });
  try {
    const app = await buildApp(config, pool, profile);
    for (const { text } of unsafe) app.log.warn(text);
    const url = await listen(app, config);
    const service = startService(app, pool, url, config.drainTimeoutMs);
    await pool.ready().catch(async (error) => {
      await service.close();
      throw error;
    });
    return service;
  } catch (error) {
    await pool.destroy();
    throw error;
  }
}

async function listen(app: FastifyInstance, { host, port }: Config): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --host and --port to name a free address but ${host}:${port} gave ${code ?? message}.`,
      { cause },
    );
  }
}

function startService(app: FastifyInstance, pool: Pool, url: string, drainTimeoutMs: number): Service {
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
    const closed = app.close(); // stops accepting at once; resolves when the last connection has ended
    const deadline = AbortSignal.timeout(drainTimeoutMs);
    while (inFlight > 0 && !deadline.aborted) {
      await once(app.server, 'answered', { signal: deadline }).catch(() => undefined);
    }
    const isClean = inFlight === 0;
    if (!isClean) app.log.warn({ inFlight }, 'the drain time is over: requests are cut off');
    app.server.closeAllConnections();
    await pool.destroy();
    await closed;
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
  return { url, pool, ended, close };
}

/**
 * Closes the service on SIGTERM or SIGINT. A second signal ends the process at once.
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
  return service.ended;
}
