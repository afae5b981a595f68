import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { asStoplineError } from '../../src/errors.ts';
import { createPool, type Pool } from '../../src/pool.ts';
import { buildApp } from '../../src/server/app.ts';
import { fitReference, type Reference } from './reference.ts';

const folder = join(import.meta.dirname, '../../../shared/data/hostile');
const isPresent = existsSync(folder);
if (!isPresent) process.stderr.write('skipped: hostile files over HTTP, ../shared/data is absent\n');

describe.skipIf(!isPresent)('odd, broken and fuzzer-made files over HTTP', () => {
  let reference: Reference;
  let pool: Pool;
  beforeAll(async () => {
    reference = await fitReference();
    pool = await createPool({ profile: reference.profilePath, threads: 1 });
    await pool.ready();
  });
  afterAll(async () => {
    await pool.close();
    await reference.remove();
  });

  it('each get a verdict or a coded refusal, the same as from the file', async () => {
    const { config } = loadConfig({ env: {}, flags: { logLevel: 'silent' } });
    const app = await buildApp(config, pool, reference.profile);
    const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(paths.length).toBeGreaterThan(200);

    const statuses = new Map<number, number>();
    for (const path of paths) {
      const name = relative(folder, path);
      const headers = { 'content-type': 'image/jpeg' };
      const response = await app.inject({ method: 'POST', url: '/inspect', headers, payload: readFileSync(path) });
      statuses.set(response.statusCode, (statuses.get(response.statusCode) ?? 0) + 1);
      const fromFile = await pool.inspectFile(path).catch(asStoplineError);
      if (response.statusCode === 200) {
        expect(fromFile, name).toMatchObject({ verdict: response.json().verdict, pValue: response.json().pValue });
      } else {
        expect([400, 413, 415, 422], name).toContain(response.statusCode);
        expect(response.json(), name).toEqual({ error: JSON.parse(JSON.stringify(fromFile)) });
      }
    }
    // Among them are files that decode, files of other formats and files that are damaged.
    for (const status of [200, 415, 422]) expect(statuses.get(status)).toBeGreaterThan(10);
    await app.close();
  });
});
