import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { FastifyBaseLogger } from 'fastify';
import type { ChainableCommander, Redis } from 'ioredis';
import type { Observation } from '../../drift/observation.ts';
import { StoplineError } from '../../errors.ts';
import type { Monitors, SourceSummary } from './monitors.ts';

/** Why a source learns again that somebody told to. */
export const resetText = 'it was told to learn again';

/** Sources are dealt out in so many groups; one replica advances the monitors of a group. */
const groupCount = 16;
/** A replica that has not said for so long that it still lives loses its groups. */
const leaseMs = 5000;
const renewEveryMs = 1000;
const readEveryMs = 100;
const maxRead = 500;
const maxPublish = 200;
/** Images that wait for Redis; beyond it the oldest go. */
const maxPending = 10_000;
/** Images that a group keeps while nobody reads it. */
const maxStream = 10_000;
const commandTimeoutMs = 2000;
const longestReconnectMs = 3000;

/** Only who holds the lease may write: a replica that was stopped for a while must not undo what its successor did. */
const holdsLease = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end ";
const renewScript = `${holdsLease} redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1`;
const releaseScript = `${holdsLease} redis.call('DEL', KEYS[1]) return 1`;
/** The states that a stretch of the stream has led to, and the place up to which it was read: both or neither. */
const saveScript =
  `${holdsLease} redis.call('SET', KEYS[2], ARGV[2]) ` +
  "for i = 3, #ARGV, 3 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 2]) end " +
  "redis.call('XTRIM', KEYS[5], 'MINID', ARGV[2]) return 1";

/**
 * Many replicas, one monitor for each source: every replica appends what it has judged to a stream in Redis or Valkey, and one
 * of them, which holds the lease of the group of the source, reads it and advances the monitor. States and the place in the
 * stream are saved together, so another goes on exactly there. While Redis cannot be reached a replica watches alone, with
 * the images that it judges itself, and hands them in when Redis is back.
 */
export interface Replicas {
  /** In place of `Monitors.observe`. */
  observe(source: string, observation: Observation): void;
  /** Of all replicas. @throws whatever the connection throws */
  summaries(): Promise<SourceSummary[]>;
  /** The state of a source that another replica watches; undefined where it has none. */
  state(source: string): Promise<Uint8Array | undefined>;
  reset(source: string): void;
  /** Whether this replica watches the source: because it holds its group, or because it is alone. */
  watches(source: string): boolean;
  readonly isAlone: boolean;
  /** Images that wait for Redis. */
  readonly pending: number;
  /** Images that the other replicas never heard of, because Redis was away for too long. */
  readonly dropped: number;
  close(): Promise<void>;
}

interface Pending {
  source: string;
  /** Absent: the source is to learn again. */
  observation?: Observation;
}

/**
 * How to connect to the Redis or Valkey at an address.
 * @throws {StoplineError} OPTION_INVALID where the package `ioredis` is not installed
 */
export async function redisAt(url: string): Promise<() => Redis> {
  const { Redis } = await import('ioredis').catch((cause) => {
    throw new StoplineError(
      'OPTION_INVALID',
      'Expected the package ioredis for the setting redis but it is not installed. Type: npm install ioredis',
      { cause },
    );
  });
  return () =>
    new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: commandTimeoutMs,
      connectTimeout: commandTimeoutMs,
      retryStrategy: (attempt) => Math.min(longestReconnectMs, 100 * 2 ** attempt),
    });
}

