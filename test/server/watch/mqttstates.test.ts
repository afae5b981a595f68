import { once } from 'node:events';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { Registry } from '@prometheus-io/client';
import { fastify } from 'fastify';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeConfig, loadConfig } from '../../../src/config.ts';
import type { Answer } from '../../../src/drift/trust.ts';
import type { SourceSummary } from '../../../src/server/watch/monitors.ts';
import { type MqttStates, openMqttStates } from '../../../src/server/watch/mqttstates.ts';
import { createTold } from '../../../src/server/watch/told.ts';
import type { Config } from '../../../src/settings.ts';
import { startBroker, type TestBroker } from '../../fixtures/broker.ts';

let broker: TestBroker | undefined;
beforeAll(async () => {
  broker = await startBroker('mosquitto');
});
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => broker?.stop());

const since = Date.UTC(2026, 10, 25, 12);
const calm = { images: 0, warn: 0, block: 0, level: 'calm' as const };

function makeKnown(source: string, rest: Partial<SourceSummary & Answer> = {}): SourceSummary & Answer {
  const told = createTold('ok', since);
  const known = { source, state: 'ok' as const, since, lastAt: since, recent: calm, moved: [], told };
  return { ...known, trust: 'yes', text: 'Images are like those of the reference.', ...rest };
}

/** A way to the broker that can be cut, as a network is. */
class Line {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = true;

