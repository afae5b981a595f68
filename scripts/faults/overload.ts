import { connect, type Socket } from 'node:net';
import { type Outcome, post, quantile, readMemory, type Stage, sleep } from './target.ts';

/** The status of an answer, 0 where there was none. */
interface Answer {
  status: number;
  ms: number;
}

/**
 * Requests at a fixed rate whatever comes of earlier ones: a loop that waits for answers hides the queue. Over bare sockets,
 * because it shares the cores with the service, and Node's client would take more of them than the refusals do.
 */
async function openLoop(url: string, frame: Uint8Array, perSecond: number, seconds: number): Promise<Answer[]> {
  const { host, hostname, port } = new URL(url);
  const head = `POST /inspect HTTP/1.1\r\nhost: ${host}\r\ncontent-type: image/jpeg\r\ncontent-length: ${frame.length}\r\n\r\n`;
  const request = Buffer.concat([Buffer.from(head), frame]);
  const idle: Socket[] = [];
  const sockets = new Set<Socket>();

  const ask = () =>
    new Promise<Answer>((resolve) => {
      const startedAt = performance.now();
      const socket = idle.pop() ?? connect({ host: hostname, port: Number(port), noDelay: true });
      sockets.add(socket);
      let received = '';
      const end = (status: number) => {
        socket.removeAllListeners();
        socket.on('error', () => undefined);
        if (status > 0 && !/^connection: close/im.test(received)) idle.push(socket);
        else socket.destroy();
        resolve({ status, ms: performance.now() - startedAt });
      };
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1');
        const body = received.indexOf('\r\n\r\n') + 4;
        const length = Number(/^content-length: (\d+)/im.exec(received)?.[1]);
        if (body > 3 && received.length >= body + length) end(Number(received.slice(9, 12)));
      });
      socket.once('error', () => end(0));
      socket.once('close', () => end(0));
      socket.write(request);
    });

  const answers: Promise<Answer>[] = [];
  const startedAt = performance.now();
  while (performance.now() < startedAt + 1000 * seconds) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * perSecond);
    while (answers.length < due) answers.push(ask());
    await sleep(5);
  }
  const all = await Promise.all(answers);
  for (const socket of sockets) socket.destroy();
  return all;
}

/** Ten times what the service can do, for `count` seconds. */
export async function run(stage: Stage): Promise<Outcome> {
  const seconds = stage.count ?? 60;
  const target = await stage.start();
  let peakMemory = 0;
  const watch = setInterval(() => {
    peakMemory = Math.max(peakMemory, readMemory(target.pid));
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
