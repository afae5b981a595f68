import { type Outcome, openRaw, post, type Stage, sleep } from './target.ts';

/** Clients that end their side before the request is whole, or reset the connection in the middle of it. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 200;
  const target = await stage.start();
  const head = `POST /inspect HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: ${stage.frame.length}\r\n\r\n`;
  let slowest = 0;
  let open = 0;
  for (let i = 0; i < count; i++) {
    const raw = await openRaw(target.url, { allowHalfOpen: true });
    raw.socket.write(head);
    raw.socket.write(stage.frame.subarray(0, i % 3 === 2 ? 0 : 1000));
    if (i % 2 === 0) raw.socket.end();
    else raw.socket.resetAndDestroy();
    for (let k = 0; k < 200 && raw.closedAfterMs === undefined; k++) await sleep(5);
    if (raw.closedAfterMs === undefined) open += 1;
    slowest = Math.max(slowest, raw.closedAfterMs ?? 0);
    raw.socket.destroy();
  }
  const { status } = await post(target.url, stage.frame);
  const metrics = await (await fetch(`${target.url}/metrics`)).text();
  const held = Number(/^stopline_buffered_bytes (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN);
  target.kill('SIGKILL');
  return {
    ok: open === 0 && status === 200 && held === 0,
    figures: `${count} connections ended in the middle: ${open} left open, the slowest closed after ${Math.round(slowest)} ms, ${held} bytes still held, then ${status}`,
  };
}
