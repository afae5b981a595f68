import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';

/** A request as the upstream received it. */
export interface Received {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** A model server that answers everything and remembers what it was sent. */
export async function startRecorder() {
  const received: Received[] = [];
  const state = { isFailing: false };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method = '', url = '', headers } = request;
    received.push({ method, url, headers, body: Buffer.concat(chunks) });
    response.writeHead(state.isFailing ? 500 : 200, {
      'content-type': 'application/json',
      'x-stopline-verdict': 'forged by the upstream',
      'x-model': 'lights',
    });
    response.end(JSON.stringify({ model_name: 'lights', outputs: [{ name: 'state', data: ['green'] }] }));
  });
  return { received, state, ...(await listen(server)) };
}

async function listen(server: Server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${port}`, port, close };
}

export type Fault = 'none' | 'fails' | 'black hole' | 'slow' | 'reset' | 'garbage' | 'cut off' | 'closes';

/** A TCP proxy in front of an upstream that does what networks do; counts the requests that reach it. */
export async function startFaultProxy(to: Recorder) {
  const state: { fault: Fault; requests: number } = { fault: 'none', requests: 0 };
  const server = createTcpServer((socket) => {
    const upstream = connect({ port: to.port, host: '127.0.0.1' });
    upstream.on('error', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
    socket.on('data', (chunk) => {
      // Every request of the tests begins a segment, and no body holds this.
      if (/^(POST|PUT|GET|DELETE) \S+ HTTP\/1\.1\r\n/.test(chunk.toString('latin1', 0, 1000))) state.requests += 1;
      const { fault } = state;
      to.state.isFailing = fault === 'fails';
      if (fault === 'reset') socket.resetAndDestroy();
      else if (fault === 'closes') socket.end();
      else if (fault === 'garbage') socket.end('you are through to the wrong department\r\n\r\n');
      else if (fault !== 'black hole') upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (state.fault === 'slow') setTimeout(() => socket.writable && socket.write(chunk), 150);
      else if (state.fault === 'cut off') {
        socket.write(chunk.subarray(0, chunk.length - 10));
        setTimeout(() => socket.resetAndDestroy(), 20);
      } else socket.write(chunk);
    });
  });
  return { state, ...(await listen(server)) };
}

export type Recorder = Awaited<ReturnType<typeof startRecorder>>;
export type FaultProxy = Awaited<ReturnType<typeof startFaultProxy>>;

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const { port, close } = await listen(createTcpServer());
  await close();
  return port;
}
