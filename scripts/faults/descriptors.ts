import { isReadyWithin, measureSlowness, type Outcome, openRaw, type Stage, sleep } from './target.ts';

/** More connections than the process may have files. */
export async function run(stage: Stage): Promise<Outcome> {
  const target = await stage.start({ shell: 'ulimit -n 128;' });
  let ended = false;
  void target.exit.then(() => {
    ended = true;
  });
  const raws = await Promise.all(Array.from({ length: stage.count ?? 400 }, () => openRaw(target.url)));
  await sleep(2000);
  const withinMs = 2000 * measureSlowness();
  for (const { socket } of raws) socket.destroy();
  const releasedAt = performance.now();
  const isBack = await isReadyWithin(target.url, withinMs);
  const ms = Math.round(performance.now() - releasedAt);
  target.kill('SIGKILL');
  return {
    ok: !ended && isBack,
    figures: `${raws.length} connections with 128 files: ${ended ? 'ended' : 'lives'}, ${isBack ? `ready ${ms} ms after they went` : `not ready ${Math.round(withinMs)} ms after they went`}`,
  };
}
