import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { hidePaths } from '../../../src/server/http/refusal.ts';
import { serve } from '../../../src/server/serve.ts';

it.each([
  [
    'Expected a Profile at "/etc/stopline/front.stopline" but ENOENT.',
    'Expected a Profile at a file of the service but ENOENT.',
  ],
  ['Expected a Profile at "front.stopline" but ENOENT.', 'Expected a Profile at a file of the service but ENOENT.'],
  [
    "The quarantine cannot be read: ENOENT: no such file, open '/var/q/a b/1.json'.",
    'The quarantine cannot be read: ENOENT: no such file, open a file of the service.',
  ],
  ['/srv/models/net.onnx is damaged', 'a file of the service is damaged'],
  ['Expected C:\\models\\net.onnx to be there.', 'Expected a file of the service to be there.'],
  ['Expected at most 1/2 of 30 images/s but received "4".', 'Expected at most 1/2 of 30 images/s but received "4".'],
  [
    'Expected the upstream http://127.0.0.1:80/v1 to answer.',
    'Expected the upstream http://127.0.0.1:80/v1 to answer.',
  ],
])('%s', (message, told) => {
  expect(hidePaths(message)).toBe(told);
});

it('no answer of a gate without a Profile names a path, whatever is asked', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'stopline-refusal-'));
  const profile = join(folder, 'secret-folder-name.stopline');
  await writeFile(profile, 'this is no Profile');
  const flags = { profile, upstream: 'http://127.0.0.1:9', port: 0, threads: 1, logLevel: 'silent' as const };
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
