import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A raw connection: what is sent and when is up to the test, down to single bytes. */
export interface Connection {
  socket: Socket;
  send(bytes: string | Uint8Array): void;
  /** Everything received so far. */
  readonly received: string;
  /** Resolves when `pattern` has been received; rejects when the connection ends before. */
  receive(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves with all that was received when the server has closed the connection; rejects when it was reset. */
  ended(): Promise<string>;
}

export async function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, 'connect');
  let received = '';
  let failure: Error | undefined;
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.on('error', (error) => {
    failure = error;
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return {
    socket,
    send: (bytes) => void socket.write(bytes),
    get received() {
      return received;
    },
    async receive(pattern) {
      for (;;) {
        const match = pattern.exec(received);
        if (match) return match;
        if (socket.destroyed) throw failure ?? new Error(`connection ended after: ${received}`);
        await Promise.race([once(socket, 'data').catch(() => undefined), closed]);
      }
    },
    async ended() {
      await closed;
      if (failure) throw failure;
      return received;
    },
  };
}

/** Head of a POST /inspect with a raw body. */
export function head(headers: Record<string, string | number>): string {
  const lines = Object.entries({ host: 'test', 'content-type': 'image/jpeg', ...headers });
  return `POST /inspect HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}
