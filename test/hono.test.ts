import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { expect, it } from 'vitest';
import stopline, { type HonoGate, type StoplineOptions } from '../src/hono.ts';
import { describeApplication, tell } from './fixtures/application.ts';
import { fitReference } from './fixtures/reference.ts';

async function listen(app: Hono<never>, gate: HonoGate) {
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  await once(server, 'listening');
  const close = async () => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
    await gate.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

describeApplication('Hono', async (options) => {
  const gate = await stopline(options as StoplineOptions);
  const app = new Hono();
  app.use(gate);
  app.all('*', async (context) => {
    const passage = (context.get as (name: string) => { decision?: { verdict?: { verdict: string } } } | undefined)(
      'stopline',
    );
    return context.json(tell(new Uint8Array(await context.req.arrayBuffer()), passage?.decision?.verdict?.verdict));
  });
  return listen(app as never, gate);
});

it('Hono: judges a body that a handler before it has read, also a form', async () => {
  const reference = await fitReference();
  const gate = await stopline({ profile: reference.profilePath, threads: 1, mode: 'enforce', onError: 'closed' });
  const app = new Hono();
  app.use('/form', async (context, next) => {
    await context.req.parseBody();
    await next();
  });
  app.use('/bytes', async (context, next) => {
    await context.req.arrayBuffer();
    await next();
  });
  app.use(gate);
  app.post('*', (context) => context.text('seen'));
  try {
    const photo = new Blob([Buffer.from(reference.frame)]);
    const form = new FormData();
    form.set('photo', photo, 'a.jpg');
    for (const [path, body] of [
      ['/form', form],
      ['/bytes', photo],
    ] as const) {
      const answer = await app.request(path, { method: 'POST', body });
      expect([answer.status, answer.headers.get('x-stopline-verdict')], path).toEqual([200, 'pass']);
    }
    form.set('photo', new Blob([Buffer.from(reference.frame).subarray(0, 500)]), 'a.jpg');
    expect((await app.request('/form', { method: 'POST', body: form })).status).toBe(422);
  } finally {
    await gate.close();
    await reference.remove();
  }
});
