import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import Koa from 'koa';
import stopline from '../src/koa.ts';
import { describeApplication, tell } from './fixtures/application.ts';

describeApplication('Koa', async (options) => {
  const gate = await stopline(options);
  const app = new Koa();
  app.use(gate);
  app.use(async (ctx) => {
    ctx.body = tell(await buffer(ctx.req), ctx.state.stopline?.decision?.verdict?.verdict);
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await gate.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
});
