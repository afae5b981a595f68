import { type Outcome, openRaw, type Stage, sleep } from './target.ts';

/** Readers of `/events` that only wait: the page of the operator still gets in. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 64;
  const target = await stage.start();
  const open = async () => {
    const reader = await openRaw(target.url);
    reader.socket.write('GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    while (!reader.received.includes('\r\n\r\n') && reader.closedAfterMs === undefined) await sleep(10);
    return reader;
  };
  const readers = await Promise.all(Array.from({ length: count }, open));
  const admitted = readers.filter(({ received }) => received.startsWith('HTTP/1.1 200')).length;
  const last = await open();
  const status = last.received.slice(9, 12);
  for (const { socket } of [...readers, last]) socket.destroy();
  return {
    ok: admitted === count && status === '200',
    figures: `${admitted} of ${count} readers wait, the next one gets ${status}`,
  };
}
