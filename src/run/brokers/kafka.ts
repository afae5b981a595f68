import { createHash } from 'node:crypto';
import type { Consumer, Message as KafkaMessage, MessagesStream, Producer } from '@platformatic/kafka';
import { loadPackage } from '../optional.ts';
import { type Broker, type BrokerOptions, ConnectionWatch, closeWithin, type Message } from './broker.ts';

type Bytes = Buffer;
type KafkaRecord = KafkaMessage<Bytes, Bytes, Bytes, Bytes>;

/** Brokers refuse a group whose members are missed after less, unless they are told otherwise (`group.min.session.timeout.ms`). */
const shortestSessionMs = 6000;
/** Tries of one request: whoever opened the connection opens it anew, and knows how long to wait. */
const retries = 1;

/**
 * Kafka: the members of a consumer group are dealt out the partitions of the topic. A partition is committed as far as all of it is
 * published, so what comes again after a crash is what was at work, and what was settled behind it.
 */
export async function openKafka(options: BrokerOptions): Promise<Broker> {
  const { topic, publish, group, stalledMs } = options;
  const kafka = await loadPackage('@platformatic/kafka', () => import('@platformatic/kafka'));
  const shared = { clientId: 'stopline', retries, ...readServer(options.server) };
  const sessionTimeout = Math.max(stalledMs, shortestSessionMs);
  const producer = new kafka.Producer<Bytes, Bytes, Bytes, Bytes>(shared);
  const consumer = new kafka.Consumer<Bytes, Bytes, Bytes, Bytes>({
    ...shared,
    groupId: group,
    autocommit: false,
    sessionTimeout,
    heartbeatInterval: sessionTimeout / 3,
  });
  try {
    // Fails where one of them is not there: a topic that a typing error made would wait for ever.
    await producer.metadata({ topics: [topic, publish] });
    const stream = await consumer.consume({
      topics: [topic],
      mode: 'committed',
      fallbackMode: 'earliest',
      maxWaitTime: 500,
    });
    return new KafkaBroker(consumer, producer, stream, options);
  } catch (error) {
    await closeWithin(Promise.all([consumer.close(true), producer.close()]));
    throw error;
  }
}

/**
 * `kafka://one:9092,two:9092`; `kafkas://` for TLS. A user and a password are sent as SASL PLAIN, or as what `?mechanism=` names, such
 * as SCRAM-SHA-512.
 */
function readServer(server: string) {
  const [, scheme, login, hosts, query] = /^(\w+):\/\/(?:([^@]*)@)?([^/?]*)\/?(?:\?(.*))?$/.exec(server) ?? [];
  const [username, password] = (login ?? '').split(':').map(decodeURIComponent);
  const mechanism = new URLSearchParams(query).get('mechanism') ?? 'PLAIN';
  return {
    bootstrapBrokers: (hosts ?? server).split(','),
    ...(scheme === 'kafkas' && { tls: {} }),
    ...(login !== undefined && { sasl: { mechanism: mechanism as 'PLAIN', username, password } }),
  };
}

/** A key as long as a message may be leaves no room for an answer; what stands in its place keeps the order, too. */
const maxKey = 4096;

function shortenKey(key: Buffer): Buffer {
  return key.length <= maxKey ? key : createHash('sha256').update(key).digest();
}

/** Messages of a partition that are at work, in its order. */
interface AtWork {
  message: KafkaRecord;
  isPublished: boolean;
}

class KafkaBroker implements Broker {
  readonly #consumer: Consumer<Bytes, Bytes, Bytes, Bytes>;
  readonly #producer: Producer<Bytes, Bytes, Bytes, Bytes>;
  readonly #stream: MessagesStream<Bytes, Bytes, Bytes, Bytes>;
  readonly #publish: string;
  readonly #partitions = new Map<number, AtWork[]>();
  readonly #watch = new ConnectionWatch();

  constructor(
    consumer: Consumer<Bytes, Bytes, Bytes, Bytes>,
    producer: Producer<Bytes, Bytes, Bytes, Bytes>,
    stream: MessagesStream<Bytes, Bytes, Bytes, Bytes>,
    { publish }: BrokerOptions,
  ) {
    this.#consumer = consumer;
    this.#producer = producer;
    this.#stream = stream;
    this.#publish = publish;
    stream.on('error', (error: Error) => this.#watch.lose(error));
  }

  async *messages(signal: AbortSignal): AsyncGenerator<Message> {
    const delivered = this.#stream[Symbol.asyncIterator]();
    const aborted = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
      if (signal.aborted) resolve(undefined);
    });
    for (;;) {
      const next = await Promise.race([this.#watch.guard(delivered.next()), aborted]);
      if (next === undefined) return;
      if (next.done) this.#watch.lose(undefined);
      const message = await this.#watch.guard(Promise.resolve(next.value as KafkaRecord));
      const { topic, partition, offset, value } = message;
      const work = { message, isPublished: false };
      const queue = this.#partitions.get(partition) ?? [];
      queue.push(work);
      this.#partitions.set(partition, queue);
      const id = `${topic}-${partition}-${offset}`;
      // A message without a value is what compacted topics forget a key by.
      yield { id, data: value ?? Buffer.alloc(0), settle: (answer) => this.#settle(work, id, answer) };
    }
  }

  async #settle(work: AtWork, id: string, answer: string): Promise<void> {
    // Answers of one camera stay in order where its messages have a key.
    const key = shortenKey(work.message.key ?? Buffer.from(id));
    const message = { topic: this.#publish, key, value: Buffer.from(answer) };
    await this.#watch.guard(this.#producer.send({ messages: [message], acks: -1 }));
    work.isPublished = true;
    const queue = this.#partitions.get(work.message.partition) ?? [];
    const isAtWork = queue.findIndex(({ isPublished }) => !isPublished);
    const done = queue.splice(0, isAtWork < 0 ? queue.length : isAtWork).at(-1);
    if (done) await this.#watch.guard(Promise.resolve(done.message.commit()));
  }

  async close(): Promise<void> {
    await closeWithin(this.#stream.close());
    await closeWithin(Promise.all([this.#consumer.close(true), this.#producer.close()]));
  }
}
