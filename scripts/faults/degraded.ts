import { join } from 'node:path';
import { startRecorder } from '../../test/fixtures/upstream.ts';
import { ask, type Outcome, type Stage } from './target.ts';

/** An open gate without its Profile lets everything through: it says so where somebody looks. */
export async function run(stage: Stage): Promise<Outcome> {
  const upstream = await startRecorder();
  const profile = join(stage.folder, 'missing.stopline');
  const target = await stage.start({
    profile,
    args: ['--upstream', upstream.url, '--mode', 'enforce', '--on-error', 'open'],
  });
  // Its own pages stand below /stopline where there is an upstream; at first they did not.
  const read = async (path: string) => {
    const own = await ask(target.url, { method: 'GET', path: `/stopline${path}` });
    return own.status === 200 && !own.body.includes('outputs') ? own : ask(target.url, { method: 'GET', path });
  };
  const [ready, metrics] = [await read('/health/ready'), await read('/metrics')];
  await upstream.close();
  const isTold = ready.body.includes('degraded');
  const isCounted = /^stopline_gate_degraded(\{[^}]*\})? 1$/m.test(metrics.body);
  return {
    ok: isTold && isCounted,
    figures: `readiness of an open gate without its Profile: ${ready.status}, degraded ${isTold ? 'said' : 'not said'}, ${isCounted ? 'counted' : 'not counted'}`,
  };
}
