import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBroker } from '../../test/fixtures/broker.ts';
import type { Outcome, Stage } from './target.ts';

/** Work on a queue that names files outside the folder of the worker, and a Profile that nobody has signed. */
export async function run(stage: Stage): Promise<Outcome> {
  const redis = await startBroker('redis-server');
  if (!redis) return { ok: true, isSkipped: true, figures: 'redis-server is not installed' };
  const at = (name: string) => join(stage.folder, name);
  for (const name of ['workplace', 'outside']) mkdirSync(at(name));
  writeFileSync(at('outside/secret.jpg'), stage.frame);
  const queue = ['--queue', `redis://127.0.0.1:${redis.port}`];
  // Ended by itself: a worker waits for work for ever.
  const worker = stage.command(['worker', ...queue, '--threads', '1'], {
    shell: `cd '${at('workplace')}';`,
    timeoutMs: 75_000,
  });
  const score = ['score', at('outside'), '--profile', stage.profile, ...queue, '--out', at('outside/out')];
  const scored = await stage.command(score, { timeoutMs: 75_000 });
  const isWritten = existsSync(at('outside/out/part-000000.parquet'));
  await worker;
  await redis.stop();
  const key = at('key.pem');
  const openssl = ['genpkey', '-algorithm', 'ed25519', '-out', at('private.pem')];
  execFileSync('openssl', openssl, { stdio: 'ignore' });
  execFileSync('openssl', ['pkey', '-in', at('private.pem'), '-pubout', '-out', key], { stdio: 'ignore' });
  const env = { STOPLINE_PROFILE_KEY: key };
  const unsigned = await stage.command(
    ['score', at('outside/secret.jpg'), '--profile', stage.profile, '--out', at('rows.jsonl')],
    { env },
  );
  return {
    ok: !isWritten && scored.code !== 0 && unsigned.code !== 0,
    figures: `a job that reads and writes outside the folder of the worker ${isWritten ? 'is done' : 'is refused'}; a Profile without the signature that is asked for: exit ${unsigned.code}`,
  };
}