  constructor(port: number) {
    this.#server = createServer((socket) => {
      if (this.#isCut) return void socket.destroy();
      const far = connectTcp(port, '127.0.0.1');
      for (const [one, other] of [
        [socket, far],
        [far, socket],
      ]) {
        this.#sockets.add(one);
        one.on('error', () => undefined).on('close', () => other.destroy());
        one.pipe(other);
      }
    });
  }

  async open(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    closing.push(
      () => this.cut(),
      () => this.#server.close(),
    );
    return (this.#server.address() as { port: number }).port;
  }

  mend(): void {
    this.#isCut = false;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }
}

/** What a home or a site sees of a topic and all below it, with what was retained from before it listened. */
async function listen(port: number, topic: string): Promise<Map<string, string>> {
  const seen = new Map<string, string>();
  const client: MqttClient = await connectAsync(`mqtt://127.0.0.1:${port}`);
  closing.push(() => client.endAsync(true));
  client.on('message', (name, payload) => seen.set(name, payload.toString()));
  await client.subscribeAsync(`${topic}/#`, { qos: 1 });
  return seen;
}

async function start(port: number, topic: string, list: (SourceSummary & Answer)[], flags: Partial<Config> = {}) {
  const address = `mqtt://viewer:secret@127.0.0.1:${port}`;
  const { config } = loadConfig({ env: {}, flags: { alertMqtt: address, alertMqttTopic: topic, ...flags } });
  const logged: string[] = [];
  const { log } = fastify({ logger: { level: 'info', stream: { write: (line: string) => void logged.push(line) } } });
  const registry = new Registry();
  const states = await openMqttStates(config, { log, registry, summaries: () => list, reconnectMs: 50 });
  closing.push(() => (states as MqttStates).close());
  return { states: states as MqttStates, logged, registry };
}

describe('states over MQTT', () => {
  it('are retained, with attributes, whether the service is there, and where Home Assistant looks', async ({
    skip,
  }) => {
    if (!broker) return skip();
    const told = { ...createTold('ok', since), state: 'drifted' as const };
    const rear = makeKnown('rear', { state: 'recovered', trust: 'doubtful', cause: 'fog', told });
    const list = [makeKnown('front'), rear];
    const { states, registry } = await start(broker.port, 'site/a', list, { alertMqttDiscovery: 'homes' });
    await expect.poll(() => registry.metrics()).toContain('stopline_mqtt_connected 1');
    // Who comes later sees it all the same.
    const seen = await listen(broker.port, 'site/a');
    await expect
      .poll(() => [...seen].filter(([topic]) => !topic.endsWith('attributes')).sort())
      .toEqual([
        ['site/a/front/state', 'ok'],
        // It is well again, and that has not lasted long enough to be told.
        ['site/a/rear/state', 'drifted'],
        ['site/a/status', 'online'],
      ]);
    expect(JSON.parse(seen.get('site/a/rear/attributes') as string)).toEqual({
      ...{ source: 'rear', state: 'recovered', since: '2026-11-25T12:00:00.000Z', trust: 'doubtful', cause: 'fog' },
      text: 'Images are like those of the reference.',
      advice: expect.objectContaining({ onShift: expect.any(String) }),
    });
    const homes = await listen(broker.port, 'homes');
    await expect.poll(() => homes.size).toBe(2);
    const [[topic, config]] = [...homes].filter(([, text]) => JSON.parse(text).name === 'rear');
    expect(topic).toMatch(/^homes\/sensor\/stopline_rear_[0-9a-f]{1,8}\/config$/);
    expect(JSON.parse(config)).toMatchObject({
      state_topic: 'site/a/rear/state',
      json_attributes_topic: 'site/a/rear/attributes',
      availability_topic: 'site/a/status',
    });
    list[0] = makeKnown('front', { maintenance: { until: since, reason: 'cleaning' }, trust: 'unknown' });
    await expect.poll(() => seen.get('site/a/front/state')).toBe('maintenance');
    expect(JSON.parse(seen.get('site/a/front/attributes') as string)).toMatchObject({
      maintenance: { until: '2026-11-25T12:00:00.000Z', reason: 'cleaning' },
    });
    await states.close();
    await expect.poll(() => seen.get('site/a/status')).toBe('offline');
    expect(seen.get('site/a/front/state')).toBe('maintenance');
  });

  it('reach a broker that comes late, are offline where the line is cut, and are the present ones on return', async ({
    skip,
  }) => {
    if (!broker) return skip();
    const line = new Line(broker.port);
    const list = [makeKnown('front')];
    const { logged, registry } = await start(await line.open(), 'late', list);
    const seen = await listen(broker.port, 'late');
    await expect.poll(() => logged.length).toBe(1);
    expect(logged[0]).toContain('the MQTT broker cannot be reached and is tried again');
    expect(seen.size).toBe(0);
    line.mend();
    await expect.poll(() => seen.get('late/front/state')).toBe('ok');
    await expect.poll(() => seen.get('late/status')).toBe('online');
    line.cut();
    await expect.poll(() => seen.get('late/status')).toBe('offline');
    expect(await registry.metrics()).toContain('stopline_mqtt_connected 0');
    list[0] = makeKnown('front', { state: 'stale', told: { ...createTold('ok', since), state: 'stale' } });
    list.push(makeKnown('rear', { told: { ...createTold('ok', since), blocked: '5 of the last 5 images blocked' } }));
    line.mend();
    await expect.poll(() => seen.get('late/rear/state')).toBe('blocked');
    expect(seen.get('late/front/state')).toBe('stale');
    expect(seen.get('late/status')).toBe('online');
    // One line when it was lost and one when it came back, each time, and no password in any.
    expect(logged.map((text) => JSON.parse(text).level)).toEqual([40, 30, 40, 30]);
    expect(logged.join()).not.toMatch(/secret|viewer/);
  });

  it('stay online while one of two services goes', async ({ skip }) => {
    if (!broker) return skip();
    const first = await start(broker.port, 'both', [makeKnown('front')]);
    await start(broker.port, 'both', [makeKnown('rear')]);
    const seen = await listen(broker.port, 'both');
    await expect.poll(() => [seen.get('both/front/state'), seen.get('both/rear/state')]).toEqual(['ok', 'ok']);
    const said: string[] = [];
    const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
    closing.push(() => client.endAsync(true));
    client.on('message', (_, payload) => said.push(payload.toString()));
    await client.subscribeAsync('both/status', { qos: 1 });
    await expect.poll(() => said).toEqual(['online']);
    await first.states.close();
    await expect.poll(() => said).toEqual(['online', 'offline', 'online']);
  });

  it('need no broker, and an address of one is never shown', () => {
    const flags = { alertMqtt: 'mqtt://viewer:secret@127.0.0.1' };
    expect(() => loadConfig({ env: {}, flags: { alertMqtt: 'http://viewer:secret@127.0.0.1' } })).toThrow(
      'Expected --alert-mqtt to be an address such as mqtt://user:password@127.0.0.1:1883 but received another.',
    );
    expect(() => loadConfig({ env: {}, flags: { ...flags, alertMqttTopic: 'site/#' } })).toThrow(
      /Expected --alert-mqtt-topic to be a topic such as stopline/,
    );
    expect(describeConfig(loadConfig({ env: {}, flags }))).not.toMatch(/secret|viewer/);
  });
});
