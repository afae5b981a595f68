import { unwatchFile, watchFile } from 'node:fs';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import Type from 'typebox';
import { asStoplineError, StoplineError } from '../errors.ts';
import { defaultLimits } from '../image/frame.ts';
import type { Profile } from '../profile/description.ts';
import { loadProfile } from '../profile/file.ts';
import { checkSignature, readKeyFile } from '../profile/signature.ts';
import { createPool, type Pool } from '../run/pool.ts';
import type { Config } from '../settings.ts';
import { refusals } from './http/schemas.ts';
import type { Judge } from './judge.ts';

/** How often the Profile file is looked at. By its status, because file events do not cross network and container mounts. */
const watchMs = 1000;

/**
 * The Profile of the configuration and threads that judge by it, not yet warm.
 * @throws {StoplineError} PROFILE_*, MODEL_*
 */
export async function openProfile(config: Config): Promise<{ profile: Profile; pool: Pool }> {
  const profile = await readProfile(config);
  return { profile, pool: await openPool(config, profile) };
}

async function readProfile({ profile: path = '', profileKey }: Config): Promise<Profile> {
  const profile = await loadProfile(path);
  if (profileKey !== undefined) checkSignature(profile, await readKeyFile(profileKey));
  return profile;
}

function openPool(config: Config, profile: Profile): Promise<Pool> {
  return createPool({
    // Not the path again: the file may have changed since, and GET /profile must show what the workers judge by.
    profile,
    threads: config.threads,
    isolation: config.isolation,
    maxImageMs: config.maxImageMs,
    maxWaitMs: config.maxWaitMs,
    core: config.core,
    decideBy: config.decideBy,
    blockWhen: config.blockWhen,
    device: config.device,
    model: config.model,
    limits: {
      maxBytes: config.bodyLimit,
      maxPixels: config.maxPixels,
      maxProgressivePixels: Math.min(config.maxPixels, defaultLimits.maxProgressivePixels),
      maxSide: config.maxSide,
    },
  });
}

/** In place of a pool where there is no Profile to judge by: refuses everything with what is wrong. */
export function refusingPool(error: StoplineError): Pool {
  const refuse = () => Promise.reject(error);
  return {
    info: { threads: 0 },
    crashes: 0,
    isFailing: false,
    queued: 0,
    running: 0,
    expectedWaitMs: 0,
    admit() {
      throw error;
    },
    ready: refuse,
    inspect: refuse,
    explain: refuse,
    inspectFile: refuse,
    score: refuse,
    measure: refuse,
    simulate: refuse,
    close: () => Promise.resolve(),
    destroy: () => Promise.resolve(),
  };
}

export interface Reloader {
  /**
   * Reads the Profile file again. Where it holds another Profile, the processes that judge are told, one after the other, or
   * threads are started and warmed up with it and then take over; whatever goes wrong, the Profile in force stays.
   * @throws {StoplineError} PROFILE_*, MODEL_*, CORE_UNAVAILABLE, OPTION_INVALID
   */
  reload(): Promise<{ profile: Profile; changed: boolean }>;
  /** Replaces nothing any more, and waits for what is under way. */
  close(): Promise<void>;
}

/** Reloads one after the other; those who ask while one waits get the answer of that one. */
export function createReloader(config: Config, judge: Judge, log: FastifyBaseLogger): Reloader {
  let running: Promise<unknown> = Promise.resolve();
  let isClosed = false;
  let waiting: Promise<{ profile: Profile; changed: boolean }> | undefined;
  /** The pool in force, told to judge by the Profile, or a new one where there is none that can be told. */
  const poolFor = async (profile: Profile): Promise<Pool> => {
    const { pool } = judge;
    if (pool.renew) {
      await pool.renew(profile);
      return pool;
    }
    const next = await openPool(config, profile);
    try {
      await next.ready();
      if (isClosed) throw new StoplineError('CLOSED', 'Expected a serving replica but this one is shutting down.');
    } catch (error) {
      await next.destroy();
      throw error;
    }
    return next;
  };
  const load = async () => {
    waiting = undefined;
    const profile = await readProfile(config);
    if (profile.sha256 === currentSha256(judge)) return { profile, changed: false };
    judge.replace(await poolFor(profile), profile);
    log.info({ profile: profile.sha256, name: profile.name }, 'profile reloaded');
    return { profile, changed: true };
  };
  return {
    reload() {
      if (waiting) return waiting;
      waiting = running.then(load);
      running = waiting.catch((error) => {
        log.error({ code: asStoplineError(error).code, err: error }, 'profile not reloaded: the one in force stays');
      });
      return waiting;
    },
    async close() {
      isClosed = true;
      await running;
    },
  };
}

function currentSha256(judge: Judge): string | undefined {
  try {
    return judge.profile.sha256;
  } catch {
    return undefined;
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
