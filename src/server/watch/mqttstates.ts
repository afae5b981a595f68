import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Registry } from '@prometheus-io/client';
import type { FastifyBaseLogger } from 'fastify';
import type { MqttClient } from 'mqtt';
import type { Answer } from '../../drift/trust.ts';
import { adviseOn } from '../../profile/likelycause.ts';
import { closeWithin } from '../../run/brokers/broker.ts';
import { loadPackage } from '../../run/optional.ts';
import type { Config } from '../../settings.ts';
import { gauge } from '../metrics.ts';
import type { SourceSummary } from './monitors.ts';
import { isAlarm } from './told.ts';

/** What changes without an event, such as the end of a maintenance window, is found so often. */
const lookEveryMs = 1000;
/** With ten thousand sources a look takes long: it may take this part of the time, and no more. */
const restsPerLook = 50;
const defaultReconnectMs = 2000;
const online = 'online';
const offline = 'offline';

type Known = SourceSummary & Answer;

export interface MqttStatesOptions {
  log: FastifyBaseLogger;
  registry: Registry;
  /** All sources that this service watches, and what is said of them. */
  summaries(): Known[];
  /** Default: 2 s. */
  reconnectMs?: number;
}

/**
 * Connects to the broker that the configuration names, which may come later; undefined where it names none.
 * @throws {StoplineError} PACKAGE_MISSING
 */
export async function openMqttStates(config: Config, options: MqttStatesOptions): Promise<MqttStates | undefined> {
  if (config.alertMqtt === undefined) return undefined;
  const { connect } = await loadPackage('mqtt', () => import('mqtt'));
  return new MqttStates(connect, config, options);
}

/**
 * Tells an MQTT broker what receivers of alerts are told, as homes and sites expect it: for every source a retained state and its
 * attributes, and whether this service is there, with a last will for when it no longer is. What the broker missed while it was away
 * it is told when it is back: nothing but the present is kept.
 */
export class MqttStates {
  readonly #options: MqttStatesOptions;
  readonly #prefix: string;
  readonly #discovery: string | undefined;
  readonly #client: MqttClient;
  /** What was last told of every source, but for the words. */
  readonly #told = new Map<string, string>();
  #looking: NodeJS.Timeout;
  #isClosing = false;
  #isLost = false;

  /** Use `openMqttStates`. */
  constructor(connect: typeof import('mqtt').connect, config: Config, options: MqttStatesOptions) {
    this.#options = options;
    this.#prefix = config.alertMqttTopic;
    this.#discovery = config.alertMqttDiscovery;
    this.#client = connect(String(config.alertMqtt), {
      protocolVersion: 5,
      clientId: `stopline-${randomUUID()}`,
      reconnectPeriod: options.reconnectMs ?? defaultReconnectMs,
      // What waits would be old when the broker is back, and without end.
      queueQoSZero: false,
      will: { topic: this.#availability, payload: Buffer.from(offline), qos: 1, retain: true },
    });
    this.#client.on('connect', () => this.#greet());
    this.#client.on('error', ({ message, code }: Error & { code?: unknown }) => this.#lose(message || String(code)));
    this.#client.on('close', () => this.#lose('the connection was closed'));
    this.#client.on('message', (topic, payload) => this.#correct(topic, payload.toString()));
    const isConnected = () => (this.#client.connected ? 1 : 0);
    gauge(options.registry, 'stopline_mqtt_connected', '1 while the broker of alertMqtt is connected.', isConnected);
    this.#looking = setTimeout(() => this.#lookOn(), lookEveryMs).unref();
  }

  /** Says that the service is no longer there. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#looking);
    if (this.#client.connected) {
      this.#look();
      // Its own goodbye keeps the last will from being told as well.
      const told = this.#client.publishAsync(this.#availability, offline, { qos: 1, retain: true });
      await closeWithin(told.then(() => this.#client.endAsync()));
    }
    this.#client.end(true);
  }

  get #availability(): string {
    return `${this.#prefix}/status`;
  }

  #greet(): void {
    if (this.#isLost) this.#options.log.info('the MQTT broker is back: it is told the present state');
    this.#isLost = false;
    this.#told.clear();
    this.#publish(this.#availability, online);
    // Another replica that goes says offline for all.
    this.#client.subscribe(this.#availability, { qos: 1 }, () => undefined);
    this.#look();
  }

  #lose(problem: string): void {
    if (this.#isLost || this.#isClosing) return;
    this.#isLost = true;
    this.#options.log.warn({ problem }, 'the MQTT broker cannot be reached and is tried again');
  }

  #correct(topic: string, payload: string): void {
    if (topic === this.#availability && payload === offline && !this.#isClosing) this.#publish(topic, online);
  }

  #lookOn(): void {
    const startedAt = performance.now();
    this.#look();
    const tookMs = performance.now() - startedAt;
    this.#looking = setTimeout(() => this.#lookOn(), Math.max(lookEveryMs, restsPerLook * tookMs)).unref();
  }

  /** Tells what has changed since the last look. */
  #look(): void {
    if (!this.#client.connected) return;
    for (const known of this.#options.summaries()) {
      const { source } = known;
      const state = nameState(known);
      const attributes = describeAttributes(known);
      const { text: _, ...kept } = attributes;
      const key = JSON.stringify([state, kept]);
      const before = this.#told.get(source);
      if (before === key) continue;
      this.#told.set(source, key);
      if (before === undefined) this.#announce(source);
      this.#publish(`${this.#prefix}/${source}/attributes`, JSON.stringify(attributes));
      this.#publish(`${this.#prefix}/${source}/state`, state);
    }
  }

  /** https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery */
  #announce(source: string): void {
    if (this.#discovery === undefined) return;
    const plain = source.replace(/[^A-Za-z0-9_-]/g, '_');
    // Names that differ only in signs that an id may not have are two sensors.
    const id = `stopline_${plain}_${crc32(`${this.#prefix}/${source}`).toString(16)}`;
    const topic = `${this.#prefix}/${source}`;
    const config = {
      name: source,
      unique_id: id,
      icon: 'mdi:cctv',
      state_topic: `${topic}/state`,
      json_attributes_topic: `${topic}/attributes`,
      availability_topic: this.#availability,
      device: { identifiers: [`stopline_${this.#prefix}`], name: 'Stopline', manufacturer: 'Stopline' },
    };
    this.#publish(`${this.#discovery}/sensor/${id}/config`, JSON.stringify(config));
  }

  #publish(topic: string, payload: string): void {
    // A broker that goes meanwhile is told all again when it is back.
    this.#client.publish(topic, payload, { qos: 1, retain: true }, () => undefined);
  }
}

/** What receivers know: in maintenance neither well nor ill, and blocked images before states that say nothing of them. */
function nameState({ state, told, maintenance }: Known): string {
  if (maintenance) return 'maintenance';
  if (told?.blocked !== undefined && !isAlarm(told.state)) return 'blocked';
  return told?.state ?? state;
}

function describeAttributes(known: Known) {
  const { source, state, since, trust, text, cause, recent, maintenance } = known;
  const named = cause ?? recent.cause;
  const advice = named === undefined || trust === 'yes' ? undefined : adviseOn(named);
  return {
    source,
    state,
    since: new Date(since).toISOString(),
    trust,
    text,
    ...(named !== undefined && { cause: named }),
    ...(advice && { advice }),
    ...(maintenance && { maintenance: { ...maintenance, until: new Date(maintenance.until).toISOString() } }),
  };
}
