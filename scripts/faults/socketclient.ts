import { connect, type Socket } from 'node:net';

/** The status of an answer, 0 where there was none. */
export interface SocketAnswer {
  status: number;
  ms: number;
}

/**
 * Sends the same kind of request again and again over bare sockets, which are kept. It shares the cores with the service, and Node's
 * client would take more of them than the service does for a refusal.
 */
export class SocketClient {
  readonly #host: string;
  readonly #hostname: string;
  readonly #port: number;
  readonly #idle: Socket[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(url: string) {
    const { host, hostname, port } = new URL(url);
    this.#host = host;
    this.#hostname = hostname;
    this.#port = Number(port);
  }

  /** The bytes of a POST of an image. */
  encode(path: string, image: Uint8Array, headers: Record<string, string> = {}): Buffer {
    const lines = Object.entries({ host: this.#host, 'content-length': `${image.length}`, ...headers });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${head}\r\n`), image]);
  }

  ask(request: Buffer): Promise<SocketAnswer> {
    return new Promise((resolve) => {
      const startedAt = performance.now();
      const socket = this.#idle.pop() ?? connect({ host: this.#hostname, port: this.#port, noDelay: true });
      this.#sockets.add(socket);
      let received = '';
      const end = (status: number) => {
        socket.removeAllListeners();
        socket.on('error', () => undefined);
        if (status > 0 && !/^connection: close/im.test(received)) this.#idle.push(socket);
        else {
          socket.destroy();
          this.#sockets.delete(socket);
        }
        resolve({ status, ms: performance.now() - startedAt });
      };
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1');
        const body = received.indexOf('\r\n\r\n') + 4;
        const length = Number(/^content-length: (\d+)/im.exec(received)?.[1]);
        if (body > 3 && received.length >= body + length) end(Number(received.slice(9, 12)));
      });
      socket.once('error', () => end(0));
      socket.once('close', () => end(0));
      socket.write(request);
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
