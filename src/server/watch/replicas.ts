import { randomBytes } from 'node:crypto';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
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
/** Images that wait for Redis; beyond it the oldest go. Beyond the second they wait without their small pictures, of 5 kB each. */
const maxPending = 10_000;
const maxPendingSketches = 1000;
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

export interface ReplicasOptions {
  redis: Redis;
  /** sha256 of the Profile: replicas with another one are others. */
  profile: string;
  monitors: Monitors;
  log: FastifyBaseLogger;
}

/**
 * Many replicas, one monitor for each source: every replica appends what it has judged to a stream in Redis or Valkey, and one
 * of them, which holds the lease of the group of the source, reads it and advances the monitor. States and the place in the
 * stream are saved together, so another goes on exactly there. While Redis cannot be reached a replica watches alone, with
 * the images that it judges itself, and hands them in when Redis is back.
 */
export class Replicas {
  readonly #redis: Redis;
  readonly #profile: string;
  readonly #monitors: Monitors;
  readonly #log: FastifyBaseLogger;
  readonly #self = randomBytes(8).toString('hex');
  readonly #prefix: string;
  readonly #pending: Pending[] = [];
  /** Place in the stream up to which the monitors of each group that is ours have come. */
  readonly #held = new Map<number, string>();
  #isAlone = true;
  #isClosed = false;
  #dropped = 0;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #work: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout;

  constructor({ redis, profile, monitors, log }: ReplicasOptions) {
    this.#redis = redis;
    this.#profile = profile;
    this.#monitors = monitors;
    this.#log = log;
    this.#prefix = `stopline:${profile.slice(0, 16)}`;
    // Without a listener every failed attempt to connect would end the process.
    redis.on('error', () => undefined);
    this.#timer = setTimeout(() => this.#loop(), 0);
  }

  get isAlone(): boolean {
    return this.#isAlone;
  }

  /** Images that wait for Redis. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Images that the other replicas never heard of, because Redis was away for too long. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether this replica watches the source: because it holds its group, or because it is alone. */
  watches(source: string): boolean {
    return this.#isAlone || this.#held.has(findGroup(source));
  }

