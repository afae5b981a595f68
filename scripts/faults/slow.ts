import { measureSlowness, type Outcome, openRaw, post, quantile, type Raw, type Stage, sleep } from './target.ts';

const head = 'POST /inspect HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n';
/** As short as they may be set, so that the test is. */
const limits = { headers: 2000, request: 3000 };

/** Sockets that send a byte now and then, or nothing: in the headers, in the body, before anything. */
export async function run(stage: Stage): Promise<Outcome> {
  const sockets = stage.count ?? 500;
  const args = ['--headers-timeout-ms', String(limits.headers), '--request-timeout-ms', String(limits.request)];
  const target = await stage.start({ args });
  const goodTraffic = async (seconds: number): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < 10 * seconds; i++) {
      const { status, ms } = await post(target.url, stage.frame);
      times.push(status === 200 ? ms : Number.POSITIVE_INFINITY);
      await sleep(Math.max(0, 100 - ms));
    }
    return quantile(times, 0.99);
  };
  await goodTraffic(1);
  const before = await goodTraffic(4);
  const slow: Raw[] = [];
  for (let i = 0; i < sockets; i++) {
    const raw = await openRaw(target.url);
    if (i % 3 === 0) raw.socket.write(head);
    if (i % 3 === 1) raw.socket.write(`${head}content-length: 100000\r\n\r\n`);
    slow.push(raw);
  }
  const drip = setInterval(() => {
    slow.forEach(({ socket }, i) => {
      if (!socket.destroyed && i % 3 !== 2) socket.write(i % 3 === 0 ? 'x-a: b\r\n' : 'x');
    });
  }, 500);
  const during = await goodTraffic(4);
  const slowness = measureSlowness();
  const limit = limits.request + 1000 * slowness;
  await sleep(limit - 3000);
  clearInterval(drip);
  const late = slow.filter(({ closedAfterMs }) => closedAfterMs === undefined || closedAfterMs > limit).length;
  const slowest = Math.max(...slow.map(({ closedAfterMs }) => closedAfterMs ?? Number.POSITIVE_INFINITY));
  for (const { socket } of slow) socket.destroy();
  target.kill('SIGKILL');
  return {
    ok: late === 0 && during <= 2 * before + 20 * slowness,
    figures: `${sockets} slow sockets closed within ${Math.round(slowest)} ms (limit ${Math.round(limit)}), good traffic's 99 % ${Math.round(before)} ms before and ${Math.round(during)} ms during`,
  };
}
