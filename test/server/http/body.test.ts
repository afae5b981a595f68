import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { FastifyRequest } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { asStoplineError, StoplineError } from '../../../src/errors.ts';
import { readAnnounced, readImageBody, takeBody } from '../../../src/server/http/body.ts';

const limit = 8 * 1024 * 1024;
const closing: (() => void)[] = [];
type Read = (message: IncomingMessage, hold: (bytes: number) => void, most?: number) => Promise<Uint8Array>;
/** As the gate does, and as /inspect does. */
const take: Read = async (message, hold, most = limit) => {
  const { body, error } = await takeBody(message, readAnnounced(message as unknown as FastifyRequest), most, hold);
  if (error) throw error;
  return body;
};
const readImage: Read = (message, hold, most = limit) =>
  readImageBody({ raw: message, headers: message.headers } as FastifyRequest, most, hold);

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Bytes that differ from place to place. */
function makeBytes(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 2654435761) >>> 24));
}

/** A server that reads one body, and what came of it. */
async function serve<Answer>(read: (message: IncomingMessage) => Promise<Answer>) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const answer = new Promise<Answer>((resolve, reject) => {
    server.on('request', (message, response) => {
      read(message)
        .then(resolve, reject)
        .finally(() => response.end());
    });
  });
  return { port: (server.address() as AddressInfo).port, answer };
}

/** Sends a body in pieces, each after the one before has gone; without a length in chunks. */
async function send(port: number, pieces: readonly Buffer[], length?: number) {
  const sent = request({
    port,
    host: '127.0.0.1',
    method: 'POST',
    headers: length === undefined ? {} : { 'content-length': length },
  });
  sent.on('error', () => {});
  closing.push(() => sent.destroy());
  for (const piece of pieces) await new Promise((resolve) => sent.write(piece, resolve));
  return sent;
}

describe('a body', () => {
  const whole = makeBytes(3_000_001);
  const inPieces = Array.from({ length: 31 }, (_, i) => whole.subarray(i * 100_000, (i + 1) * 100_000));

  it.each<[string, Buffer[], number | undefined]>([
    ['of one byte', [whole.subarray(0, 1)], 1],
    ['in one piece', [whole.subarray(0, 1000)], 1000],
    ['in many pieces, its length announced', inPieces, whole.length],
    ['in chunks', inPieces, undefined],
    ['of nothing', [], 0],
  ])('%s is read as it was sent, and counted once', async (_, pieces, length) => {
    for (const read of [take, readImage]) {
      let held = 0;
      const { port, answer } = await serve((message) =>
        read(message, (bytes) => {
          held += bytes;
        }).catch(asStoplineError),
      );
      const sent = await send(port, pieces, length);
      sent.end();
      const found = await answer;
      const bytes = Buffer.concat(pieces);
      if (read === readImage && bytes.length === 0) expect(found).toMatchObject({ code: 'STOPLINE_ERR_IMAGE_EMPTY' });
      else expect(bytes.equals(found as Uint8Array)).toBe(true);
      expect(held).toBe(bytes.length);
    }
  });

  it('that is announced is not kept in pieces, and lies in an array of its own', async () => {
    const pieces: Buffer[] = [];
    const make = function* () {
      for (let i = 0; i < 10; i++) {
        // The one before waits in the stream.
        expect(pieces.slice(0, -1).every(({ length }) => length === 0)).toBe(true);
        const piece = Buffer.allocUnsafeSlow(1000).fill(i);
        pieces.push(piece);
        yield piece;
      }
    };
    const { body } = await takeBody(Readable.from(make(), { highWaterMark: 1 }), 10_000, limit, () => {});
    expect(body).toEqual(Buffer.concat(Array.from({ length: 10 }, (_, i) => Buffer.alloc(1000, i))));
    expect(body?.buffer.byteLength).toBe(10_000);
  });

  it('in thousands of tiny chunks is refused, and what came of it can be had all the same', async () => {
    const tiny = Array.from({ length: 5000 }, (_, i) => Buffer.from([i % 251]));
    const taken = await takeBody(Readable.from(tiny), 0, limit, () => {});
    expect(taken.error).toMatchObject({ code: 'STOPLINE_ERR_REQUEST_INVALID' });
    const rest: Buffer[] = [];
    if (taken.error) for await (const piece of taken.rest()) rest.push(piece);
    expect(Buffer.concat(rest)).toEqual(Buffer.concat(tiny));
  });

  it('in many small pieces is read, and lies in few', async () => {
    const small = Array.from({ length: 5000 }, (_, i) => Buffer.alloc(i % 700 === 0 ? 5000 : 65 + (i % 99), i));
    // Pieces are given back as they are taken.
    const sent = Buffer.concat(small);
    const { body } = await takeBody(Readable.from(small), 0, limit, () => {});
    expect(body).toEqual(sent);
  });

  it.each([1, 4, 8, 10, 1000])('of nine bytes that was said to have %d is what came', async (announced) => {
    const pieces = ['abc', 'def', 'ghi'].map((text) => Buffer.from(text));
    const { body } = await takeBody(Readable.from(pieces), announced, limit, () => {});
    expect(String(body)).toBe('abcdefghi');
  });

  it('that ends before it is whole is refused', async () => {
    for (const read of [take, readImage]) {
      const { port, answer } = await serve((message) => read(message, () => {}));
      const sent = await send(port, [makeBytes(500)], 1000);
      sent.destroy();
      await expect(answer).rejects.toMatchObject({ code: 'STOPLINE_ERR_REQUEST_INVALID' });
    }
  });

  it('ends where it was said to, whatever comes after it', async () => {
    const { port, answer } = await serve((message) => take(message, () => {}));
    const socket = connect(port, '127.0.0.1');
    closing.push(() => socket.destroy());
    socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcdefghij');
    expect(String(await answer)).toBe('abcde');
  });

  it('of 2 GB takes no memory before it is refused', async () => {
    for (const read of [take, readImage]) {
      let grown = 0;
      const { port, answer } = await serve(async (message) => {
        const before = process.memoryUsage().arrayBuffers;
        const found = await read(message, () => {}, 1000).catch(asStoplineError);
        grown = process.memoryUsage().arrayBuffers - before;
        return found;
      });
      await send(port, [makeBytes(2000)], 2 * 1024 ** 3);
      expect(await answer).toMatchObject({ code: 'STOPLINE_ERR_REQUEST_TOO_LARGE' });
      expect(grown).toBeLessThan(1024 * 1024);
    }
  });

  it('for which there is no room is left to whoever passes it on, whole and in order', async () => {
    const pieces = ['abc', 'def', 'ghi', 'jkl'].map((text) => Buffer.from(text));
    let room = 7;
    const taken = await takeBody(Readable.from(pieces), 12, limit, (bytes) => {
      room -= bytes;
      if (room < 0) throw new StoplineError('OVERLOADED', 'Expected room but received none.');
    });
    expect(taken.error?.code).toBe('STOPLINE_ERR_OVERLOADED');
    expect(String(await buffer((taken as Extract<typeof taken, { error: StoplineError }>).rest()))).toBe(
      'abcdefghijkl',
    );
  });

  it.each([
    ['17', 17],
    [undefined, 0],
    ['x', 0],
    ['-1', 0],
    ['1e400', 0],
  ])('of which %s is announced has %d bytes', (header, bytes) => {
    expect(readAnnounced({ headers: { 'content-length': header } } as FastifyRequest)).toBe(bytes);
  });
});
