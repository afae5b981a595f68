import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { frameHead, readFrameHead } from '../../gate/bodies/grpcframes.ts';

/** The answer to one call: what the upstream says, and what we say in its place. Headers and trailers are sent once. */
export class Answer {
  readonly #stream: ServerHttp2Stream;
  #trailers: OutgoingHttpHeaders = {};
  /** Messages of ours that wait until one of the upstream is whole. */
  #waiting: Buffer[] = [];
  /** Bytes until the end of the message that is being passed on. */
  #left = 0;
  #head = Buffer.alloc(0);
  isEnded = false;
  /** The code that the call ended with; undefined before that. */
  status: number | undefined;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.on('wantTrailers', () => {
      stream.sendTrailers(this.#trailers);
      this.#stopClient();
    });
  }

  get hasBegun(): boolean {
    return this.#stream.headersSent;
  }

  /** Sends the headers, unless they have been sent or nobody is there. */
  begin(headers: OutgoingHttpHeaders): void {
    if (this.hasBegun || this.isEnded || this.#stream.destroyed) return;
    this.#stream.respond(headers, { waitForTrailers: true });
  }

  /** Passes on a piece of what the upstream says. @returns a promise where the client has to take some of it first */
  pass(piece: Buffer): Promise<void> | undefined {
    if (this.isEnded || this.#stream.destroyed) return undefined;
    this.#follow(piece);
    const isRoom = this.#stream.write(piece);
    this.#flush();
    if (isRoom) return undefined;
    return waitForRoom(this.#stream);
  }

  /** Says something between the messages of the upstream. */
  insert(frame: Buffer): void {
    this.#waiting.push(frame);
    this.#flush();
  }

  /** Ends the call with a status. Without headers before it, it is one block of headers. */
  end(trailers: OutgoingHttpHeaders, status = 200): void {
    const stream = this.#stream;
    if (this.isEnded) return;
    if (this.#left === 0) this.#flush();
    this.isEnded = true;
    if (stream.destroyed || stream.closed) return;
    if (trailers['grpc-status'] !== undefined) this.status = Number(trailers['grpc-status']);
    if (!this.hasBegun) {
      const headers = { ':status': status, 'content-type': 'application/grpc', ...trailers };
      stream.respond(headers, { endStream: true });
      this.#stopClient();
    } else {
      this.#trailers = trailers;
      stream.end();
    }
  }

  /** A client that is still sending need not send the rest. */
  #stopClient(): void {
    const stream = this.#stream;
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** Cuts the call off as the upstream has cut it off. */
  cut(code: number): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#stream.close(code);
  }

  #flush(): void {
    if (this.#left > 0 || this.#head.length > 0 || this.#stream.destroyed) return;
    for (const frame of this.#waiting) this.#stream.write(frame);
    this.#waiting = [];
  }

  /** Keeps account of where a message ends. */
  #follow(piece: Buffer): void {
    for (let at = 0; at < piece.length; ) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, piece.length - at);
        this.#left -= taken;
        at += taken;
      } else {
        const wanted = frameHead - this.#head.length;
        this.#head = Buffer.concat([this.#head, piece.subarray(at, at + wanted)]);
        at += wanted;
        if (this.#head.length < frameHead) return;
        // Whatever the upstream says goes on as it is; only its length counts here.
        this.#left = readFrameHead(Buffer.from([0, ...this.#head.subarray(1)])).length;
        this.#head = Buffer.alloc(0);
      }
    }
  }
}

/** Resolves when a stream takes more, or is closed. Leaves no listener behind: a call may last for days. */
export function waitForRoom(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      stream.off('drain', end).off('close', end);
      resolve();
    };
    stream.on('drain', end).on('close', end);
  });
}
