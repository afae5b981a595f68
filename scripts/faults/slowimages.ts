import sharp from 'sharp';
import { type Outcome, post, type Reply, type Stage } from './target.ts';

/** Legal images that take longer than one may: no crash of a decoder, however many come. */
export async function run(stage: Stage): Promise<Outcome> {
  const count = stage.count ?? 25;
  // Less than the image takes on any processor, more than others need.
  const target = await stage.start({
    args: ['--threads', '1', '--max-wait-ms', '60000'],
    env: { STOPLINE_MAX_IMAGE_MS: '800' },
  });
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
  const image = await sharp({ create: { width: 6000, height: 4000, channels: 3, background: 'grey', noise } })
    .jpeg({ progressive: true, quality: 95 })
    .toBuffer();
  let notReady = 0;
  const hurt: string[] = [];
  const codes = new Set<string>();
  for (let i = 0; i < count; i++) {
    const [slow, other] = await Promise.all([post(target.url, image), post(target.url, stage.frame)]);
    codes.add(readCode(slow));
    if (other.status !== 200) hurt.push(readCode(other));
    const ready = await fetch(`${target.url}/health/ready`);
    if ((await ready.text()).includes('crash')) notReady += 1;
  }
  return {
    ok: notReady === 0 && hurt.length === 0,
    figures: `${count} JPEGs of 24 megapixels in many scans (${[...codes].join(', ')}): ${hurt.length} other images hurt${hurt.length > 0 ? ` (${hurt.join(', ')})` : ''}, ${notReady} times taken for crashes`,
  };
}

const readCode = ({ status, body }: Reply) => /STOPLINE_ERR_(\w+)/.exec(body)?.[1] ?? String(status);
