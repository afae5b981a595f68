import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { Consumer, Producer } from '@platformatic/kafka';
import { Redis } from 'ioredis';
import { connectAsync } from 'mqtt';
import { describe, expect, it } from 'vitest';
import type { Broker } from '../../src/run/brokers/broker.ts';
import { type BrokerKind, openBroker } from '../../src/run/brokers.ts';
import { consume } from '../../src/run/consume.ts';
import { createObjectStore } from '../../src/run/objects.ts';
import type { Pool } from '../../src/run/pool.ts';
import { type Row, writeRow } from '../../src/run/rows/row.ts';
import { startBroker } from '../fixtures/broker.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { startKafka } from '../fixtures/kafka.ts';

const folder = temporaryFolder();
const root = join(folder, 'root');
mkdirSync(root);
writeFileSync(join(root, 'a.jpg'), 'from a file');
writeFileSync(join(folder, 'secret.jpg'), 'secret');
symlinkSync(join(folder, 'secret.jpg'), join(root, 'link.jpg'));

/** A pool that tells what it was given, in place of a verdict: what is tested here is the way of the messages. */
const pool = {
  info: { threads: 2 },
  async score({ name, path, bytes, error, columns }: Parameters<Pool['score']>[0], format: 'jsonl') {
    const text = bytes ? Buffer.from(bytes).toString() : path && readFileSync(path, 'utf8');
    const shown = error ?? { code: 'STOPLINE_ERR_IMAGE_UNSUPPORTED', message: `${text}` };
    return writeRow(format, { path: name, ...(columns && { columns }), error: shown } satisfies Row);
  },
} as unknown as Pool;

const messages = [
  'plain bytes',
  JSON.stringify({ id: 'mine', image: Buffer.from('in JSON').toString('base64'), camera: 'front' }),
  JSON.stringify({ path: 'a.jpg' }),
  JSON.stringify({ path: '../secret.jpg' }),
  JSON.stringify({ path: 'link.jpg' }),
  JSON.stringify({ path: join(folder, 'secret.jpg') }),
  JSON.stringify({ path: 's3://other/secret.jpg' }),
  JSON.stringify({ id: 'pm', path: 'nope.jpg', camera: 'rear', lost: null }),
  JSON.stringify({ id: 7, path: 'a\0.jpg', lane: 3 }),
  JSON.stringify({ id: 8, image: 'no base64!', lane: 4 }),
  JSON.stringify({ id: 9, image: `data:image/jpeg;base64,${Buffer.from('a data URL').toString('base64')}` }),
  JSON.stringify({ id: 10, image: 5, path: 6 }),
  '{broken',
];
const answers = [
  ['UNSUPPORTED', 'plain bytes'],
  ['UNSUPPORTED', 'in JSON'],
  ['UNSUPPORTED', 'from a file'],
  ...Array.from({ length: 4 }, () => ['REQUEST_INVALID', 'not below']),
  ['INPUT_NOT_FOUND', 'does not exist'],
  ['INPUT_UNREADABLE', 'NUL'],
  ['REQUEST_INVALID', 'base64'],
  ['UNSUPPORTED', 'a data URL'],
  ['REQUEST_INVALID', 'JSON'],
];

/** What the brokers need of their client: send messages, and wait for so many answers. */
interface Client {
  send(texts: string[]): Promise<void>;
  answers(
    count: number,
  ): Promise<{ id: string | number; path: string; columns?: object; error: { code: string; message: string } }[]>;
  close(): Promise<unknown>;
}

