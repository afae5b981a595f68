import { describe, expect, it } from 'vitest';
import { type Chunk, createQueueSeal, QueueSeal } from '../../src/run/queuejob.ts';

const secret = 'a secret of more than sixteen letters';
const chunk: Chunk = {
  run: '0123456789abcdef',
  key: '0-0123456789abcdef',
  part: 'part-000000.parquet',
  options: {
    profile: 'a'.repeat(64),
    decideBy: 'combined',
    maxPixels: 1000,
    maxSide: 100,
    fps: 1,
    out: '/data/out',
    columns: ['label'],
  },
  references: [{ name: 'a.jpg', location: '/data/a.jpg', columns: { label: 'cat', n: 1, ok: true, none: null } }],
};
const counts = { images: 1, failed: 0, verdicts: { pass: 1, warn: 0, block: 0 }, reasons: [], errors: [] };
const result = { part: 'part-000000.parquet', rows: 1, sha256: 'b'.repeat(64), counts };
const refused = (words: string | RegExp) =>
  expect.objectContaining({ code: 'STOPLINE_ERR_REQUEST_INVALID', message: expect.stringMatching(words) });

describe('work on a queue', () => {
  it('goes through as it is, with a secret and without', () => {
    for (const seal of [new QueueSeal(secret), new QueueSeal(undefined)]) {
      expect(seal.openChunk(JSON.parse(JSON.stringify(seal.sealChunk(chunk))))).toEqual(chunk);
      expect(seal.openResult(seal.sealResult(result))).toEqual(result);
    }
  });

  it('that is not signed, signed with another secret, or changed, is refused', () => {
    const seal = new QueueSeal(secret);
    const sealed = seal.sealChunk(chunk);
    const wrong = [
      { ...sealed, signature: '' },
      new QueueSeal(undefined).sealChunk(chunk),
      new QueueSeal(`${secret}!`).sealChunk(chunk),
      { ...sealed, text: sealed.text.replace('/data/out', '/etc') },
      // The signature of a result does not serve for work.
      JSON.parse(seal.sealResult(result)),
    ];
    for (const data of wrong) expect(() => seal.openChunk(data)).toThrow(refused('its signature is another'));
    for (const data of [undefined, null, 5, 'text', [], {}, chunk, { text: 5, signature: 6 }]) {
      expect(() => seal.openChunk(data)).toThrow(refused('received other data'));
    }
    expect(() => seal.openResult(new QueueSeal(undefined).sealResult(result))).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_QUEUE_FAILED' }),
    );
  });

  it.each<[string, object]>([
    ['a part of another name', { part: '../../etc/cron.d/x' }],
    ['a part in another folder', { part: 'a/part-000000.parquet' }],
    ['a run of another kind', { run: '*' }],
    ['no images', { references: [] }],
    ['an image without a place', { references: [{ name: 'a' }] }],
    ['an image with more', { references: [{ name: 'a', location: 'b', run: 'rm' }] }],
    ['options of other kinds', { options: { ...chunk.options, maxPixels: '1' } }],
    ['more pixels than any may have', { options: { ...chunk.options, maxPixels: 1e12 } }],
    ['another detector', { options: { ...chunk.options, decideBy: 'none' } }],
    ['a Profile by its path', { options: { ...chunk.options, profile: '/etc/passwd' } }],
    ['a field that is none', { extra: 1 }],
  ])('with %s is refused', (_what, change) => {
    const seal = new QueueSeal(secret);
    const sealed = seal.sealChunk({ ...chunk, ...change } as Chunk);
    expect(() => seal.openChunk(sealed)).toThrow(refused('its fields are not of their kinds'));
  });
});

describe('a queue', () => {
  it('on another machine needs a secret', () => {
    for (const url of ['redis://127.0.0.1:6379', 'redis://localhost', 'rediss://[::1]:6379']) {
      expect(createQueueSeal(url, undefined)).toBeInstanceOf(QueueSeal);
    }
    for (const url of ['redis://redis:6379', 'redis://10.0.0.1', 'redis://127.0.0.1.example.org']) {
      expect(() => createQueueSeal(url, undefined), url).toThrow(
        expect.objectContaining({
          code: 'STOPLINE_ERR_OPTION_INVALID',
          message: expect.stringContaining('openssl rand -hex 32'),
        }),
      );
      expect(createQueueSeal(url, secret)).toBeInstanceOf(QueueSeal);
    }
  });
});
