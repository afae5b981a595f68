/**
 * The negative control: a service that takes no care at all. Faults that it stands show nothing, so each of those named in
 * `npm run faults -- --careless` must fail here.
 */
import { createServer } from 'node:http';

const server = createServer({ insecureHTTPParser: true, requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.url === '/health/ready') return response.end('{"ready":true}');
    // Trusts what it is told, holds on to everything, and works on it one after the other in its one thread.
    if (!/^image\/[a-z]+$/.test(request.headers['content-type'] ?? '')) response.statusCode = 500;
    const until = performance.now() + 20;
    while (performance.now() < until);
    kept.push(Buffer.concat(chunks), Buffer.alloc(1 << 20));
    console.log(
      JSON.stringify({ msg: 'request', method: request.method, route: request.url, status: response.statusCode }),
    );
    response.end('{"verdict":"pass"}');
  });
});
const kept: Buffer[] = [];
process.on('SIGTERM', () => process.exit(0));
server.timeout = 0;
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as { port: number };
  console.log(`listening at http://127.0.0.1:${port}`);
});
