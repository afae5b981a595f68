import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { runHere, stopline, temporaryFolder } from '../fixtures/cli.ts';

const folder = temporaryFolder();

it('serve --routes-from prints a config file that can be used, and why, or what is wrong', async () => {
  const file = join(folder, 'openapi.json');
  const content = {
    'multipart/form-data': { schema: { properties: { photo: { type: 'string', format: 'binary' } } } },
  };
  writeFileSync(
    file,
    JSON.stringify({ openapi: '3.1.0', paths: { '/classify': { post: { requestBody: { content } } } } }),
  );
  const { stdout, stderr } = await stopline(['serve', '--routes-from', file]);
  const config = join(folder, 'stopline.json');
  writeFileSync(config, stdout);
  expect(loadConfig({ env: {}, file: config }).config.routes).toEqual([
    { path: '/classify', protocol: 'image', input: 'photo' },
  ]);
  expect(stderr).toContain('/classify: image, the image is in "photo"');
  writeFileSync(file, 'openapi: 3.1.0\npaths: {}\n');
  expect((await runHere(['serve', '--routes-from', file])).stderr).toContain('That is YAML: convert it to JSON.');
  expect((await runHere(['serve', '--routes-from', join(folder, 'none.json')])).stderr).toContain('ENOENT');
});
