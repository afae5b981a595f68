import { join } from 'node:path';
import type { Outcome, Stage } from './target.ts';

/** Two services on one folder of stopped images delete each other's. */
export async function run(stage: Stage): Promise<Outcome> {
  const kept = ['--quarantine', join(stage.folder, 'kept')];
  const first = await stage.start({ args: kept });
  const serve = ['serve', '--profile', stage.profile, '--port', '0', ...kept];
  const second = await stage.command(serve, { timeoutMs: 180_000 });
  first.kill('SIGKILL');
  await first.exit;
  const third = await stage.start({ args: kept });
  third.kill('SIGKILL');
  return {
    ok: second.code !== undefined && second.code !== 0 && /another one/.test(second.stderr + second.stdout),
    figures: `the second service ${second.code === undefined ? 'runs beside the first' : `ends with ${second.code}`}; after the first was killed another one starts`,
  };
}