const clients: Record<BrokerKind, (port: number) => Promise<Client>> = {
  async nats(port) {
    const connection = await connectNats({ servers: `127.0.0.1:${port}` });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'images', subjects: ['images'] });
    await manager.streams.add({ name: 'verdicts', subjects: ['verdicts'] });
    const client = jetstream(connection);
    return {
      async send(texts) {
        for (const text of texts) await client.publish('images', text);
      },
      async answers(count) {
        const all = [];
        const consumer = await client.consumers.get('verdicts');
        for await (const message of await consumer.consume()) {
          all.push(message.json<Awaited<ReturnType<Client['answers']>>[number]>());
          if (all.length === count) break;
        }
        return all;
      },
      close: () => connection.close(),
    };
  },
  async mqtt(port) {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
    const all: Awaited<ReturnType<Client['answers']>> = [];
    client.on('message', (_, payload) => all.push(JSON.parse(payload.toString())));
    await client.subscribeAsync('verdicts', { qos: 1 });
    return {
      async send(texts) {
        for (const text of texts) await client.publishAsync('images', text, { qos: 1 });
      },
      async answers(count) {
        while (all.length < count) await new Promise((resolve) => client.once('message', resolve));
        return all.slice();
      },
      close: () => client.endAsync(true),
    };
  },
  async 'redis-stream'(port) {
    const redis = new Redis(port, '127.0.0.1');
    // Commands of one connection wait for each other, and this one waits for answers.
    const reader = redis.duplicate();
    return {
      async send(texts) {
        for (const text of texts) await redis.xadd('images', '*', 'data', text);
      },
      async answers(count) {
        for (;;) {
          const entries = await reader.xrange('verdicts', '-', '+');
          if (entries.length >= count) return entries.map(([, fields]) => JSON.parse(fields[3]));
          // Until there is one more than those that were seen.
          await reader.xread('BLOCK', 0, 'STREAMS', 'verdicts', entries.at(-1)?.[0] ?? '0');
        }
      },
      close: async () => {
        redis.disconnect();
        reader.disconnect();
      },
    };
  },
  async kafka(port) {
    const options = { clientId: 'test', bootstrapBrokers: [`127.0.0.1:${port}`] };
    const producer = new Producer({ ...options, autocreateTopics: true });
    const consumer = new Consumer({ ...options, groupId: 'test' });
    const send = (topic: string, texts: string[]) =>
      producer.send({ messages: texts.map((text) => ({ topic, value: Buffer.from(text) })), acks: -1 });
    // A topic begins with its first message, which is a row of nobody.
    await send('verdicts', ['{"id":"first"}']);
    return {
      async send(texts) {
        await send('images', texts);
      },
      async answers(count) {
        const all: Awaited<ReturnType<Client['answers']>> = [];
        const stream = await consumer.consume({ topics: ['verdicts'], mode: 'earliest' });
        for await (const { value } of stream) {
          const row = JSON.parse(value.toString());
          if (row.id !== 'first') all.push(row);
          if (all.length === count) break;
        }
        return all;
      },
      close: () => Promise.all([consumer.close(true), producer.close()]),
    };
  },
};

const brokers = [
  ['kafka', 'kcat', 'kafka'],
  ['nats', 'nats-server', 'nats'],
  ['mqtt', 'mosquitto', 'mqtt'],
  ['redis-stream', 'redis-server', 'redis'],
] as const;

