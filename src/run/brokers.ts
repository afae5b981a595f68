import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { IClientOptions, MqttClient } from 'mqtt';
import { endSentence, StoplineError } from '../errors.ts';
import { loadPackage } from './optional.ts';

/** A message that is delivered again until it is settled. */
export interface Message {
  /** The same whenever it is delivered. */
  id: string;
  data: Uint8Array;
  /** How often it has been delivered, this time included; undefined where the broker does not count. */
  deliveries?: number;
  /** Publishes the answer, and only then tells the broker that the message is done with. */
  settle(answer: string): Promise<void>;
}

export interface Broker {
  /** Ends when the signal aborts. Hands out messages while those before are still at work. */
  messages(signal: AbortSignal): AsyncGenerator<Message>;
  close(): Promise<void>;
}

export const brokerKinds = ['nats', 'mqtt', 'redis-stream'] as const;
export type BrokerKind = (typeof brokerKinds)[number];

export interface BrokerOptions {
  server: string;
  /** Where messages come from: a subject, a topic, a stream. */
  topic: string;
  /** Where verdicts go. */
  publish: string;
  /** Consumers of one group share the messages. */
  group: string;
  /** Messages at work at a time. */
  atOnce: number;
  /** After so long a message that is not settled is given to another consumer. */
  stalledMs: number;
}

/**
 * @throws {StoplineError} PACKAGE_MISSING, BROKER_UNAVAILABLE
 */
