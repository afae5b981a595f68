import { type Outcome, post, readMemory, type Stage } from './target.ts';

/** Requests until the service has all that it keeps, and how much more memory it may have at the end. */
const settling = 5000;
const maxGrowth = 0.05;
const cameras = 20;
/** After how many requests the memory is read, so that what grows is seen to grow. */
const step = 10_000;

/** Ordinary requests, on and on, in both isolations: memory that grows with their number ends every service one day. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 100_000;
  const figures: string[] = [];
  let ok = true;
  for (const isolation of ['process', 'thread']) {
    const target = await stage.start({ args: ['--isolation', isolation, '--max-wait-ms', '10000'] });
    let next = 0;
    let bad = 0;
    const send = async (until: number) => {
      const lane = async () => {
        while (next < until) {
          const source = `camera-${next++ % cameras}`;
          if ((await post(target.url, stage.frame, { 'x-stopline-source': source })).status !== 200) bad += 1;
        }
      };
      await Promise.all(Array.from({ length: 8 }, lane));
    };
    await send(Math.min(settling, Math.ceil(count / 2)));
    const settled = next;
    const before = readMemory(target.pid, 'Anonymous');
    const curve = [before];
    for (let until = settled; until < count; ) {
      until = Math.min(count, until + step);
      await send(until);
      curve.push(readMemory(target.pid, 'Anonymous'));
      console.error(`${isolation}: ${Math.round(curve[curve.length - 1])} MB after ${until}`);
    }
    const after = curve[curve.length - 1];
    target.kill('SIGKILL');
    await target.exit;
    ok &&= bad === 0 && after <= before * (1 + maxGrowth);
    figures.push(
      `${isolation}: ${bad} of ${count} refused, MB after ${settled} and every ${step} more: ${curve.map(Math.round).join(', ')}`,
    );
  }
  return { ok, figures: figures.join('; ') };
}
