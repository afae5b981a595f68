import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, expect, it } from 'vitest';

const name = `node-${process.platform}-${process.arch}`;
const version = '24.0.1';
const sha512 = (bytes: Uint8Array) => `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
let archive: Uint8Array;
let registry: Server;
let address: string;

/** A package like those that carry Node, whose program only says its version. */
async function packNode(): Promise<Uint8Array> {
  const files = pack();
  files.entry({ name: 'package/package.json' }, JSON.stringify({ name, version }));
  files.entry({ name: 'package/bin/node', mode: 0o755 }, `#!/bin/sh\necho ${version}\n`);
  files.finalize();
  return gzipSync(await buffer(files));
}

beforeAll(async () => {
  archive = await packNode();
  registry = createServer((request, response) => {
    if (request.url?.endsWith('.tgz')) return response.end(archive);
    const dist = { tarball: `${address}/${name}.tgz`, integrity: sha512(archive) };
    const versions = { [version]: { name, version, dist } };
    return response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions }));
  });
  await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(registry.address() as AddressInfo).port}`;
});
afterAll(() => registry.close());

/** Runs the script in a checkout of its own, as `npm ci` on the given Node does. */
async function prepare(node: string, integrity: Record<string, string>) {
  const checkout = mkdtempSync(join(tmpdir(), 'stopline-prepare-'));
  try {
    mkdirSync(join(checkout, 'scripts'));
    cpSync('scripts/prepare.js', join(checkout, 'scripts/prepare.js'));
    writeFileSync(join(checkout, 'package.json'), '{"type":"module"}');
    writeFileSync(join(checkout, 'scripts/node.json'), JSON.stringify({ version, integrity }));
    const run = () =>
      promisify(execFile)(process.execPath, ['scripts/prepare.js'], {
        cwd: checkout,
        env: {
          ...process.env,
          npm_config_user_agent: `npm/11.0.0 node/v${node} linux x64`,
          npm_config_registry: address,
          npm_config_cache: join(checkout, 'cache'),
        },
      }).then(
        ({ stderr }) => ({ code: 0, said: stderr }),
        (error: { code: number; stderr: string }) => ({ code: error.code, said: error.stderr }),
      );
    const first = await run();
    const binary = join(checkout, 'node_modules/.bin/node');
    const installed = existsSync(binary) ? readFileSync(binary, 'utf8') : undefined;
    return { ...first, installed, again: await run() };
  } finally {
    rmSync(checkout, { recursive: true });
  }
}
const own = `${process.platform}-${process.arch}`;

it('leaves a Node alone that runs the scripts', async () => {
  expect(await prepare('24.0.0', {})).toMatchObject({ code: 0, said: '', installed: undefined });
  expect(await prepare('26.1.0', {})).toMatchObject({ code: 0, said: '', installed: undefined });
});

it('brings the pinned Node where npm runs on an older one, and once', async () => {
  const { code, said, installed, again } = await prepare('20.20.2', { [own]: sha512(archive) });
  expect(said).toBe(
    'npm runs on Node 20.20.2, which is too old for the scripts of Stopline: they run on the Node 24.0.1 that was installed with it.\n',
  );
  expect(code).toBe(0);
  expect(installed).toBe(`#!/bin/sh\necho ${version}\n`);
  expect(again).toEqual({ code, said });
});

it('takes no other bytes than those that are pinned', async () => {
  const expected = sha512(new Uint8Array(3));
  const { code, said, installed } = await prepare('20.20.2', { [own]: expected });
  expect({ code, installed }).toEqual({ code: 1, installed: undefined });
  expect(said).toContain(`Node 24.0.1 could not be brought: expected ${expected} but received ${sha512(archive)}.`);
  expect(said).toContain('Install Node 24.0.1 or later, then run npm ci again.');
});

it('says where no Node is pinned for the machine', async () => {
  const { code, said } = await prepare('22.18.0', {});
  expect(code).toBe(1);
  expect(said).toContain(`there is none for ${own}.`);
});
