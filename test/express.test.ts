import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import express from 'express';
import { request } from 'undici';
import { expect, it } from 'vitest';
import stopline from '../src/express.ts';
import { describeApplication, tell } from './fixtures/application.ts';
import { fitReference } from './fixtures/reference.ts';

async function listen(app: express.Express) {
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

describeApplication('Express', async (options) => {
  const gate = await stopline(options);
  const app = express();
  app.use(gate);
  app.use(async (asked, response) => {
    response.json(tell(await buffer(asked), asked.stopline?.decision?.verdict?.verdict));
  });
  const { url, close } = await listen(app);
  return { url, close: async () => [close(), await gate.close()] };
});

it('Express: parsers may stand before it or after it, and files in memory are judged', async () => {
  const reference = await fitReference();
  const gate = await stopline({ profile: reference.profilePath, threads: 1, mode: 'enforce', onError: 'closed' });
  const app = express();
  const limit = '4mb';
  const answer: express.RequestHandler = ({ body }, response) => {
    response.json({ kind: Buffer.isBuffer(body) ? 'bytes' : typeof body });
  };
  const parsers = [express.json({ limit }), express.raw({ type: 'image/*', limit }), express.text({ limit })];
  app.post('/after', gate, ...parsers, answer);
  app.post('/before', ...parsers, gate, answer);
  app.post('/twice', gate, gate, ...parsers, answer);
  // As multer leaves it.
  const file = { fieldname: 'photo', mimetype: 'image/jpeg', buffer: Buffer.from(reference.frame) };
  const place = (asked: express.Request, more: object) => Object.assign(asked, { body: { note: 'x' }, ...more });
  const drain: express.RequestHandler = (asked, _response, next) => void buffer(asked).then(() => next());
  app.post('/file', drain, (asked, _response, next) => void next(void place(asked, { file })), gate, answer);
  const stored = { ...file, buffer: undefined, path: 'elsewhere' };
  app.post(
    '/stored',
    drain,
    (asked, _response, next) => void next(void place(asked, { files: [stored] })),
    gate,
    answer,
  );
  app.post('/drained', drain, gate, answer);
  const { url, close } = await listen(app);
  try {
    const send = async (path: string, type: string, body: Buffer | string) => {
      const { statusCode, body: told } = await request(url + path, {
        method: 'POST',
        body,
        headers: { 'content-type': type },
      });
      return [statusCode, await told.json()];
    };
    const frame = Buffer.from(reference.frame);
    const json = (bytes: Buffer) => JSON.stringify({ instances: [{ b64: bytes.toString('base64') }] });
    for (const path of ['/after', '/before', '/twice']) {
      expect(await send(path, 'image/jpeg', frame), path).toEqual([200, { kind: 'bytes' }]);
      expect(await send(path, 'application/json', json(frame)), path).toEqual([200, { kind: 'object' }]);
      expect(await send(path, 'text/plain', frame.toString('base64')), path).toEqual([200, { kind: 'string' }]);
      expect((await send(path, 'image/jpeg', frame.subarray(0, 500)))[0], path).toBe(422);
      expect((await send(path, 'application/json', json(frame.subarray(0, 500))))[0], path).toBe(422);
    }
    expect((await send('/file', 'multipart/form-data; boundary=x', '--x--'))[0]).toBe(200);
    const reason = /a file that a parser has put elsewhere/;
    expect(await send('/stored', 'multipart/form-data; boundary=x', '--x--')).toEqual([
      422,
      { error: expect.objectContaining({ message: expect.stringMatching(reason) }) },
    ]);
    expect(await send('/drained', 'image/jpeg', frame)).toEqual([
      422,
      { error: expect.objectContaining({ message: expect.stringMatching(/register the gate before/) }) },
    ]);
  } finally {
    close();
    await gate.close();
    await reference.remove();
  }
});
