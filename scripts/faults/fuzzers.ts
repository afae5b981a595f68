import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Outcome, Stage } from './target.ts';

/** The fuzzer of the kernels tries every instruction set of this processor, and the last runs stand with their commits. */
export async function run(stage: Stage): Promise<Outcome> {
  const program = join(stage.checkout, 'scripts/fuzz/core.ts');
  const args = [program, '--seconds', '1', '--seed', '1'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: stage.checkout, timeout: 300_000 });
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const expected = [...(/\bavx2\b/.test(flags) ? ['avx2'] : []), ...(/\bavx512bw\b/.test(flags) ? ['avx512'] : [])];
  const missing = expected.filter((name) => !stdout.toLowerCase().replaceAll('-', '').includes(name));
  const model = readFileSync(join(stage.checkout, 'docs/threat-model.md'), 'utf8');
  const published = model
    .split('\n')
    .filter((line) => /^\| `(npm run )?(fuzz|faults)/.test(line) && /`[0-9a-f]{7}`/.test(line));
  return {
    ok: missing.length === 0 && published.length > 0,
    figures: `instruction sets of this processor that are not fuzzed: ${missing.join(', ') || 'none'} of ${expected.length} beside the baseline; ${published.length} runs published with their commit`,
  };
}
