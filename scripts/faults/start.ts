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
  let [pss, rss, wrong, inTime] = [0, 0, 0, 0];
  for (let i = 0; i < times; i++) {
    const slowness = measureSlowness();
    const startedAt = performance.now();
    const target = await stage.start();
    const isReady = await isReadyWithin(target.url, 60_000);
    startMs.push(performance.now() - startedAt);
    // What others do here changes from start to start.
    if (startMs[i] <= 3000 * Math.max(slowness, measureSlowness())) inTime += 1;
    let right = 0;
    for (let k = 0; k < 50; k++) if ((await post(target.url, stage.frame)).status === 200) right += 1;
    if (!isReady || right < 50) wrong += 1;
    await sleep(2000); // the spare process starts when the others are ready
    pss = Math.max(pss, readMemory(target.pid));
    rss = Math.max(rss, readMemory(target.pid, 'Rss'));
    target.kill('SIGTERM');
    await target.exit;
  }
  stage.close();
  const [half, most] = [0.5, 1].map((share) => Math.round(quantile(startMs, share)));
  return {
    ok: wrong === 0 && inTime > times / 2 && pss <= 512,
    figures: `${times} starts with the default model: ready after ${half} ms (at most ${most} ms), ${inTime} within 3 s, and as much longer as work takes there, ${wrong} wrong; then ${Math.round(pss)} MB with the spare process (${Math.round(rss)} MB where shared pages count for each)`,
  };
}