describe.each(brokers)('consume from %s', (kind, program, scheme) => {
  it('publishes one row a message, and after a crash those that were at work', async (test) => {
    const server = program === 'kcat' ? await startKafka() : await startBroker(program);
    if (!server) return test.skip();
    const store = createObjectStore();
    const client = await clients[kind](server.port);
    const open = () =>
      openBroker(kind, {
        ...{ server: `${scheme}://127.0.0.1:${server.port}`, topic: 'images', publish: 'verdicts' },
        ...{ group: 'g', atOnce: 4, stalledMs: 1000 },
      });
    const run = async (broker: Awaited<ReturnType<typeof open>>, signal: AbortSignal, judges = pool) =>
      consume(async () => broker, judges, { root, store, maxBytes: 1000, atOnce: 4, signal });
    try {
      // A first consumer takes messages and never finishes one, as one that is killed.
      const dead = await open();
      const taken = new Set<string>();
      let isTaken: () => void;
      const enough = new Promise<void>((resolve) => (isTaken = resolve));
      const hangs = {
        score: ({ name }: { name: string }) => {
          taken.add(name);
          if (taken.size >= 4) isTaken();
          return new Promise(() => {});
        },
      } as unknown as Pool;
      void run(dead, new AbortController().signal, hangs).catch(() => undefined);
      await client.send(messages);
      await enough;
      await dead.close();

      const stop = new AbortController();
      const ended = run(await open(), stop.signal);
      const rows = await client.answers(messages.length);
      stop.abort();
      await ended;
      const found = rows.map(({ error }) => [error.code.replace(/STOPLINE_ERR_(IMAGE_)?/, ''), error.message]);
      for (const [code, text] of answers) {
        expect(found).toContainEqual([code, expect.stringContaining(text)]);
      }
      const ids = new Set(rows.map(({ id }) => id));
      expect(ids.size).toBe(messages.length);
      expect(ids).toContain('mine');
      const findColumns = (wanted: string | number) => rows.find(({ id }) => id === wanted)?.columns;
      expect(findColumns('mine')).toEqual({ id: 'mine', camera: 'front' });
      // Also of what cannot be opened.
      expect(findColumns('pm')).toEqual({ id: 'pm', camera: 'rear', lost: null });
      expect(findColumns(7)).toEqual({ id: 7, lane: 3 });
      expect(findColumns(8)).toEqual({ id: 8, lane: 4 });
      expect([findColumns(9), findColumns(10)]).toEqual([{ id: 9 }, { id: 10 }]);
    } finally {
      await client.close();
      await server.stop();
    }
  });

  it('goes on after the broker was killed ten times, with a row for every message', async (test) => {
    // What stands for Kafka forgets everything when it ends.
    const server = program === 'kcat' ? undefined : await startBroker(program);
    if (!server) return test.skip();
    const store = createObjectStore();
    let client = await clients[kind](server.port);
    const open = () =>
      openBroker(kind, {
        ...{ server: `${scheme}://127.0.0.1:${server.port}`, topic: 'images', publish: 'verdicts' },
        ...{ group: 'g', atOnce: 4, stalledMs: 1000 },
      });
    const stop = new AbortController();
    let lost = 0;
    const found = new Set<string | number>();
    const options = { root, store, maxBytes: 1000, atOnce: 4, signal: stop.signal, onLost: () => lost++ };
    const ended = consume(open, pool, { ...options, onVerdict: ({ path }) => found.add(path) });
    // Redis may have published and settled in one transaction, and have died before it said so.
    const listPublished = async () =>
      kind === 'redis-stream' ? new Set((await client.answers(0)).map(({ id }) => id)) : found;
    const listMissing = async (names: string[]) => {
      const published = await listPublished();
      return names.filter((name) => !published.has(name));
    };
    const send = (names: string[]) => client.send(names.map((path) => JSON.stringify({ id: path, path })));
    try {
      // Again and again: MQTT keeps nothing for a consumer that has not subscribed yet.
      const sendFirst = async () => {
        await send(['first.jpg']);
        return listMissing(['first.jpg']);
      };
      await expect.poll(sendFirst, { interval: 500, timeout: 60_000 }).toEqual([]);
      for (let round = 0; round < 10; round++) {
        const names = Array.from({ length: 6 }, (_, i) => `round${round}-${i}.jpg`);
        await send(names);
        await server.kill();
        await client.close().catch(() => undefined);
        await server.start();
        client = await clients[kind](server.port);
        // Mosquitto may have lost what it had queued: its sender sends again what has no answer.
        const sendAgain = async () => {
          const missing = await listMissing(names);
          if (kind === 'mqtt' && missing.length > 0) await send(missing);
          return missing;
        };
        // Within a minute of the return of the broker.
        await expect.poll(sendAgain, { interval: kind === 'mqtt' ? 1000 : 200, timeout: 60_000 }).toEqual([]);
      }
      expect(lost).toBeGreaterThan(0);
    } finally {
      stop.abort();
      await ended;
      await client.close().catch(() => undefined);
      await server.stop();
    }
  });

  it('says which broker cannot be reached, without the password', async () => {
    const options = { topic: 'images', publish: 'verdicts', group: 'g', atOnce: 1, stalledMs: 1000 };
    const refused = openBroker(kind, { ...options, server: `${scheme}://user:secret@127.0.0.1:1` });
    await expect(refused).rejects.toMatchObject({
      code: 'STOPLINE_ERR_BROKER_UNAVAILABLE',
      message: expect.stringMatching(/^(?!.*secret).*127\.0\.0\.1:1/),
    });
  });
});

