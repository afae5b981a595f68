import { fileURLToPath } from 'node:url';
import { type Outcome, post, type Stage } from './target.ts';

const hook = fileURLToPath(new URL('./clock.hook.ts', import.meta.url));

/** The clock of the service jumps a day forwards and back while it works. */
export async function run(stage: Stage): Promise<Outcome> {
  const target = await stage.start({ env: { NODE_OPTIONS: `--import=${hook}` } });
  let bad = 0;
  const requests = stage.count ?? 200;
  for (let i = 0; i < requests; i++) if ((await post(target.url, stage.frame)).status !== 200) bad += 1;
  const metrics = await (await fetch(`${target.url}/metrics`)).text();
  const lines = target.log.split('\n').filter((line) => line.includes('"msg":"request"'));
  const parsed = lines.map((line) => JSON.parse(line));
  const days = new Set(parsed.map(({ time }) => new Date(time).getUTCDate())).size;
  const odd = parsed.filter(({ durationMs }) => !(durationMs >= 0 && durationMs < 60_000)).length;
  // Scores may be below zero; times, counts and sizes may not.
  const isOdd = /^stopline_(?!score_sum).* (NaN|-\S+)$/m.test(metrics);
  target.kill('SIGKILL');
  return {
    ok: bad === 0 && odd === 0 && !isOdd && days >= 2,
    figures: `${requests} requests on ${days} different days: ${bad} failed, ${odd} with an impossible duration, metrics ${isOdd ? 'odd' : 'whole'}`,
  };
}
