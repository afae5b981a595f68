/**
 * The kernels under libFuzzer with the address and undefined-behaviour sanitizers. Stops at the first fault, and leaves the
 * input that caused it.
 *
 *     npm run fuzz:core -- --seconds 600 --seed 1
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface CoreFuzzing {
  runs: number;
  seed: number;
  /** 0 unless a kernel failed. */
  status: number | null;
  log: string;
}

/** @returns undefined where there is no clang with libFuzzer */
export function fuzzCore(options: {
  seconds: number;
  seed: number;
  corpus?: string | undefined;
}): CoreFuzzing | undefined {
  const { seconds, seed, corpus } = options;
  const core = join(root, 'src/core');
  const folder = mkdtempSync(join(tmpdir(), 'stopline-fuzz-'));
  const sources = [...readFileSync(join(core, 'binding.gyp'), 'utf8').matchAll(/^ +'(\w+\.c)',$/gm)].map(([, name]) =>
    join(core, name),
  );
  try {
    const program = join(folder, 'fuzz');
    const flags = ['-std=c11', '-O1', '-g', '-ffp-contract=off', '-fno-math-errno', `-I${core}`];
    const sanitizers = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all'];
    const built = spawnSync(
      'clang-16',
      [...flags, ...sanitizers, ...sources, join(root, 'test/core/fuzz.c'), '-o', program],
      {
        encoding: 'utf8',
      },
    );
    if (built.error || /libclang_rt\.fuzzer.*No such file|cannot open.*fuzzer/.test(built.stderr)) return undefined;
    if (built.status !== 0) throw new Error(built.stderr);
    if (corpus) mkdirSync(corpus, { recursive: true });
    const args = [`-max_total_time=${seconds}`, `-seed=${seed}`, '-max_len=4096', '-timeout=2', '-print_final_stats=1'];
    const run = spawnSync(program, [...args, ...(corpus ? [corpus] : [])], {
      encoding: 'utf8',
      cwd: corpus ?? folder,
      maxBuffer: 1 << 28,
    });
    const runs = Number(/stat::number_of_executed_units: (\d+)/.exec(run.stderr)?.[1] ?? 0);
    return { runs, seed, status: run.status, log: run.stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '600' },
      seed: { type: 'string', default: '1' },
      corpus: { type: 'string' },
    },
  });
  execFileSync('clang-16', ['--version'], { stdio: 'ignore' });
  const result = fuzzCore({ seconds: Number(values.seconds), seed: Number(values.seed), corpus: values.corpus });
  if (!result) throw new Error('Expected clang-16 with libFuzzer: apt-get install clang-16 libclang-rt-16-dev');
  if (result.status !== 0) process.stdout.write(result.log.slice(-4000));
  console.log(
    `${result.status === 0 ? 'pass' : 'FAIL'} fuzz:core ${result.runs} inputs in ${values.seconds} s, seed ${values.seed}`,
  );
  process.exitCode = result.status === 0 ? 0 : 1;
}