  /** To be called in place of `Monitors.observe`. */
  observe(source: string, observation: Observation): void {
    this.#put({ source, observation });
    if (this.#isAlone) this.#monitors.observe(source, observation);
  }

  reset(source: string): void {
    this.#put({ source });
    if (this.#isAlone) this.#monitors.reset(source, resetText);
  }

  /** The sources of all replicas. @throws whatever the connection throws */
  async summaries(): Promise<SourceSummary[]> {
    const told = await Promise.all(
      Array.from({ length: groupCount }, (_, group) => this.#redis.hvals(this.#keys(group).summaries)),
    );
    return told.flat().map((text): SourceSummary => JSON.parse(text));
  }

  /** The state of a source that another replica watches; undefined where it has none. */
  async state(source: string): Promise<Uint8Array | undefined> {
    const state = await this.#redis.hgetBuffer(this.#keys(findGroup(source)).states, source);
    // A copy, because a Buffer is a view of memory that it shares with others.
    return state ? new Uint8Array(state) : undefined;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#work;
    if (this.#redis.status === 'ready') await this.#leave();
    this.#redis.disconnect();
  }

  async #leave(): Promise<void> {
    await this.#publish().catch(() => undefined);
    for (const group of this.#held.keys()) {
      await this.#redis.eval(releaseScript, 1, this.#keys(group).lease, this.#self).catch(() => undefined);
    }
    await this.#redis.zrem(`${this.#prefix}:replicas`, this.#self).catch(() => undefined);
  }

  #keys(group: number) {
    return {
      lease: `${this.#prefix}:{${group}}:lease`,
      place: `${this.#prefix}:{${group}}:place`,
      states: `${this.#prefix}:{${group}}:states`,
      summaries: `${this.#prefix}:{${group}}:summaries`,
      stream: `${this.#prefix}:{${group}}:stream`,
    };
  }

  #put({ source, observation }: Pending): void {
    const { sketch: _, ...bare } = observation ?? {};
    const isBare = observation && this.#pending.length >= maxPendingSketches;
    this.#pending.push({ source, ...(observation && { observation: isBare ? (bare as Observation) : observation }) });
    if (this.#pending.length <= maxPending) return;
    this.#pending.shift();
    this.#dropped += 1;
  }

  #loop(): void {
    this.#work = this.#round().then(() => {
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#loop(), readEveryMs);
    });
  }

  async #round(): Promise<void> {
    const redis = this.#redis;
    if (redis.status !== 'ready') return this.#goAlone(new Error(`the connection is ${redis.status}`));
    try {
      if (this.#isAlone) await this.#joinOthers();
      await this.#publish();
      if (performance.now() - this.#renewedAt > renewEveryMs) {
        await this.#renew();
        this.#renewedAt = performance.now();
      }
      for (const [group, place] of [...this.#held]) await this.#read(group, place);
    } catch (error) {
      this.#goAlone(error);
    }
  }

  async #joinOthers(): Promise<void> {
    await this.#redis.ping();
    // What was seen alone is handed in first; then the state that all share takes over.
    await this.#publish();
    this.#monitors.release(() => true);
    this.#isAlone = false;
    this.#renewedAt = Number.NEGATIVE_INFINITY;
    this.#log.info('redis can be reached: all replicas watch together');
  }

  #goAlone(error: unknown): void {
    if (this.#isAlone || this.#isClosed) return;
    this.#isAlone = true;
    this.#held.clear();
    this.#log.error({ err: error }, 'redis cannot be reached: this replica watches alone');
    // Images that were handed in, or are about to be, are seen here only now.
    for (const { source, observation } of this.#pending) {
      if (observation) this.#monitors.observe(source, observation);
    }
  }

  async #publish(): Promise<void> {
    while (this.#pending.length > 0) {
      const droppedBefore = this.#dropped;
      const taken = this.#pending.slice(0, maxPublish);
      const pipeline = this.#redis.pipeline();
      for (const { source, observation } of taken) {
        append(pipeline, this.#keys(findGroup(source)).stream, source, observation);
      }
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
      // Some of them may have been dropped meanwhile, to make room.
      this.#pending.splice(0, Math.max(0, taken.length - (this.#dropped - droppedBefore)));
    }
  }

  /** Takes groups that nobody holds, up to a fair share, and keeps those it has. */
  async #renew(): Promise<void> {
    const share = await this.#countShare();
    for (const group of [...this.#held.keys()]) {
      const { lease } = this.#keys(group);
      if (this.#held.size > share) {
        await this.#redis.eval(releaseScript, 1, lease, this.#self);
        this.#drop(group);
      } else if ((await this.#redis.eval(renewScript, 1, lease, this.#self, leaseMs)) !== 1) this.#drop(group);
    }
    for (let group = 0; group < groupCount && this.#held.size < share; group++) {
      if (this.#held.has(group)) continue;
      const taken = await this.#redis.set(this.#keys(group).lease, this.#self, 'PX', leaseMs, 'NX');
      if (taken === 'OK') await this.#adopt(group);
    }
  }

  /** How many groups this replica may hold, by the number of replicas that live. */
  async #countShare(): Promise<number> {
    const now = Date.now();
    const key = `${this.#prefix}:replicas`;
    await this.#redis.zadd(key, now, this.#self);
    await this.#redis.zremrangebyscore(key, 0, now - 2 * leaseMs);
    const replicas = await this.#redis.zcard(key);
    return Math.ceil(groupCount / Math.max(1, replicas));
  }

  /** What others have found out about the sources of a group replaces what this replica thought. */
  async #adopt(group: number): Promise<void> {
    const { place, states, summaries } = this.#keys(group);
    const [at, saved, told] = await Promise.all([
      this.#redis.get(place),
      this.#redis.hgetallBuffer(states),
      this.#redis.hgetall(summaries),
    ]);
    this.#monitors.release((source) => findGroup(source) === group);
    for (const [source, state] of Object.entries(saved)) {
      const summary = told[source];
      if (summary) this.#monitors.adopt({ source, profile: this.#profile, state: new Uint8Array(state), summary });
    }
    this.#held.set(group, at ?? '0-0');
  }

  #drop(group: number): void {
    this.#held.delete(group);
    this.#monitors.release((source) => findGroup(source) === group);
  }

  async #read(group: number, place: string): Promise<void> {
    const answer = await this.#redis.xreadBuffer('COUNT', maxRead, 'STREAMS', this.#keys(group).stream, place);
    const entries = answer?.[0]?.[1] ?? [];
    if (entries.length === 0) return;
    const sources = new Set<string>();
    let last = place;
    for (const [id, fields] of entries) {
      last = id.toString();
      const { source, observation } = parse(fields);
      sources.add(source);
      if (observation) this.#monitors.observe(source, observation);
      else this.#monitors.reset(source, resetText);
    }
    await this.#save(group, last, sources);
  }

  /** Saves the states that a stretch of the stream has led to, and the place up to which it was read. */
  async #save(group: number, last: string, sources: Iterable<string>): Promise<void> {
    const { lease, place, states, summaries, stream } = this.#keys(group);
    const values: (string | Uint8Array)[] = [];
    for (const source of sources) {
      const monitor = await this.#monitors.state(source);
      if (monitor) values.push(source, monitor.state, monitor.summary);
    }
    const given = [this.#self, last, ...values].map((value) =>
      typeof value === 'string' ? value : Buffer.from(value),
    );
    const isSaved = await this.#redis.eval(saveScript, 5, lease, place, states, summaries, stream, ...given);
    if (isSaved === 1) this.#held.set(group, last);
    else this.#drop(group);
  }
}

function findGroup(source: string): number {
  return crc32(source) % groupCount;
}

function append(pipeline: ChainableCommander, stream: string, source: string, observation?: Observation): void {
  if (!observation) {
    pipeline.xadd(stream, 'MAXLEN', '~', maxStream, '*', 'source', source);
    return;
  }
  const { z, projection, chances, sketch, ...rest } = observation;
  const bytes = (numbers: Float32Array) => Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  const fields = ['source', source, 'rest', JSON.stringify(rest), 'z', bytes(z)];
  if (projection) fields.push('projection', bytes(projection));
  if (chances) fields.push('chances', bytes(Float32Array.from(chances)));
  // Whoever watches the source sees the small pictures of all replicas, or could not tell what stands still.
  if (sketch) fields.push('sketch', deflateRawSync(sketch, { level: 1 }));
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
  const [projection, chances, sketch] = ['projection', 'chances', 'sketch'].map((name) => given.get(name));
  return {
    source,
    observation: {
      ...JSON.parse(rest.toString()),
      z: numbers(z),
      ...(projection && { projection: numbers(projection) }),
      ...(chances && { chances: Float64Array.from(numbers(chances)) }),
      ...(sketch && { sketch: new Uint8Array(inflateRawSync(sketch)) }),
    },
  };
}
