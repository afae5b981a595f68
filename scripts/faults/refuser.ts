/**
 * What an overload is compared with: a service that refuses every request at once, beside as many processes as the real one has workers,
 * which do nothing but keep their processor, and give way to it as workers do. How late its answers are is how late this machine is.
 * Ends by itself.
 */
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';

const workers = Number(process.argv[2]);
/** Whoever started it ends it long before. */
const longestMs = 60_000;
const spin = `require('node:os').setPriority(2); const until = Date.now() + ${longestMs}; while (Date.now() < until);`;
for (let i = 0; i < workers; i++) spawn(process.execPath, ['-e', spin], { stdio: 'ignore' });
const server = createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(503, { 'content-type': 'application/json' }).end('{"error":{"code":"REFUSED"}}');
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as { port: number };
  console.log(`listening at http://127.0.0.1:${port}`);
});
setTimeout(() => process.exit(), longestMs);
