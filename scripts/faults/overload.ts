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

/** What is asked, in milliseconds, on top of what this machine needs to refuse as many requests without looking. */
const acceptedMs = 1000;
const refusedMs = 100;
/** The time is split, and the machine looked at between: what others do here changes within a minute. */
const rounds = 6;
const baselineSeconds = 2;
/** Share of the images that the service judges for its processor time when it is asked for no more than it can do. */
const leastGoodput = 0.8;

/** One stretch of the overload, and how late the machine itself was around it. */
interface Round {
  good: SocketAnswer[];
  refused: SocketAnswer[];
  lateMs: number;
}

/**
 * Ten times what the service can do, for `count` seconds. Times are held against those of a process that refuses everything at once, which
 * is asked as often before and after each sixth of them, and images against the processor time that the service got for them: so the
 * verdict is the same on a machine that does other things.
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
    const cpuMs = readTreeCpuMs(target.pid);
    const { done, others, idle } = await overload(stage, target.url, { rate, seconds });
    const good = done.flatMap((round) => round.good);
    const refused = done.flatMap((round) => round.refused);
    const goodput = good.length / ((readTreeCpuMs(target.pid) - cpuMs) / 1000) / possible;
    const after = await Promise.all(Array.from({ length: 4 }, () => post(target.url, stage.frame)));
    const isBack = after.every(({ status }) => status === 200);
    const kept = done.filter(isInTime).length;
    const late = Math.max(...done.map(({ lateMs }) => lateMs));
    const lateAtHalf = quantile(
      done.map(({ lateMs }) => lateMs),
      0.5,
    );
    return {
      // Most stretches, so that what others did in one of them is not taken for a fault; and all together, so that a service which is
      // late in one stretch on a machine that is not is no better for the others.
      ok:
        goodput >= leastGoodput &&
        kept > rounds / 2 &&
        isInTime({ good, refused, lateMs: late }) &&
        others === 0 &&
        peakMemory <= 512 &&
        isBack,
      figures:
        `${Math.round((good.length + refused.length) / seconds)}/s answered of ${Math.round(rate)}/s, ${Math.round(capacity)}/s possible; ${Math.round(100 * goodput)} % of the images for its processor time, ` +
        `99 % of accepted within ${Math.round(p99(good))} ms, of 503 within ${Math.round(p99(refused))} ms, ` +
        `of what refuses everything within ${Math.round(lateAtHalf)} ms (at most ${Math.round(late)} ms), while who only computes gets ${Math.round(100 * idle)} % of a processor; ` +
        `${kept} of ${rounds} stretches in time, ${others} without an answer, at most ${Math.round(peakMemory)} MB`,
    };
  } finally {
    clearInterval(watch);
    target.kill('SIGKILL');
  }
}

/** All stretches one after the other; `idle` is the least share of a processor that programs beside them got. */
async function overload(stage: Stage, url: string, { rate, seconds }: { rate: number; seconds: number }) {
  const done: Round[] = [];
  let others = 0;
  let before = await measureMachine(stage, rate);
  let idle = before.share;
  for (let i = 0; i < rounds; i++) {
    const replies = await openLoop(url, stage.frame, rate, seconds / rounds);
    const good = replies.filter(({ status }) => status === 200);
    const refused = replies.filter(({ status }) => status === 503);
    others += replies.length - good.length - refused.length;
    const behind = await measureMachine(stage, rate);
    done.push({ good, refused, lateMs: Math.max(before.lateMs, behind.lateMs) });
    idle = Math.min(idle, behind.share);
    before = behind;
  }
  return { done, others, idle };
}

const isInTime = ({ good, refused, lateMs }: Round): boolean =>
  p99(good) <= acceptedMs + lateMs && p99(refused) <= refusedMs + lateMs;

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
