import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { compressAnswers } from '../../../src/server/http/compress.ts';

const text = 'stopline '.repeat(1000);
const app = Fastify();
await app.register(async (scope) => {
  compressAnswers(scope);
  scope.get('/text', (_request, reply) => reply.type('text/plain; charset=utf-8').send(text));
  scope.get('/json', () => ({ text }));
  scope.get('/short', () => ({ ok: true }));
  scope.get('/stream', (_request, reply) =>
    reply.type('text/css').send(Readable.from([text.slice(0, 10), text.slice(10)])),
  );
  scope.get('/image', (_request, reply) => reply.type('image/webp').send(Buffer.from(text)));
  scope.get('/refused', (_request, reply) => reply.code(404).send({ text }));
});
app.get('/outside', () => ({ text }));

const ask = (url: string, encoding = 'gzip, br') => app.inject({ url, headers: { 'accept-encoding': encoding } });

describe('compressAnswers', () => {
  it.each([
    ['/text', text],
    ['/json', JSON.stringify({ text })],
    ['/stream', text],
  ])('makes text small for who takes gzip: %s', async (url, body) => {
    const answer = await ask(url);
    expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
    expect(gunzipSync(answer.rawPayload).toString()).toBe(body);
    expect(answer.rawPayload.length).toBeLessThan(body.length / 10);
    const plain = await ask(url, 'identity');
    expect(plain.headers).not.toHaveProperty('content-encoding');
    expect(plain.headers.vary).toBe('accept-encoding');
    expect(plain.body).toBe(body);
  });

  it.each(['/short', '/image', '/refused', '/outside'])('leaves the rest as it is: %s', async (url) => {
    const answer = await ask(url);
    expect(answer.headers).not.toHaveProperty('content-encoding');
    expect(answer.rawPayload.length).toBe(Number(answer.headers['content-length']));
  });
});
