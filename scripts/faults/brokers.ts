import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { connectAsync as connectMqtt } from 'mqtt';
import { startBroker } from '../../test/fixtures/broker.ts';
import { type Outcome, type Stage, sleep } from './target.ts';

/** An image has its row within this of the broker's return. */
const limitMs = 60_000;

/** A message without a row is sent again after this. */
const againMs = 5000;

/** What is asked of a broker here: a message goes in, and rows come out. */
interface Client {
  send(message: string): Promise<void>;
  hasRow(id: string): Promise<boolean>;
  close(): Promise<void>;
}

const kinds = {
  nats: { program: 'nats-server', scheme: 'nats', open: openNats },
  'redis-stream': { program: 'redis-server', scheme: 'redis', open: openRedis },
  mqtt: { program: 'mosquitto', scheme: 'mqtt', open: openMqtt },
} as const;

async function openNats(port: number): Promise<Client> {
  const connection = await connectNats({ servers: `127.0.0.1:${port}` });
  const manager = await jetstreamManager(connection);
  const client = jetstream(connection);
  for (const name of ['images', 'verdicts']) await manager.streams.add({ name, subjects: [name] });
  return {
    send: async (message) => void (await client.publish('images', message)),
    async hasRow(id) {
      const last = await manager.streams.getMessage('verdicts', { last_by_subj: 'verdicts' }).catch(() => undefined);
      return last?.string().includes(id) ?? false;
    },
    close: () => connection.close(),
  };
}

async function openRedis(port: number): Promise<Client> {
  const redis = new Redis(port, '127.0.0.1');
  return {
    send: async (message) => void (await redis.xadd('images', '*', 'data', message)),
    hasRow: async (id) => (await redis.xrange('verdicts', '-', '+')).flat(2).some((text) => text.includes(id)),
    close: async () => redis.disconnect(),
  };
}

async function openMqtt(port: number): Promise<Client> {
  const client = await connectMqtt(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
  let rows = '';
  client.on('message', (_, payload) => {
    rows += payload.toString();
  });
  await client.subscribeAsync('verdicts', { qos: 1 });
  return {
    send: async (message) => void (await client.publishAsync('images', message, { qos: 1 })),
    hasRow: (id) => Promise.resolve(rows.includes(id)),
    close: () => client.endAsync(true),
  };
}

/** Kills one broker again and again under `consume`. @returns undefined where it is not installed */
async function killAgain(stage: Stage, kind: keyof typeof kinds, kills: number): Promise<Outcome | undefined> {
  const { program, scheme, open } = kinds[kind];
  const broker = await startBroker(program);
  if (!broker) return undefined;
  let client = await open(broker.port);
  const address = `${scheme}://127.0.0.1:${broker.port}`;
  const topics = ['--from', kind, '--broker', address, '--topic', 'images', '--publish', 'verdicts'];
  const stop = new AbortController();
  const consumer = stage.command(['consume', ...topics, '--profile', stage.profile, '--threads', '1'], {
    timeoutMs: 600_000,
    signal: stop.signal,
  });
  let end = '';
  void consumer.then(({ code, stderr }) => {
    end = `, exit ${code}: ${stderr.slice(-200)}`;
  });
  const image = Buffer.from(stage.frame).toString('base64');
  const comesBack = async (id: string) => {
    const deadline = performance.now() + limitMs;
    for (let sentAt = 0; performance.now() < deadline && end === ''; await sleep(50)) {
      // MQTT keeps nothing for one that has not subscribed yet, and Mosquitto may lose what it had queued.
      if (sentAt === 0 || performance.now() > sentAt + againMs) {
        await client.send(JSON.stringify({ id, image }));
        sentAt = performance.now();
      }
      if (await client.hasRow(`"${id}"`)) return true;
    }
    return false;
  };
  let stood = 0;
  let isThere = await comesBack('first');
  for (; isThere && stood < kills; stood += isThere ? 1 : 0) {
    await client.close();
    await broker.kill();
    await broker.start();
    client = await open(broker.port);
    isThere = await comesBack(`after-${stood + 1}`);
  }
  const figures = isThere
    ? 'a row for every image'
    : `no row after ${stood} times${end || `, for ${limitMs / 1000} s`}`;
  await client.close();
  stop.abort();
  await consumer;
  await broker.stop();
  return { ok: isThere, figures: `${kind} killed ${kills} times: ${figures}` };
}

/** Brokers that are killed and come back, again and again: `consume` goes on with them. */
export async function run(stage: Stage): Promise<Outcome> {
  const outcomes: Outcome[] = [];
  for (const kind of Object.keys(kinds) as (keyof typeof kinds)[]) {
    const outcome = await killAgain(stage, kind, stage.count ?? 10);
    if (outcome) outcomes.push(outcome);
  }
  if (outcomes.length === 0) return { ok: true, isSkipped: true, figures: 'no broker is installed' };
  return { ok: outcomes.every(({ ok }) => ok), figures: outcomes.map(({ figures }) => figures).join('; ') };
}
