import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { serve } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { fitReference } from '../../fixtures/reference.ts';

it('no answer of a gate without a Profile names a path, whatever is asked', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'stopline-refusal-'));
  const profile = join(folder, 'secret-folder-name.stopline');
  await writeFile(profile, 'this is no Profile');
  const flags = {
    profile,
    upstream: 'http://127.0.0.1:9',
    port: 0,
    threads: 1,
    isolation: 'thread',
    logLevel: 'silent' as const,
  };
  const service = await serve(loadConfig({ env: {}, flags }).config);
  try {
    for (const [method, path] of [
      ['POST', '/stopline/inspect'],
      ['POST', '/stopline/explain'],
      ['POST', '/stopline/profile/reload'],
      ['GET', '/stopline/profile'],
      ['GET', '/stopline/profile/reference'],
      ['GET', '/stopline/profile/example'],
      ['GET', '/stopline/v2'],
      ['POST', '/stopline/ext-authz/v1/models/a:predict'],
      ['POST', '/v1/models/a:predict'],
      ['GET', '/stopline/health/ready'],
      ['GET', '/stopline/drift'],
    ] as const) {
      const body = method === 'POST' ? { body: 'x', headers: { 'content-type': 'image/jpeg' } } : {};
      const text = await (await fetch(service.url + path, { method, ...body })).text();
      expect(text, path).not.toContain(folder);
      expect(text, path).not.toContain('secret-folder-name');
      expect(text, path).not.toContain(process.cwd());
    }
  } finally {
    await service.close();
    await rm(folder, { recursive: true });
  }
});

/** What no answer may hold of a body; not a plain word, because names of fields that are words are told. */
const canary = 'Zq7 canary=Vx9/kW3+t0p';
const secret = Buffer.from(canary).toString('base64');
const infer = '/v2/models/m/infer';
const json = 'application/json';
const form = 'multipart/form-data; boundary=edge';
const part = (headers: string, body: string) => `--edge\r\n${headers}\r\n\r\n${body}\r\n--edge--\r\n`;
const disposition = 'content-disposition: form-data; name="image"';
const input = (more: object) => JSON.stringify({ inputs: [{ name: 'i', datatype: 'BYTES', shape: [1], ...more }] });
const pngChunk = (name: string) => Buffer.from(`\x89PNG\r\n\x1a\n\0\0\0\x0d${name}aaaaaaaaaaaaaaaaa`, 'latin1');
const webp = (name: string) => Buffer.concat([Buffer.from('RIFF\x0c\0\0\0WEBP'), Buffer.from(name), Buffer.alloc(4)]);

const bodies: [what: string, type: string, body: string | Buffer][] = [
  ['no image', 'image/jpeg', canary],
  ['bytes of no known kind', 'image/png', Buffer.concat([Buffer.from([1, 2]), Buffer.from(canary)])],
  ['a chunk of a PNG', 'image/png', pngChunk('ZqVx')],
  ['a chunk of a WebP', 'image/webp', webp('ZqVx')],
  ['text that is no JSON', json, canary],
  ['JSON that breaks off', json, `{"image": "${canary}`],
  ['JSON with more behind it', json, `{} ${canary}`],
  ['a word that JSON has not', json, `{"image": ${canary}}`],
  ['a key', json, JSON.stringify({ [canary]: 1 })],
  ['a key that stands twice', json, `{"${canary}": 1, "${canary}": 2}`],
  ['a broken escape', json, `{"image": "\\q${canary}"}`],
  ['text that is no base64', json, JSON.stringify({ image: canary.repeat(30), b64: canary.repeat(30) })],
  ['base64 that is no image', json, JSON.stringify({ image: secret, b64: secret })],
  ['an address', json, JSON.stringify({ image: `https://${canary}`, [canary]: `https://${canary}/a.jpg` })],
  ['instances', json, JSON.stringify({ instances: [{ b64: canary }] })],
  ['the name of an input', json, input({ name: canary, data: ['x'] })],
  ['the datatype of an input', json, input({ datatype: canary, shape: [1, 40, 40, 3], data: [1] })],
  ['the data of an input', json, input({ data: [canary] })],
  ['a size of an input', json, input({ parameters: { binary_data_size: canary } })],
  ['a charset', `${json}; charset="${canary}"`, '{}'],
  ['a parameter twice', `${form}; boundary="${canary}"`, part(disposition, 'x')],
  ['the name of a part', form, part(`content-disposition: form-data; name="${canary}"`, `https://${canary}/a.jpg`)],
  ['a header of a part', form, part(`${disposition}\r\n${canary}`, 'x')],
  ['a parameter of a part', form, part(`${disposition}; ${canary}; name="b"`, 'x')],
  ['the encoding of a part', form, part(`${disposition}\r\ncontent-transfer-encoding: ${canary}`, 'x')],
  ['the type of a part', form, part(`${disposition}\r\ncontent-type: image/${canary}`, canary)],
  ['the text of a part', form, part(disposition, canary)],
  ['no form', form, canary],
  ['a field of a form', 'application/x-www-form-urlencoded', `${canary}=https://${canary}`],
  ['broken escapes', 'application/x-www-form-urlencoded', `image=%zz${canary}`],
  ['a type', `text/${canary}`, canary],
];

