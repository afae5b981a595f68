import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import type { IClientOptions, MqttClient } from 'mqtt';
import { loadPackage } from '../optional.ts';
import { type Broker, type BrokerOptions, ConnectionWatch, closeWithin, type Message } from './broker.ts';

/** How long a broker keeps the messages of a consumer that is away, in seconds. */
const sessionExpiryInterval = 24 * 3600;

/**
 * MQTT at quality of service 1. A client takes one message after the other and says so in that order, so there is one
 * connection for each message at work; a shared subscription spreads the messages over them. Their sessions outlast a restart.
 */
export async function openMqtt(options: BrokerOptions): Promise<Broker> {
  const { connect } = await loadPackage('mqtt', () => import('mqtt'));
  const broker = new MqttBroker(options, connect);
  try {
    await broker.open();
    return broker;
  } catch (error) {
    await broker.close();
    throw error;
  }
}

class MqttBroker implements Broker {
  readonly #options: BrokerOptions;
  readonly #connect: typeof import('mqtt').connect;
  readonly #watch = new ConnectionWatch();
  readonly #clients: MqttClient[] = [];
  readonly #waiting: Message[] = [];
  #wake: () => void = () => undefined;
  #publisher: MqttClient | undefined;

  constructor(options: BrokerOptions, connect: typeof import('mqtt').connect) {
    this.#options = options;
    this.#connect = connect;
  }

  async open(): Promise<void> {
    // While a client has a message at work it hears nothing else, so answers go through another one.
    this.#publisher = await this.#openClient({ clean: true });
    await Promise.all(Array.from({ length: this.#options.atOnce }, (_, i) => this.#subscribe(i)));
  }

  async *messages(signal: AbortSignal): AsyncGenerator<Message> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const message = this.#waiting.shift();
      if (message) yield message;
      else {
        const next = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await this.#watch.guard(next);
      }
    }
  }

  async close(): Promise<void> {
    // One that waits for a message to be settled would wait for ever; its messages come again.
    await closeWithin(Promise.all(this.#clients.map((client) => client.endAsync())));
    for (const client of this.#clients) client.end(true);
  }

  async #openClient(options: IClientOptions, handle?: MqttClient['handleMessage']): Promise<MqttClient> {
    const client = this.#connect(this.#options.server, {
      ...options,
      protocolVersion: 5,
      manualConnect: true,
      reconnectPeriod: 0,
    });
    this.#clients.push(client);
    // Messages of an earlier session come at once, so whoever takes them is there before.
    if (handle) client.handleMessage = handle;
    client.connect();
    await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject).once('close', reject));
    client.on('error', (error) => this.#watch.lose(error));
    client.on('close', () => this.#watch.lose(undefined));
    return client;
  }

  async #subscribe(i: number): Promise<void> {
    const { group, topic } = this.#options;
    let taken: (value?: unknown) => void = () => undefined;
    const first = new Promise((resolve) => {
      taken = resolve;
    });
    const session = { clean: false, properties: { sessionExpiryInterval }, clientId: `${group}-${hostname()}-${i}` };
    const client = await this.#openClient(session, (packet, done) => {
      const data = packet.payload as Uint8Array;
      const id = createHash('sha256').update(`${packet.topic}\n`).update(data).digest('hex');
      this.#waiting.push({ id, data, settle: (answer) => this.#settle(answer, done) });
      taken();
      this.#wake();
    });
    const subscribed = client.subscribeAsync(`$share/${group}/${topic}`, { qos: 1 });
    // A message of an earlier session keeps the answer to this from being heard, and proves the subscription.
    await this.#watch.guard(Promise.race([subscribed, first]));
    subscribed.catch(() => undefined);
  }

  async #settle(answer: string, done: () => void): Promise<void> {
    const { publish } = this.#options;
    await this.#watch.guard((this.#publisher as MqttClient).publishAsync(publish, answer, { qos: 1 }));
    done();
  }
}