describe('consume from Kafka', () => {
  it('notices that its broker is gone, so that it is opened anew', async (test) => {
    const server = await startKafka();
    if (!server) return test.skip();
    const client = await clients.kafka(server.port);
    await client.send(['an image']);
    await client.close();
    const broker = await openBroker('kafka', {
      ...{ server: `kafka://127.0.0.1:${server.port}`, topic: 'images', publish: 'verdicts' },
      ...{ group: 'g', atOnce: 4, stalledMs: 1000 },
    });
    const messages = broker.messages(new AbortController().signal);
    const { value: message } = await messages.next();
    expect(Buffer.from(message?.data ?? []).toString()).toBe('an image');
    expect(message?.id).toMatch(/^images-\d-0$/);
    await server.stop();
    await expect(messages.next()).rejects.toMatchObject({ code: 'STOPLINE_ERR_BROKER_UNAVAILABLE' });
    await expect(message?.settle('lost')).rejects.toMatchObject({ code: 'STOPLINE_ERR_BROKER_UNAVAILABLE' });
    await broker.close();
  });
});

describe('consume of messages that somebody made up', () => {
  /** A broker that delivers what is given until it is settled, as every one does. */
  const deliver = (given: readonly string[]) => {
    const waiting = new Map(given.map((text, i) => [`m${i}`, Buffer.from(text)]));
    const rows: Record<string, unknown>[] = [];
    let connections = 0;
    const open = async (): Promise<Broker> => {
      connections++;
      return {
        async *messages() {
          for (const [id, data] of waiting)
            yield {
              id,
              data,
              async settle(answer) {
                if (answer.length > 2 ** 20) throw new Error('the broker takes no message above 1 MiB');
                waiting.delete(id);
                rows.push(JSON.parse(answer));
                if (waiting.size === 0) stop.abort();
              },
            };
        },
        close: async () => undefined,
      };
    };
    const stop = new AbortController();
    return { open, rows, stop, connections: () => connections };
  };
  const image = Buffer.from('x').toString('base64');
  const long = 'x'.repeat(2 ** 20);
  const odd = {
    'nothing at all': '',
    'columns that lie deep': `{"image":"${image}","a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`,
    'half of it': '{"image":',
    'a long id': JSON.stringify({ id: long, image }),
    'a long path': JSON.stringify({ path: long }),
    'a long column': JSON.stringify({ image, note: long }),
    'many columns': `{"image":"${image}",${Array.from({ length: 20_000 }, (_, i) => `"k${i}":1`).join()}}`,
    'signs that grow when they are written': JSON.stringify({ image, note: '\0'.repeat(60_000) }),
    'an id that is no number': `{"id":1e400,"image":"${image}"}`,
    'the prototype': `{"__proto__":{"image":"${image}"},"path":"../secret.jpg"}`,
    'a verdict of its own': JSON.stringify({ image, verdict: 'pass', error: null, columns: {} }),
  };

  it.each(Object.entries(odd))('answers %s once', async (_name, text) => {
    const { open, rows, stop, connections } = deliver([text, JSON.stringify({ id: 'next', path: 'a.jpg' })]);
    await consume(open, pool, { root, store: createObjectStore(), maxBytes: 1000, atOnce: 1, signal: stop.signal });
    expect(connections()).toBe(1);
    expect(rows).toHaveLength(2);
    expect(rows[0].verdict).toBeUndefined();
    expect(rows[0].id).not.toBeNull();
    expect(rows[1].id).toBe('next');
    expect(JSON.stringify(rows)).not.toContain(folder);
  });
});
