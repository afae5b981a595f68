import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Outcome, Stage } from './target.ts';

/** Runs that end before their first row, whatever ends them: the next one with the same output is not in their way. */
export async function run(stage: Stage): Promise<Outcome> {
  const at = (name: string) => join(stage.folder, name);
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
  // Takes long enough for a run to be ended while it has nothing but this image.
  const image = sharp({ create: { width: 6000, height: 4000, channels: 3, background: 'grey', noise } });
  writeFileSync(at('slow.jpg'), await image.jpeg({ progressive: true }).toBuffer());
  const common = ['--profile', stage.profile, '--threads', '1'];
  const blocked: string[] = [];
  const signals = ['INT', 'TERM', 'KILL'];
  for (const signal of signals) {
    const out = ['--out', at(`${signal}.jsonl`)];
    const isBegun = `i=0; while [ ! -e '${at(`${signal}.jsonl.job`)}' ] && [ $i -lt 600 ]; do sleep 0.05; i=$((i+1)); done`;
    await stage.command(['score', at('slow.jpg'), ...common, ...out], { shell: `(${isBegun}; kill -${signal} $$) &` });
    const next = await stage.command(['score', at('reference'), ...common, ...out]);
    if (next.code !== 0) blocked.push(`SIG${signal}: ${/STOPLINE_ERR_\w+/.exec(next.stderr)?.[0] ?? next.code}`);
  }
  return {
    ok: blocked.length === 0,
    figures: `${blocked.length} of ${signals.length} runs that were ended before their first row block the next${blocked.length > 0 ? ` (${blocked.join('; ')})` : ''}`,
  };
}
