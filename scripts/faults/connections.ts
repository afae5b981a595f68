import {
  countDescriptors,
  measureSlowness,
  type Outcome,
  openRaw,
  post,
  quantile,
  readMemory,
  type Stage,
  sleep,
} from './target.ts';

/** A thousand idle connections beside good traffic. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 1000;
  const target = await stage.start();
  await post(target.url, stage.frame);
  const before = countDescriptors(target.pid);
  const raws = await Promise.all(Array.from({ length: count }, () => openRaw(target.url)));
  const times: number[] = [];
  let bad = 0;
  for (let i = 0; i < 60; i++) {
    const { status, ms } = await post(target.url, stage.frame);
    times.push(ms);
    if (status !== 200) bad += 1;
  }
  const memory = readMemory(target.pid);
  for (const { socket } of raws) socket.destroy();
  const until = performance.now() + 1000 * measureSlowness();
  let after = countDescriptors(target.pid);
  for (; after > before + 5 && performance.now() < until; after = countDescriptors(target.pid)) await sleep(50);
  target.kill('SIGKILL');
  return {
    ok: bad === 0 && after <= before + 5 && memory <= 512,
    figures: `${count} connections: ${bad} of 60 requests failed, 99 % within ${Math.round(quantile(times, 0.99))} ms, ${Math.round(memory)} MB, ${after - before} descriptors more afterwards`,
  };
}