export async function openBroker(kind: BrokerKind, options: BrokerOptions): Promise<Broker> {
  const open = { nats: openNats, mqtt: openMqtt, 'redis-stream': openRedisStream }[kind];
  try {
    return await open(options);
  } catch (cause) {
    if (cause instanceof StoplineError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new StoplineError(
      'BROKER_UNAVAILABLE',
      `The broker at ${hideUser(options.server)}: ${endSentence(message)}`,
      { cause },
    );
  }
}

/** How long a broker keeps the messages of a consumer that is away, in seconds. */
const sessionExpiryInterval = 24 * 3600;
/** Longest time that clients have to say goodbye. */
const closeMs = 500;

/** Addresses may hold a password. */
function hideUser(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}

/** NATS JetStream: both subjects belong to streams; the group is a durable consumer. Answers are told apart by Nats-Msg-Id. */
async function openNats({ server, topic, publish, group, atOnce, stalledMs }: BrokerOptions): Promise<Broker> {
  const { connect } = await loadPackage('@nats-io/transport-node', () => import('@nats-io/transport-node'));
  const { jetstream, jetstreamManager, AckPolicy } = await loadPackage(
    '@nats-io/jetstream',
    () => import('@nats-io/jetstream'),
  );
  const connection = await connect({ servers: server, maxReconnectAttempts: -1 });
  try {
    const manager = await jetstreamManager(connection);
    const stream = await manager.streams.find(topic).catch(() => {
      throw new StoplineError(
        'BROKER_UNAVAILABLE',
        `Expected a JetStream stream with the subject "${topic}" but there is none. Make one: nats stream add --subjects "${topic}"`,
      );
    });
    await manager.consumers.add(stream, {
      ...{ durable_name: group, ack_policy: AckPolicy.Explicit, filter_subject: topic },
      ...{ ack_wait: stalledMs * 1e6, max_ack_pending: -1 },
    });
    const client = jetstream(connection);
    const consumer = await client.consumers.get(stream, group);
    return {
      async *messages(signal) {
        const source = await consumer.consume({ max_messages: atOnce });
        const stop = () => source.stop();
        signal.addEventListener('abort', stop, { once: true });
        if (signal.aborted) stop();
        for await (const message of source) {
          const id = message.headers?.get('Nats-Msg-Id') || `${stream}-${message.seq}`;
          yield {
            ...{ id, data: message.data, deliveries: message.info.deliveryCount },
            async settle(answer) {
              await client.publish(publish, answer, { msgID: id });
              message.ack();
            },
          };
        }
      },
      close: () => connection.drain(),
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * MQTT at quality of service 1. A client takes one message after the other and says so in that order, so there is one
 * connection for each message at work; a shared subscription spreads the messages over them. Their sessions outlast a restart.
 */
async function openMqtt({ server, topic, publish, group, atOnce }: BrokerOptions): Promise<Broker> {
  const { connect } = await loadPackage('mqtt', () => import('mqtt'));
  const waiting: Message[] = [];
  let wake: (() => void) | undefined;
  const clients: MqttClient[] = [];
  const open = async (options: IClientOptions, handle?: MqttClient['handleMessage']) => {
    const client = connect(server, { ...options, protocolVersion: 5, manualConnect: true });
    clients.push(client);
    // Messages of an earlier session come at once, so whoever takes them is there before.
    if (handle) client.handleMessage = handle;
    client.connect();
    await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject));
    client.on('error', () => undefined); // it connects again
    return client;
  };
  const close = async () => {
    // One that waits for a message to be settled would wait for ever; its messages come again.
    const late = new Promise((resolve) => setTimeout(resolve, closeMs));
    await Promise.race([Promise.all(clients.map((client) => client.endAsync())), late]);
    for (const client of clients) client.end(true);
  };
  try {
    // While a client has a message at work it hears nothing else, so answers go through another one.
    const publisher = await open({ clean: true });
    const subscribe = async (i: number) => {
      let taken: (value?: unknown) => void = () => undefined;
      const first = new Promise((resolve) => {
        taken = resolve;
      });
      const session = { clean: false, properties: { sessionExpiryInterval } };
      const client = await open({ ...session, clientId: `${group}-${hostname()}-${i}` }, (packet, done) => {
        const data = packet.payload as Uint8Array;
        const id = createHash('sha256').update(`${packet.topic}\n`).update(data).digest('hex');
        const settle = async (answer: string) => {
          await publisher.publishAsync(publish, answer, { qos: 1 });
          done();
        };
        waiting.push({ id, data, settle });
        taken();
        wake?.();
      });
      const subscribed = client.subscribeAsync(`$share/${group}/${topic}`, { qos: 1 });
      // A message of an earlier session keeps the answer to this from being heard, and proves the subscription.
      await Promise.race([subscribed, first]);
      subscribed.catch(() => undefined);
    };
    await Promise.all(Array.from({ length: atOnce }, (_, i) => subscribe(i)));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    async *messages(signal) {
      signal.addEventListener('abort', () => wake?.(), { once: true });
      while (!signal.aborted) {
        const message = waiting.shift();
        if (message) yield message;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    close,
  };
}

/** A Redis stream with a consumer group. The answer and the acknowledgement are one transaction. */
async function openRedisStream(options: BrokerOptions): Promise<Broker> {
  const { server, topic, publish, group, atOnce, stalledMs } = options;
  const { Redis } = await loadPackage('ioredis', () => import('ioredis'));
  const redis = new Redis(server, { maxRetriesPerRequest: null, lazyConnect: true });
  const reader = new Redis(server, { maxRetriesPerRequest: null, lazyConnect: true });
  let failure: Error | undefined;
  redis.on('error', (error) => {
    failure = error;
  });
  reader.on('error', () => undefined);
  await redis.connect().catch((error) => {
    redis.disconnect();
    throw failure ?? error;
  });
  await reader.connect();
  await redis.xgroup('CREATE', topic, group, '0', 'MKSTREAM').catch((error) => {
    if (!`${error}`.includes('BUSYGROUP')) throw error;
  });
  const consumer = `${hostname()}-${process.pid}`;
  type Entry = [id: Buffer, fields: Buffer[]];
  const readMessage = ([key, fields]: Entry, deliveries: number): Message => {
    const id = key.toString();
    const named = new Map(
      fields.flatMap((field, i) => (i % 2 === 0 ? [[field.toString(), fields[i + 1]] as const] : [])),
    );
    const data =
      named.get('data') ?? Buffer.from(JSON.stringify(Object.fromEntries([...named].map(([k, v]) => [k, `${v}`]))));
    return {
      ...{ id: named.get('id')?.toString() ?? id, data, deliveries },
      async settle(answer) {
        await redis.multi().xadd(publish, '*', 'id', this.id, 'verdict', answer).xack(topic, group, id).exec();
      },
    };
  };
  return {
    async *messages(signal) {
      let claimedAt = Number.NEGATIVE_INFINITY;
      while (!signal.aborted) {
        // What consumers took that are gone, ours of an earlier start among them.
        if (performance.now() - claimedAt > stalledMs / 2) {
          claimedAt = performance.now();
          const claim = await redis.callBuffer('XAUTOCLAIM', topic, group, consumer, stalledMs, '0', 'COUNT', atOnce);
          for (const entry of (claim as [Buffer, Entry[]])[1]) {
            const id = entry[0].toString();
            const [[, , , deliveries]] = (await redis.xpending(topic, group, id, id, 1)) as [
              [string, string, number, number],
            ];
            yield readMessage(entry, deliveries);
          }
        }
        const read = ['GROUP', group, consumer, 'COUNT', atOnce, 'BLOCK', 500, 'STREAMS', topic, '>'];
        const found = (await reader.callBuffer('XREADGROUP', ...read)) as [Buffer, Entry[]][] | null;
        for (const entry of found?.[0][1] ?? []) yield readMessage(entry, 1);
      }
    },
    async close() {
      redis.disconnect();
      reader.disconnect();
    },
  };
}
