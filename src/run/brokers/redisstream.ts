import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { loadPackage } from '../optional.ts';
import { type Broker, type BrokerOptions, ConnectionWatch, type Message } from './broker.ts';

/** An entry of a stream: its id, and its fields and values in turn. */
type Entry = [id: Buffer, fields: Buffer[]];
type ReadAnswer = [stream: Buffer, entries: Entry[]][] | null;

/** How long a read waits for new messages, in milliseconds. */
const blockMs = 500;

/** A Redis stream with a consumer group. The answer and the acknowledgement are one transaction. */
export async function openRedisStream(options: BrokerOptions): Promise<Broker> {
  const { server, topic, group } = options;
  const { Redis: Client } = await loadPackage('ioredis', () => import('ioredis'));
  const clients = [0, 1].map(
    () => new Client(server, { maxRetriesPerRequest: null, lazyConnect: true, retryStrategy: () => null }),
  );
  const [redis, reader] = clients as [Redis, Redis];
  const broker = new RedisStreamBroker(redis, reader, options);
  try {
    for (const client of clients) await connect(client);
    await redis.xgroup('CREATE', topic, group, '0', 'MKSTREAM').catch((error) => {
      if (!`${error}`.includes('BUSYGROUP')) throw error;
    });
    return broker;
  } catch (error) {
    await broker.close();
    throw error;
  }
}

/** The event says why a server cannot be reached; the promise only that it cannot. */
async function connect(client: Redis): Promise<void> {
  let failure: Error | undefined;
  client.on('error', (error) => {
    failure ??= error;
  });
  await client.connect().catch((error) => Promise.reject(failure ?? error));
}

class RedisStreamBroker implements Broker {
  readonly #redis: Redis;
  /** Reads block their connection. */
  readonly #reader: Redis;
  readonly #options: BrokerOptions;
  readonly #watch = new ConnectionWatch();
  readonly #consumer = `${hostname()}-${process.pid}`;

  constructor(redis: Redis, reader: Redis, options: BrokerOptions) {
    this.#redis = redis;
    this.#reader = reader;
    this.#options = options;
    for (const client of [redis, reader]) client.on('end', () => this.#watch.lose(undefined));
  }

  async *messages(signal: AbortSignal): AsyncGenerator<Message> {
    const { stalledMs } = this.#options;
    // What this consumer had at work when it lost its connection.
    for (const entry of await this.#read('0')) yield this.#makeMessage(entry, await this.#countDeliveries(entry));
    let claimedAt = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      // What consumers took that are gone, ours of an earlier start among them.
      if (performance.now() - claimedAt > stalledMs / 2) {
        claimedAt = performance.now();
        for (const entry of await this.#claim()) yield this.#makeMessage(entry, await this.#countDeliveries(entry));
      }
      for (const entry of await this.#read('>')) yield this.#makeMessage(entry, 1);
    }
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
    this.#reader.disconnect();
  }

  /** @param from `>` for what no consumer has taken, `0` for what this one took and did not settle */
  async #read(from: '>' | '0'): Promise<Entry[]> {
    const { topic, group, atOnce } = this.#options;
    const count = from === '0' ? [] : ['COUNT', atOnce, 'BLOCK', blockMs];
    const command = ['GROUP', group, this.#consumer, ...count, 'STREAMS', topic, from];
    const answer = (await this.#watch.guard(this.#reader.callBuffer('XREADGROUP', ...command))) as ReadAnswer;
    return answer?.[0][1] ?? [];
  }

  async #claim(): Promise<Entry[]> {
    const { topic, group, stalledMs, atOnce } = this.#options;
    const command = [topic, group, this.#consumer, stalledMs, '0', 'COUNT', atOnce];
    const claim = await this.#watch.guard(this.#redis.callBuffer('XAUTOCLAIM', ...command));
    return (claim as [Buffer, Entry[]])[1];
  }

  async #countDeliveries([key]: Entry): Promise<number> {
    const { topic, group } = this.#options;
    const id = key.toString();
    const pending = await this.#watch.guard(this.#redis.xpending(topic, group, id, id, 1));
    const [[, , , deliveries] = []] = pending as [string, string, number, number][];
    return deliveries ?? 1;
  }

  #makeMessage([key, fields]: Entry, deliveries: number): Message {
    const { topic, group, publish } = this.#options;
    const place = key.toString();
    const named = new Map(
      (fields ?? []).flatMap((field, i) => (i % 2 === 0 ? [[field.toString(), fields[i + 1]] as const] : [])),
    );
    const texts = () => Object.fromEntries([...named].map(([name, value]) => [name, `${value}`]));
    const id = named.get('id')?.toString() ?? place;
    return {
      id,
      data: named.get('data') ?? Buffer.from(JSON.stringify(texts())),
      deliveries,
      settle: async (answer) => {
        const both = this.#redis.multi().xadd(publish, '*', 'id', id, 'verdict', answer).xack(topic, group, place);
        await this.#watch.guard(both.exec());
      },
    };
  }
}
