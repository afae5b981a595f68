import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type SocketAnswer, SocketClient } from './socketclient.ts';
import { listChildren, type Outcome, post, quantile, readCpuMs, readMemory, type Stage, sleep } from './target.ts';

/** Requests at a fixed rate whatever comes of earlier ones: a loop that waits for answers hides the queue. */
async function openLoop(url: string, frame: Uint8Array, perSecond: number, seconds: number): Promise<SocketAnswer[]> {
  const client = new SocketClient(url);
  const request = client.encode('/inspect', frame, { 'content-type': 'image/jpeg' });
  const answers: Promise<SocketAnswer>[] = [];
  const startedAt = performance.now();
  while (performance.now() < startedAt + 1000 * seconds) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * perSecond);
    while (answers.length < due) answers.push(client.ask(request));
    await sleep(5);
  }
  const all = await Promise.all(answers);
  client.close();
  return all;
}

/** What is asked on a machine that does nothing else, in milliseconds; elsewhere as much later as the machine itself is. */
const acceptedMs = 1000;
const refusedMs = 100;
const baselineSeconds = 6;
/** Share of the images that the service judges for its processor time when it is asked for no more than it can do. */
const leastGoodput = 0.8;

/**
 * Ten times what the service can do, for `count` seconds. Times are held against those of a process that refuses everything at once, which
 * is asked as often before and after, and images against the processor time that the service got for them: so the verdict is the
 * same on a machine that does other things.
 */
export async function run(stage: Stage): Promise<Outcome> {
  const seconds = stage.count ?? 60;
  const target = await stage.start();
  let peakMemory = 0;
  const watch = setInterval(() => {
    peakMemory = Math.max(peakMemory, readMemory(target.pid));
  }, 100);
  try {
    const { perSecond: capacity, perCpuSecond: possible } = await measureCapacity(stage, target.pid, target.url);
    const rate = Math.min(10 * capacity, 3000);
    const before = await measureMachine(stage, rate);
    const cpuMs = readTreeCpuMs(target.pid);
    const replies = await openLoop(target.url, stage.frame, rate, seconds);
    const good = replies.filter(({ status }) => status === 200);
    const refused = replies.filter(({ status }) => status === 503);
    const others = replies.length - good.length - refused.length;
    const goodput = good.length / ((readTreeCpuMs(target.pid) - cpuMs) / 1000) / possible;
    const after = await Promise.all(Array.from({ length: 4 }, () => post(target.url, stage.frame)));
    const isBack = after.every(({ status }) => status === 200);
    const behind = await measureMachine(stage, rate);
    const late = Math.max(before.lateMs, behind.lateMs);
    const share = Math.min(before.share, behind.share);
    const [acceptedP99, refusedP99] = [p99(good), p99(refused)];
    return {
      // A machine that needs longer for nothing at all than an image may take says nothing of the service.
      isSkipped: late > acceptedMs,
      ok:
        goodput >= leastGoodput &&
        acceptedP99 <= acceptedMs + late &&
        refusedP99 <= refusedMs + late &&
        others === 0 &&
        peakMemory <= 512 &&
        isBack,
      figures:
        `${Math.round(replies.length / seconds)}/s offered, ${Math.round(capacity)}/s possible; ${Math.round(100 * goodput)} % of the images for its processor time, ` +
        `99 % of accepted within ${Math.round(acceptedP99)} ms, of 503 within ${Math.round(refusedP99)} ms, ` +
        `of what refuses everything within ${Math.round(late)} ms, while who only computes gets ${Math.round(100 * share)} % of a processor; ${others} without an answer, at most ${Math.round(peakMemory)} MB`,
    };
  } finally {
    clearInterval(watch);
    target.kill('SIGKILL');
  }
}

const p99 = (answers: readonly SocketAnswer[]) =>
  quantile(
    answers.map(({ ms }) => ms),
    0.99,
  );

/** Images a second, and a second of processor time. Eight at a time are enough to keep two workers busy and few enough to be taken all. */
async function measureCapacity({ frame }: Stage, pid: number, url: string) {
  const seconds = 5;
  const cpuMs = readTreeCpuMs(pid);
  let done = 0;
  const until = performance.now() + 1000 * seconds;
  const lane = async () => {
    while (performance.now() < until) if ((await post(url, frame)).status === 200) done += 1;
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  return { perSecond: done / seconds, perCpuSecond: done / ((readTreeCpuMs(pid) - cpuMs) / 1000) };
}

/**
 * How busy the machine is with other things: the time in which 99 % of refusals come from a process that does nothing else, in
 * milliseconds, and the share of a processor that those beside it get.
 */
async function measureMachine({ frame }: Stage, rate: number): Promise<{ lateMs: number; share: number }> {
  const program = fileURLToPath(new URL('./refuser.ts', import.meta.url));
  const child = spawn(process.execPath, [program, `${availableParallelism()}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
    const [url] = /http:\S+/.exec(line) ?? [];
    const spinning = listChildren(child.pid as number);
    const sumCpuMs = () => spinning.reduce((sum, pid) => sum + readCpuMs(pid), 0);
    const [cpuMs, startedAt] = [sumCpuMs(), performance.now()];
    const replies = await openLoop(url as string, frame, rate, baselineSeconds);
    const share = (sumCpuMs() - cpuMs) / (performance.now() - startedAt) / spinning.length;
    return { lateMs: p99(replies), share };
  } finally {
    for (const pid of listChildren(child.pid as number)) process.kill(pid, 'SIGKILL');
    child.kill('SIGKILL');
  }
}

/** Processor time of the service and its workers so far. */
const readTreeCpuMs = (pid: number): number =>
  listChildren(pid).reduce((sum, child) => sum + readTreeCpuMs(child), readCpuMs(pid));
