import { isReadyWithin, listChildren, measureSlowness, type Outcome, post, type Stage, sleep } from './target.ts';

/** The whole service is stopped for a while and goes on, as when a machine is moved. */
export async function run(stage: Stage): Promise<Outcome> {
  const seconds = stage.count ?? 5;
  const args = ['--max-wait-ms', '60000'];
  const target = await stage.start({ args, env: { STOPLINE_MAX_IMAGE_MS: '2000' } });
  await post(target.url, stage.frame);
  const slowness = measureSlowness();
  const all = [target.pid, ...listChildren(target.pid)];
  const replies = Array.from({ length: 4 }, () => post(target.url, stage.frame));
  await sleep(2);
  for (const pid of all) process.kill(pid, 'SIGSTOP');
  await sleep(1000 * seconds);
  for (const pid of all) process.kill(pid, 'SIGCONT');
  const continuedAt = performance.now();
  const isBack = await isReadyWithin(target.url, 2000 * slowness);
  const ms = Math.round(performance.now() - continuedAt);
  const answered = await Promise.all(replies);
  // A stop longer than the limit of an image cannot be told from an image that hangs, so those in work may get 422.
  const lost = answered.filter(({ status }) => status !== 200 && status !== 422).length;
  const { status } = await post(target.url, stage.frame);
  target.kill('SIGKILL');
  return {
    ok: isBack && lost === 0 && status === 200,
    figures: `stopped for ${seconds} s: ready after ${ms} ms, ${lost} of 4 requests without an answer, then ${status}`,
  };
}