/** An image that no camera takes, which is blocked. */
function grey(): Promise<Buffer> {
  return sharp({ create: { width: 64, height: 64, channels: 3, background: 'grey' } })
    .png()
    .toBuffer();
}

/** Any six letters of it in a row, as text, in base64 or as numbers. */
function findCanary(text: string): string | undefined {
  const forms = [canary, secret, Buffer.from(canary).toString('hex')];
  const pieces = forms.flatMap((form) => Array.from({ length: form.length - 5 }, (_, i) => form.slice(i, i + 6)));
  return [...pieces, 'ZqVx', JSON.stringify(canary).slice(1, -1)].find((piece) => text.includes(piece));
}

async function withService(flags: Partial<Config>, use: (url: string, folder: string) => Promise<void>): Promise<void> {
  const reference = await fitReference();
  const folder = await mkdtemp(join(tmpdir(), 'stopline-secret-place-'));
  const all = {
    profile: reference.profilePath,
    port: 0,
    threads: 1,
    isolation: 'thread',
    logLevel: 'silent',
    upstream: 'http://127.0.0.1:9',
  };
  const quarantine = join(folder, 'kept');
  const service = await serve(loadConfig({ env: {}, flags: { ...all, quarantine, ...flags } as never }).config);
  try {
    await use(service.url, folder);
  } finally {
    await service.close();
    await reference.remove();
    await rm(folder, { recursive: true });
  }
}

it.each(['closed', 'open'] as const)('nothing that came in a body is told, by a gate that is %s', async (onError) => {
  await withService({ mode: 'enforce', onError } as never, async (url) => {
    const ask = async (path: string, init?: RequestInit) => (await fetch(url + path, init)).text();
    for (const [what, type, body] of bodies) {
      for (const path of [
        '/stopline/inspect',
        '/stopline/explain',
        '/classify',
        '/predictions/m',
        '/v1/models/m:predict',
        infer,
        '/stopline/ext-authz/classify',
      ]) {
        const text = await ask(path, { method: 'POST', body: body as never, headers: { 'content-type': type } });
        expect(findCanary(text), `${what} to ${path}: ${text}`).toBeUndefined();
      }
    }
    for (const path of ['/unjudged', '/journal', '/metrics', '/history']) {
      expect(findCanary(await ask(`/stopline${path}`)), path).toBeUndefined();
    }
  });
});

it('a quarantine that fails and a Profile that cannot be read are told without their paths', async () => {
  await withService({ mode: 'observe', onError: 'open' } as never, async (url, folder) => {
    const ask = async (path: string, init?: RequestInit) => {
      const text = await (await fetch(`${url}/stopline${path}`, init)).text();
      for (const place of [folder, 'stopline-secret-place', tmpdir(), process.cwd()])
        expect(text, path).not.toContain(place);
      return text;
    };
    expect(JSON.parse(await ask('/quarantine')), 'list').toMatchObject({ kind: 'folder', count: 0 });
    // Gone, and a file in its place: nothing can be listed or written there.
    await rm(join(folder, 'kept'), { recursive: true });
    await writeFile(join(folder, 'kept'), 'no folder');
    await ask('/inspect', { method: 'POST', body: (await grey()) as never, headers: { 'content-type': 'image/png' } });
    await expect.poll(async () => JSON.parse(await ask('/quarantine')).degraded).toContain('a file of the service');
    for (const path of [
      '/',
      '/journal',
      '/unjudged',
      '/metrics',
      '/v2',
      '/profile',
      '/drift',
      '/history',
      '/health/ready',
    ])
      await ask(path);
    await ask(`/quarantine/${'0'.repeat(64)}/thumbnail`);
  });
});
