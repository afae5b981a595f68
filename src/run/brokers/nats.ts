import type { Consumer, JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { StoplineError } from '../../errors.ts';
import { loadPackage } from '../optional.ts';
import { type Broker, type BrokerOptions, ConnectionWatch, closeWithin, type Message } from './broker.ts';

/** How often a silent server is asked whether it is there, in milliseconds. */
const pingInterval = 10_000;

/** NATS JetStream: both subjects belong to streams; the group is a durable consumer. Answers are told apart by Nats-Msg-Id. */
export async function openNats(options: BrokerOptions): Promise<Broker> {
  const { server, topic, group, stalledMs } = options;
  const { connect } = await loadPackage('@nats-io/transport-node', () => import('@nats-io/transport-node'));
  const { jetstream, jetstreamManager, AckPolicy } = await loadPackage(
    '@nats-io/jetstream',
    () => import('@nats-io/jetstream'),
  );
  const connection = await connect({ servers: server, reconnect: false, pingInterval, maxPingOut: 2 });
  try {
    const manager = await jetstreamManager(connection);
    const stream = await manager.streams.find(topic).catch(() => {
      throw new StoplineError(
        'BROKER_UNAVAILABLE',
        `Expected a JetStream stream with the subject "${topic}" but there is none. Make one: nats stream add --subjects "${topic}"`,
      );
    });
    await manager.consumers.add(stream, {
      durable_name: group,
      ack_policy: AckPolicy.Explicit,
      filter_subject: topic,
      ack_wait: stalledMs * 1e6,
      max_ack_pending: -1,
    });
    const client = jetstream(connection);
    return new NatsBroker(connection, client, await client.consumers.get(stream, group), { ...options, stream });
  } catch (error) {
    await closeWithin(connection.close());
    throw error;
  }
}

class NatsBroker implements Broker {
  readonly #connection: NatsConnection;
  readonly #client: JetStreamClient;
  readonly #consumer: Consumer;
  readonly #options: BrokerOptions & { stream: string };
  readonly #watch = new ConnectionWatch();

  constructor(
    connection: NatsConnection,
    client: JetStreamClient,
    consumer: Consumer,
    options: BrokerOptions & { stream: string },
  ) {
    this.#connection = connection;
    this.#client = client;
    this.#consumer = consumer;
    this.#options = options;
    void connection.closed().then((cause) => this.#watch.lose(cause));
  }

  async *messages(signal: AbortSignal): AsyncGenerator<Message> {
    const source = await this.#watch.guard(this.#consumer.consume({ max_messages: this.#options.atOnce }));
    const stop = () => source.stop();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const delivered = source[Symbol.asyncIterator]();
    for (;;) {
      const { value: message, done } = await this.#watch.guard(delivered.next());
      if (done && signal.aborted) return;
      if (done) throw new StoplineError('BROKER_UNAVAILABLE', 'The broker ended the delivery of messages.');
      const id = message.headers?.get('Nats-Msg-Id') || `${this.#options.stream}-${message.seq}`;
      yield {
        id,
        data: message.data,
        deliveries: message.info.deliveryCount,
        settle: async (answer) => {
          await this.#watch.guard(this.#client.publish(this.#options.publish, answer, { msgID: id }));
          message.ack();
        },
      };
    }
  }

  async close(): Promise<void> {
    await closeWithin(this.#connection.drain());
    await closeWithin(this.#connection.close());
  }
}
