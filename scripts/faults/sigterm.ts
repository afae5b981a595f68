import { type Outcome, post, type Reply, type Stage, sleep } from './target.ts';

/** SIGTERM under load, again and again: every request whose headers were read is answered, and the exit is clean. */
export async function run(stage: Stage): Promise<Outcome> {
  const times = stage.count ?? 100;
  let lost = 0;
  let answered = 0;
  let unclean = 0;
  let slowest = 0;
  for (let i = 0; i < times; i++) {
    const target = await stage.start({ args: ['--threads', '1'] });
    const replies: Promise<Reply>[] = [];
    const pace = setInterval(() => replies.push(post(target.url, stage.frame)), 33);
    await sleep(300 + ((i * 37) % 300));
    const at = performance.now();
    target.kill('SIGTERM');
    await sleep(100);
    clearInterval(pace);
    const { code } = await target.exit;
    slowest = Math.max(slowest, performance.now() - at);
    if (code !== 0) unclean += 1;
    for (const { status, error } of await Promise.all(replies)) {
      if (status === 200 || status === 503) answered += 1;
      // Refused connections were never accepted; a reset in the middle is a request lost.
      else if (error !== 'ECONNREFUSED') lost += 1;
    }
  }
  return {
    ok: lost === 0 && unclean === 0 && answered > 0,
    figures: `${times} times: ${answered} answered, ${lost} lost, ${unclean} ends that were not clean, the slowest took ${Math.round(slowest)} ms`,
  };
}
