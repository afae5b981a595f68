import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import stopline from '../src/node.ts';
import { describeApplication, tell } from './fixtures/application.ts';

describeApplication('node:http', async (options) => {
  const gate = await stopline(options);
  const server = createServer(
    gate.guard(async (request, response) => {
      const told = tell(await buffer(request), request.stopline?.decision?.verdict?.verdict);
      response.setHeader('content-type', 'application/json').end(JSON.stringify(told));
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await gate.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
});
