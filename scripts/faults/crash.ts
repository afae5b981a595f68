import { fileURLToPath } from 'node:url';
import { listChildren, measureSlowness, type Outcome, post, quantile, readCpuMs, type Stage, sleep } from './target.ts';

const hook = fileURLToPath(new URL('../../test/fixtures/crash.hook.ts', import.meta.url));

/** Until the processes of the service have nothing to do any more: the one that replaces another has started. */
async function idle(pid: number): Promise<void> {
  const used = () => listChildren(pid).reduce((sum, child) => sum + readCpuMs(child), 0);
  // On a busy machine one that has work may get no processor for a while.
  for (let still = 0, before = used(); still < 4; ) {
    await sleep(400);
    const now = used();
    still = now === before ? still + 1 : 0;
    before = now;
  }
}

/** Native code crashes on marked images: each costs its own verdict, and a process that is ready takes over at once. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 30;
  const args = ['--threads', '1', '--max-wait-ms', '60000'];
  const target = await stage.start({ args, env: { NODE_OPTIONS: `--import=${hook}` } });
  const marked = Buffer.concat([stage.frame, Buffer.from('SEGFAULT')]);
  for (let i = 0; i < 5; i++) await post(target.url, stage.frame);
  let wrong = 0;
  let others = 0;
  const replacements: number[] = [];
  let heldBackFrom = 0;
  let notReady = 0;
  let slowness = 1;
  for (let i = 1; i <= count; i++) {
    // From the twentieth crash of a minute on, new processes are held back.
    if (i === 20) heldBackFrom = i;
    if (heldBackFrom === 0) await idle(target.pid);
    slowness = Math.max(slowness, measureSlowness());
    const crashed = await post(target.url, marked);
    // Judged by the process that took over, so this is how long that took, and one image.
    const { status, ms } = await post(target.url, stage.frame);
    if (crashed.status !== 422 || !crashed.body.includes('IMAGE_CRASHED')) wrong += 1;
    if (status !== 200) others += 1;
    if (heldBackFrom === 0) replacements.push(ms);
    const ready = await (await fetch(`${target.url}/health/ready`)).text();
    // The process that has just judged an image is ready, whatever happened before.
    if (ready.includes('crashing')) notReady += 1;
  }
  target.kill('SIGTERM');
  const { code } = await target.exit;
  const [half, most] = [0.5, 1].map((share) => Math.round(quantile(replacements, share)));
  return {
    ok: wrong === 0 && others === 0 && code === 0 && notReady === 0 && most <= 300 * slowness,
    figures: `${count} crashes: ${wrong} not answered with 422, ${others} other images hurt, the next image judged after ${half} ms (at most ${most} ms, of ${Math.round(300 * slowness)} here), ${notReady} times not ready while a process was, exit ${code}`,
  };
}
