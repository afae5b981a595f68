import { unwatchFile, watchFile } from 'node:fs';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { asStoplineError, StoplineError } from '../errors.ts';
import type { Profile } from '../profile/description.ts';
import { loadSignedProfile } from '../profile/signature.ts';
import { createPool, type Pool, poolOptions } from '../run/pool.ts';
import { Type } from '../schema.ts';
import type { Config } from '../settings.ts';
import { refusals } from './http/schemas.ts';
import type { Judge } from './judge.ts';

/** How often the Profile file is looked at. By its status, because file events do not cross network and container mounts. */
const watchMs = 1000;

/**
 * Opens the Profile of the configuration and workers that judge by it, not yet warm.
 * @throws {StoplineError} PROFILE_*, MODEL_*
 */
export async function openProfile(config: Config): Promise<{ profile: Profile; pool: Pool }> {
  const profile = await readProfile(config);
  return { profile, pool: await openPool(config, profile) };
}

function readProfile({ profile: path = '', profileKey }: Config): Promise<Profile> {
  return loadSignedProfile(path, profileKey);
}

function openPool(config: Config, profile: Profile): Promise<Pool> {
  // Not the path again: the file may have changed since, and GET /profile must show what the workers judge by.
  return createPool({ ...poolOptions(config, 'service'), profile });
}

/** Reloads one after the other; those who ask while one waits get the answer of that one. */
export class Reloader {
  readonly #config: Config;
  readonly #judge: Judge;
  readonly #log: FastifyBaseLogger;
  #running: Promise<unknown> = Promise.resolve();
  #waiting: Promise<{ profile: Profile; changed: boolean }> | undefined;
  #isClosed = false;
  #onFailure: ((error: StoplineError) => void) | undefined;

  constructor(config: Config, judge: Judge, log: FastifyBaseLogger) {
    this.#config = config;
    this.#judge = judge;
    this.#log = log;
  }

  /** Tells one listener why a Profile was not reloaded. */
  onFailure(listener: (error: StoplineError) => void): void {
    this.#onFailure = listener;
  }

  /**
   * Reads the Profile file again. Where it holds another Profile, the processes that judge are told, one after the other, or
   * threads are started and warmed up with it and then take over; whatever goes wrong, the Profile in force stays.
   * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID
   */
  reload(): Promise<{ profile: Profile; changed: boolean }> {
    if (this.#waiting) return this.#waiting;
    const waiting = this.#running.then(() => this.#load());
    this.#waiting = waiting;
    this.#running = waiting.catch((error) => {
      this.#onFailure?.(asStoplineError(error));
      this.#log.error(
        { code: asStoplineError(error).code, err: error },
        'profile not reloaded: the one in force stays',
      );
    });
    return waiting;
  }

  /** Replaces nothing any more, and waits for what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #load(): Promise<{ profile: Profile; changed: boolean }> {
    this.#waiting = undefined;
    const judge = this.#judge;
    const profile = await readProfile(this.#config);
    if (judge.hasProfile && profile.sha256 === judge.profile.sha256) return { profile, changed: false };
    judge.replace(await this.#preparePool(profile), profile);
    this.#log.info({ profile: profile.sha256, name: profile.name }, 'profile reloaded');
    return { profile, changed: true };
  }

  /** The pool in force, told to judge by the Profile, or a new one where there is none that can be told. */
  async #preparePool(profile: Profile): Promise<Pool> {
    const { pool } = this.#judge;
    if (pool.renew) {
      await pool.renew(profile);
      return pool;
    }
    const next = await openPool(this.#config, profile);
    try {
      await next.ready();
      if (this.#isClosed)
        throw new StoplineError('CLOSED', 'Expected a serving replica but this one is shutting down.');
    } catch (error) {
      await next.destroy();
      throw error;
    }
    return next;
  }
}

/** `POST /profile/reload`, and a look at the file every second. */
export function registerReload(app: FastifyInstance, config: Config, reloader: Reloader): void {
  app.post(
    '/profile/reload',
    {
      schema: {
        operationId: 'reloadProfile',
        tags: ['reference'],
        summary: 'Judge by the Profile that the file holds now.',
        description: 'Where the file cannot be used, the Profile in force stays, and the answer says what is wrong.',
        response: {
          200: Type.Object(
            { name: Type.String(), sha256: Type.String(), changed: Type.Boolean() },
            { description: 'This Profile is in force.' },
          ),
          ...refusals(500),
        },
      },
    },
    async () => {
      const { profile, changed } = await reloader.reload();
      return { name: profile.name, sha256: profile.sha256, changed };
    },
  );
  app.addHook('onClose', () => reloader.close());
  const { profile: path } = config;
  if (!config.watchProfile || path === undefined) return;
  const look = () => void reloader.reload().catch(() => undefined); // logged where it happened
  watchFile(path, { interval: watchMs, persistent: false }, look);
  app.addHook('onClose', async () => unwatchFile(path, look));
}
