import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Outcome, quickFit, type Stage } from './target.ts';

const hook = fileURLToPath(new URL('./windows.hook.ts', import.meta.url));

/** The file system of Windows, as far as it can be imitated: folders are not flushed, files that may only be read not replaced. */
export async function run(stage: Stage): Promise<Outcome> {
  const env = { NODE_OPTIONS: `--import=${hook}` };
  const at = (name: string) => join(stage.folder, name);
  const reference = at('reference');
  const commands: Record<string, string[]> = {
    fit: ['fit', reference, '--out', at('w.stopline'), ...quickFit],
    'fit again': ['fit', reference, '--out', at('w.stopline'), ...quickFit],
    score: ['score', reference, '--profile', stage.profile, '--out', at('w.jsonl')],
    'score to Parquet': ['score', reference, '--profile', stage.profile, '--out', at('w.parquet')],
    report: ['report', stage.profile, '--out', at('w.html')],
  };
  const wrong: string[] = [];
  for (const [name, args] of Object.entries(commands)) {
    const { code, stderr } = await stage.command(args, { env });
    if (code !== 0 || !existsSync(args[args.indexOf('--out') + 1]))
      wrong.push(`${name}: ${code} ${stderr.trim().split('\n').at(-1)?.slice(0, 160)}`);
  }
  // Refused with its code, and the old file stays.
  chmodSync(at('w.stopline'), 0o444);
  const { stderr } = await stage.command(commands.fit, { env });
  if (!/STOPLINE_ERR_OUTPUT_UNWRITABLE/.test(stderr))
    wrong.push(`fit over a file that may only be read: ${stderr.slice(-160)}`);
  return {
    ok: wrong.length === 0,
    figures: `${Object.keys(commands).length + 1} commands on such a file system: ${wrong.length} wrong${wrong.length > 0 ? ` (${wrong.join('; ')})` : ''}`,
  };
}
