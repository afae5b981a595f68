import { memoryOf, type Outcome, post, quantile, type Reply, type Stage, sleep } from './target.ts';

/** Requests at a fixed rate whatever comes of earlier ones: a loop that waits for answers hides the queue. */
async function openLoop(url: string, frame: Uint8Array, perSecond: number, seconds: number): Promise<Reply[]> {
  const replies: Promise<Reply>[] = [];
  const startedAt = performance.now();
  while (performance.now() < startedAt + 1000 * seconds) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * perSecond);
    while (replies.length < due) replies.push(post(url, frame));
    await sleep(5);
  }
  return Promise.all(replies);
}

/** Ten times what the service can do, for `count` seconds. */
export async function run(stage: Stage): Promise<Outcome> {
  const seconds = stage.count ?? 60;
  const target = await stage.start();
  let peakMemory = 0;
  const watch = setInterval(() => {
    peakMemory = Math.max(peakMemory, memoryOf(target.pid));
  }, 100);
  try {
    // Eight at a time are enough to keep two workers busy and few enough to be taken all.
    let done = 0;
    const until = performance.now() + 5000;
    const lane = async () => {
      while (performance.now() < until) if ((await post(target.url, stage.frame)).status === 200) done += 1;
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    const capacity = done / 5;

    const replies = await openLoop(target.url, stage.frame, Math.min(10 * capacity, 3000), seconds);
    const good = replies.filter(({ status }) => status === 200);
    const refused = replies.filter(({ status }) => status === 503);
    const others = replies.length - good.length - refused.length;
    const goodput = good.length / seconds;
    const acceptedP99 = quantile(
      good.map(({ ms }) => ms),
      0.99,
    );
    const refusedP99 = quantile(
      refused.map(({ ms }) => ms),
      0.99,
    );
    const after = await Promise.all(Array.from({ length: 4 }, () => post(target.url, stage.frame)));
    const isBack = after.every(({ status }) => status === 200);
    return {
      ok:
        goodput >= 0.8 * capacity &&
        acceptedP99 <= 1000 &&
        refusedP99 <= 100 &&
        others === 0 &&
        peakMemory <= 512 &&
        isBack,
      figures:
        `${Math.round(replies.length / seconds)}/s offered, ${Math.round(capacity)}/s possible; goodput ${Math.round((100 * goodput) / capacity)} %, ` +
        `99 % of accepted within ${Math.round(acceptedP99)} ms, of 503 within ${Math.round(refusedP99)} ms, ` +
        `${others} without an answer, at most ${Math.round(peakMemory)} MB`,
    };
  } finally {
    clearInterval(watch);
    target.kill('SIGKILL');
  }
}
