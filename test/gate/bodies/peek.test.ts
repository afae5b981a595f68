import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { json, text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { peekBody } from '../../../src/gate/bodies/peek.ts';

/** Serves one request: what is peeked, and what a reader finds afterwards. */
async function exchange(
  limit: number,
  send: (port: number) => Promise<unknown>,
  create: typeof createServer = createServer,
) {
  const seen: { peeked?: string; code?: string; read?: string } = {};
  const server = create(async (asked: IncomingMessage, response: ServerResponse) => {
    try {
      seen.peeked = String(await peekBody(asked, limit));
      expect(String(await peekBody(asked, limit))).toBe(seen.peeked);
    } catch (error) {
      seen.code = (error as { code: string }).code;
    }
    seen.read = await text(asked).catch(() => 'broken off');
    response.end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await send((server.address() as AddressInfo).port);
  server.close();
  return seen;
}

const post =
  (pieces: string[], headers = {}) =>
  async (port: number) => {
    const asked = request({ port, host: '127.0.0.1', method: 'POST', headers });
    for (const piece of pieces) {
      asked.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    asked.end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    await json(answer);
  };

it.each([
  ['in one piece', ['abc'], { 'content-length': 3 }],
  ['in chunks', ['ab', 'c', 'def'.repeat(50_000)], {}],
  ['of a stated length in pieces', ['ab'.repeat(40_000), 'c'], { 'content-length': 80_001 }],
  ['that is empty', [], {}],
])('a body %s can be read again', async (_, pieces, headers) => {
  const whole = pieces.join('');
  expect(await exchange(1e6, post(pieces, headers))).toEqual({ peeked: whole, read: whole });
});

it('so can one that is too large', async () => {
  const pieces = ['a'.repeat(70_000), 'b'.repeat(70_000)];
  for (const headers of [{}, { 'content-length': 140_000 }]) {
    const { code, read } = await exchange(100_000, post(pieces, headers));
    expect([code, read]).toEqual(['STOPLINE_ERR_REQUEST_TOO_LARGE', pieces.join('')]);
  }
});

it('a client that breaks off is told apart', async () => {
  const cut = async (port: number) => {
    const asked = request({ port, host: '127.0.0.1', method: 'POST', headers: { 'content-length': 10 } });
    asked.on('error', () => undefined).write('abc');
    await new Promise((resolve) => asked.once('socket', (socket) => socket.once('connect', resolve)));
    asked.destroy();
  };
  const seen = await exchange(100, cut);
  await expect.poll(() => seen.code).toBe('STOPLINE_ERR_REQUEST_INVALID');
});

it('a body over HTTP/2 that says its length can be read again', async () => {
  const { connect } = await import('node:http2');
  const send = async (port: number) => {
    const session = connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ':method': 'POST', 'content-length': 6 });
    stream.write('abc');
    stream.end('def');
    await json(stream);
    session.close();
  };
  const create = createHttp2Server as unknown as typeof createServer;
  expect(await exchange(100, send, create)).toEqual({ peeked: 'abcdef', read: 'abcdef' });
});
