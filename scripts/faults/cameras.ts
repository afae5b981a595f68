import sharp from 'sharp';
import { SocketClient } from './socketclient.ts';
import { measureSlowness, type Outcome, readMemory, type Stage } from './target.ts';

/** Requests of one camera before the names come. */
const settling = 2000;

/** A flood of camera names. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 100_000;
  const target = await stage.start({ args: ['--max-wait-ms', '10000'] });
  const tiny = await sharp({ create: { width: 16, height: 16, channels: 3, background: 'grey' } })
    .png()
    .toBuffer();
  const client = new SocketClient(target.url);
  let bad = 0;
  const ask = async (many: number, name: (i: number) => string) => {
    let next = 0;
    const lane = async () => {
      while (next < many) {
        const headers = { 'content-type': 'image/png', 'x-stopline-source': name(next++) };
        const { status } = await client.ask(client.encode('/inspect', tiny, headers));
        if (status !== 200) bad += 1;
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
  };
  // What a service has when it has judged for a while, whoever sent the images.
  await ask(settling, () => 'warm-up');
  const before = readMemory(target.pid, 'Anonymous');
  await ask(count, (i) => `camera-${i}`);
  const slowness = measureSlowness();
  const startedAt = performance.now();
  const metrics = await (await fetch(`${target.url}/metrics`)).text();
  const ms = Math.round(performance.now() - startedAt);
  const named = new Set(metrics.match(/source="[^"]*"/g) ?? []).size;
  const grown = readMemory(target.pid, 'Anonymous') - before;
  client.close();
  target.kill('SIGKILL');
  return {
    ok: bad === 0 && named <= 1001 && metrics.length <= 2 ** 20 && ms <= 500 * slowness && grown <= 100,
    figures: `${count} names: ${bad} refused, ${named} in the metrics of ${Math.round(metrics.length / 1024)} KB read in ${ms} ms, ${Math.round(grown)} MB more memory`,
  };
}
