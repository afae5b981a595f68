import {
  isReadyWithin,
  measureSlowness,
  type Outcome,
  post,
  quantile,
  readMemory,
  type Stage,
  setStage,
  sleep,
} from './target.ts';

/** A restart, with the default model: how long until requests are served, and how much memory all of it takes then. */
export async function run({ count: times = 5 }: Stage): Promise<Outcome> {
  const stage = await setStage({ fitted: { model: 'default' } });
  const startMs: number[] = [];
  let [pss, rss, wrong] = [0, 0, 0];
  for (let i = 0; i < times; i++) {
    const startedAt = performance.now();
    const target = await stage.start();
    const isReady = await isReadyWithin(target.url, 60_000);
    startMs.push(performance.now() - startedAt);
    let right = 0;
    for (let k = 0; k < 50; k++) if ((await post(target.url, stage.frame)).status === 200) right += 1;
    if (!isReady || right < 50) wrong += 1;
    await sleep(2000); // the spare process starts when the others are ready
    pss = Math.max(pss, readMemory(target.pid));
    rss = Math.max(rss, readMemory(target.pid, 'Rss'));
    target.kill('SIGTERM');
    await target.exit;
  }
  const slowness = measureSlowness();
  stage.close();
  const [half, most] = [0.5, 1].map((share) => Math.round(quantile(startMs, share)));
  return {
    ok: wrong === 0 && most <= 3000 * slowness && pss <= 512,
    figures: `${times} starts with the default model: ready after ${half} ms (at most ${most} ms), ${wrong} wrong; then ${Math.round(pss)} MB with the spare process (${Math.round(rss)} MB where shared pages count for each)`,
  };
}
