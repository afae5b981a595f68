import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import { connectAsync as connectMqtt } from 'mqtt';
import { startBroker } from '../../test/fixtures/broker.ts';
import { type Outcome, type Stage, sleep } from './target.ts';

/** An image has its row within this of the broker's return. */
const limitMs = 60_000;

/** What is asked of a broker here: a message goes in, and rows come out. */
interface Client {
  send(image: Uint8Array): Promise<void>;
  countRows(): Promise<number>;
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
    send: async (image) => void (await client.publish('images', image)),
    countRows: async () => (await manager.streams.info('verdicts')).state.messages,
    close: () => connection.close(),
  };
}

async function openRedis(port: number): Promise<Client> {
  const redis = new Redis(port, '127.0.0.1');
  return {
    send: async (image) => void (await redis.xadd('images', '*', 'data', Buffer.from(image))),
    countRows: () => redis.xlen('verdicts'),
    close: async () => redis.disconnect(),
  };
}

/** Rows are counted as they come: the broker keeps those of a session that is away. */
async function openMqtt(port: number): Promise<Client> {
  const client = await connectMqtt(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
    clientId: 'faults',
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
  });
  client.on('message', () => {
    mqttRows += 1;
  });
  await client.subscribeAsync('verdicts', { qos: 1 });
  return {
    send: async (image) => void (await client.publishAsync('images', Buffer.from(image), { qos: 1 })),
    countRows: () => Promise.resolve(mqttRows),
    close: () => client.endAsync(true),
  };
}
let mqttRows = 0;

/** Brokers that are killed and come back, again and again: `consume` goes on with them. */
export async function run(stage: Stage): Promise<Outcome> {
  const kills = stage.count ?? 10;
  const figures: string[] = [];
  let ok = true;
  let isSkipped = true;
  for (const [kind, { program, scheme, open }] of Object.entries(kinds)) {
    const broker = await startBroker(program);
    if (!broker) continue;
    isSkipped = false;
    let client = await open(broker.port);
    const address = `${scheme}://127.0.0.1:${broker.port}`;
    const topics = ['--from', kind, '--broker', address, '--topic', 'images', '--publish', 'verdicts'];
    const consumer = stage.command(['consume', ...topics, '--profile', stage.profile, '--threads', '1'], {
      timeoutMs: 600_000,
    });
    let code: number | undefined | 'runs' = 'runs';
    void consumer.then((ended) => {
      code = ended.code;
    });
    const comeBack = async (count: number) => {
      await client.send(stage.frame);
      for (const deadline = Date.now() + limitMs; Date.now() < deadline && code === 'runs'; await sleep(50))
        if ((await client.countRows()) >= count) return true;
      return false;
    };
    let stood = -1;
    while (stood < kills && (await comeBack(stood + 2))) {
      stood += 1;
      if (stood === kills) break;
      await client.close();
      await broker.kill();
      await broker.start();
      client = await open(broker.port);
    }
    ok &&= stood === kills;
    figures.push(
      `${kind} killed ${kills} times: ${stood === kills ? 'a row for every image' : `no row after ${Math.max(0, stood)} times${code === 'runs' ? `, for ${limitMs / 1000} s` : `, exit ${code}`}`}`,
    );
    await client.close();
    stage.close();
    await consumer;
    await broker.stop();
  }
  return {
    ok,
    isSkipped,
    figures: isSkipped ? 'neither nats-server nor redis-server is installed' : figures.join('; '),
  };
}
