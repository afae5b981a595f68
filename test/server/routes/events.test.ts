import { once } from 'node:events';
import { connect } from 'node:net';
import { Registry } from '@prometheus-io/client';
import Fastify from 'fastify';
import { expect, it } from 'vitest';
import { refusalSchema } from '../../../src/server/http/schemas.ts';
import { registerEvents } from '../../../src/server/routes/events.ts';

it('a reader that reads too slowly is cut off, while the others get everything', async () => {
  const registry = new Registry();
  const app = Fastify();
  app.addSchema(refusalSchema);
  const events = registerEvents(app, registry);
  const url = new URL(await app.listen({ port: 0 }));
  const open = async () => {
    const socket = connect(Number(url.port), url.hostname);
    socket.write('GET /events HTTP/1.1\r\nhost: test\r\n\r\n');
    await once(socket, 'data');
    return socket;
  };
  const slow = (await open()).pause();
  const quick = await open();
  let received = 0;
  quick.on('data', (chunk) => {
    received += chunk.toString().match(/^id: /gm)?.length ?? 0;
  });
  const count = async (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await registry.metrics())?.[1]);
  expect(await count('stopline_event_clients')).toBe(2);

  let published = 0;
  while ((await count('stopline_event_clients_dropped_total')) === 0) {
    for (let i = 0; i < 50; i++) events.publish('verdict', 'front', { text: 'x'.repeat(4000) });
    published += 50;
    await expect.poll(() => received).toBe(published);
  }
  expect(await count('stopline_event_clients')).toBe(1);
  // 256 kB of ours and what the kernel takes: not all that was said.
  expect(published * 4000).toBeLessThan(64 * 1024 * 1024);
  slow.destroy();
  quick.destroy();
  await app.close();
});