export function createReplicas(options: {
  redis: Redis;
  /** sha256 of the Profile: replicas with another one are others. */
  profile: string;
  monitors: Monitors;
  log: FastifyBaseLogger;
}): Replicas {
  const { redis, profile, monitors, log } = options;
  const self = randomBytes(8).toString('hex');
  const prefix = `stopline:${profile.slice(0, 16)}`;
  const keys = (group: number) => ({
    lease: `${prefix}:{${group}}:lease`,
    place: `${prefix}:{${group}}:place`,
    states: `${prefix}:{${group}}:states`,
    summaries: `${prefix}:{${group}}:summaries`,
    stream: `${prefix}:{${group}}:stream`,
  });
  const chooseGroup = (source: string) => crc32(source) % groupCount;

  const pending: Pending[] = [];
  /** Place in the stream up to which the monitors of a group that is ours have come. */
  const held = new Map<number, string>();
  let isAlone = true;
  let isClosed = false;
  let lost = 0;
  let work: Promise<void> = Promise.resolve();

  // Without a listener every failed attempt to connect would end the process.
  redis.on('error', () => undefined);

  function goAlone(error: unknown): void {
    if (isAlone || isClosed) return;
    isAlone = true;
    held.clear();
    log.error({ err: error }, 'redis cannot be reached: this replica watches alone');
    // Those that were handed in, or are about to be, are seen here only now.
    for (const { source, observation } of pending) if (observation) monitors.observe(source, observation);
  }

  async function publish(): Promise<void> {
    while (pending.length > 0) {
      const lostBefore = lost;
      const taken = pending.slice(0, maxPublish);
      const pipeline = redis.pipeline();
      for (const { source, observation } of taken)
        append(pipeline, keys(chooseGroup(source)).stream, source, observation);
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
      // Some of them may have been dropped meanwhile, to make room.
      pending.splice(0, Math.max(0, taken.length - (lost - lostBefore)));
    }
  }

  /** Takes groups that nobody holds, up to a fair share, and keeps those it has. */
  async function renew(): Promise<void> {
    const now = Date.now();
    await redis.zadd(`${prefix}:replicas`, now, self);
    await redis.zremrangebyscore(`${prefix}:replicas`, 0, now - 2 * leaseMs);
    const replicas = await redis.zcard(`${prefix}:replicas`);
    const share = Math.ceil(groupCount / Math.max(1, replicas));
    for (const group of [...held.keys()]) {
      const { lease } = keys(group);
      if (held.size > share) {
        await redis.eval(releaseScript, 1, lease, self);
        drop(group);
      } else if ((await redis.eval(renewScript, 1, lease, self, leaseMs)) !== 1) drop(group);
    }
    for (let group = 0; group < groupCount && held.size < share; group++) {
      if (held.has(group)) continue;
      if ((await redis.set(keys(group).lease, self, 'PX', leaseMs, 'NX')) === 'OK') await adopt(group);
    }
  }

  /** What others have found out about the sources of a group replaces what this replica thought. */
  async function adopt(group: number): Promise<void> {
    const { place, states, summaries } = keys(group);
    const [at, saved, told] = await Promise.all([
      redis.get(place),
      redis.hgetallBuffer(states),
      redis.hgetall(summaries),
    ]);
    monitors.release((source) => chooseGroup(source) === group);
    for (const [source, state] of Object.entries(saved)) {
      if (told[source]) monitors.adopt({ source, profile, state: new Uint8Array(state), summary: told[source] });
    }
    held.set(group, at ?? '0-0');
  }

  function drop(group: number): void {
    held.delete(group);
    monitors.release((source) => chooseGroup(source) === group);
  }

  async function read(group: number, place: string): Promise<void> {
    const { lease, place: placeKey, states, summaries, stream } = keys(group);
    const answer = await redis.xreadBuffer('COUNT', maxRead, 'STREAMS', stream, place);
    const entries = answer?.[0]?.[1] ?? [];
    if (entries.length === 0) return;
    const sources = new Set<string>();
    let last = place;
    for (const [id, fields] of entries) {
      last = id.toString();
      const { source, observation } = parse(fields);
      sources.add(source);
      if (observation) monitors.observe(source, observation);
      else monitors.reset(source, resetText);
    }
    const values: (string | Uint8Array)[] = [];
    for (const source of sources) {
      const monitor = await monitors.state(source);
      if (monitor) values.push(source, monitor.state, monitor.summary);
    }
    const given = [self, last, ...values].map((value) => (typeof value === 'string' ? value : Buffer.from(value)));
    const isSaved = await redis.eval(saveScript, 5, lease, placeKey, states, summaries, stream, ...given);
    if (isSaved === 1) held.set(group, last);
    else drop(group);
  }

  let renewedAt = Number.NEGATIVE_INFINITY;
  async function round(): Promise<void> {
    if (redis.status !== 'ready') return goAlone(new Error(`the connection is ${redis.status}`));
    try {
      if (isAlone) {
        await redis.ping();
        // What was seen alone is handed in first; then the state that all share takes over.
        await publish();
        monitors.release(() => true);
        isAlone = false;
        renewedAt = Number.NEGATIVE_INFINITY;
        log.info('redis can be reached: all replicas watch together');
      }
      await publish();
      if (performance.now() - renewedAt > renewEveryMs) {
        await renew();
        renewedAt = performance.now();
      }
      for (const [group, place] of [...held]) await read(group, place);
    } catch (error) {
      goAlone(error);
    }
  }
  let timer: NodeJS.Timeout | undefined;
  const loop = () => {
    work = round().then(() => {
      if (!isClosed) timer = setTimeout(loop, readEveryMs);
    });
  };
  timer = setTimeout(loop, 0);

  function put(item: Pending): void {
    pending.push(item);
    if (pending.length <= maxPending) return;
    pending.shift();
    lost += 1;
  }

  return {
    get isAlone() {
      return isAlone;
    },
    get pending() {
      return pending.length;
    },
    get dropped() {
      return lost;
    },
    watches: (source) => isAlone || held.has(chooseGroup(source)),
    observe(source, observation) {
      put({ source, observation });
      if (isAlone) monitors.observe(source, observation);
    },
    reset(source) {
      put({ source });
      if (isAlone) monitors.reset(source, resetText);
    },
    async summaries() {
      const told = await Promise.all(
        Array.from({ length: groupCount }, (_, group) => redis.hvals(keys(group).summaries)),
      );
      return told.flat().map((text): SourceSummary => JSON.parse(text));
    },
    async state(source) {
      const state = await redis.hgetBuffer(keys(chooseGroup(source)).states, source);
      // A copy: a Buffer is a view of memory that it shares with others.
      return state ? new Uint8Array(state) : undefined;
    },
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await work;
      if (redis.status === 'ready') {
        await publish().catch(() => undefined);
        for (const group of held.keys())
          await redis.eval(releaseScript, 1, keys(group).lease, self).catch(() => undefined);
        await redis.zrem(`${prefix}:replicas`, self).catch(() => undefined);
      }
      redis.disconnect();
    },
  };
}

function append(pipeline: ChainableCommander, stream: string, source: string, observation?: Observation): void {
  if (!observation) {
    pipeline.xadd(stream, 'MAXLEN', '~', maxStream, '*', 'source', source);
    return;
  }
  const { z, projection, ...rest } = observation;
  const bytes = (numbers: Float32Array) => Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  const fields = ['source', source, 'rest', JSON.stringify(rest), 'z', bytes(z)];
  if (projection) fields.push('projection', bytes(projection));
  pipeline.xadd(stream, 'MAXLEN', '~', maxStream, '*', ...fields);
}

function parse(fields: readonly Buffer[]): Pending {
  const given = new Map<string, Buffer>();
  for (let i = 0; i < fields.length; i += 2) given.set(fields[i].toString(), fields[i + 1]);
  const numbers = (bytes: Buffer) => new Float32Array(new Uint8Array(bytes).buffer);
  const source = String(given.get('source'));
  const rest = given.get('rest');
  const z = given.get('z');
  if (!rest || !z) return { source };
  const projection = given.get('projection');
  return {
    source,
    observation: {
      ...JSON.parse(rest.toString()),
      z: numbers(z),
      ...(projection && { projection: numbers(projection) }),
    },
  };
}
