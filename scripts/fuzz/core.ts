/**
 * The kernels under libFuzzer with the address and undefined-behaviour sanitizers, built for one instruction set after the
 * other. Stops at the first fault, and leaves the input that caused it.
 *
 *     npm run fuzz:core -- --seconds 600 --seed 1     seconds for each instruction set
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from '../arguments.ts';
import { coreFolder, type InstructionSet, listInstructionSets, kernels as names } from '../native/kernels.ts';
import { seedImages } from './mutate.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export const kernels = names.map((name) => join(coreFolder, name));

/** Those that this processor runs: a program for another one would die of an illegal instruction. */
export function findInstructionSets(): InstructionSet[] {
  const about = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const offers = (flag: string) => {
    if (flag.includes('=')) return true; // a wish of the compiler's, no instruction
    return new RegExp(`\\b${flag === '-mbmi' ? 'bmi1' : flag.slice(2)}\\b`).test(about);
  };
  return listInstructionSets(process.arch).filter(({ flags }) => flags.every(offers));
}

export interface CoreFuzzing {
  /** Name of the instruction set. */
  simd: string;
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
  simd?: InstructionSet;
  corpus?: string | undefined;
  /** What it begins with: of nothing no JPEG comes. */
  seeds?: readonly Uint8Array[];
}): CoreFuzzing | undefined {
  const { seconds, seed, simd = { name: 'baseline', flags: [] }, corpus, seeds = [] } = options;
  const folder = mkdtempSync(join(tmpdir(), 'stopline-fuzz-'));
  try {
    const program = join(folder, 'fuzz');
    const flags = ['-std=c11', '-O1', '-g', '-ffp-contract=off', '-fno-math-errno', ...simd.flags, `-I${coreFolder}`];
    const sanitizers = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all'];
    const sources = [...kernels, join(root, 'test/core/fuzz.c')];
    const built = spawnSync('clang-16', [...flags, ...sanitizers, ...sources, '-o', program], { encoding: 'utf8' });
    if (built.error || /libclang_rt\.fuzzer.*No such file|cannot open.*fuzzer/.test(built.stderr)) return undefined;
    if (built.status !== 0) throw new Error(built.stderr);
    const [found, given] = [corpus ?? join(folder, 'found'), join(folder, 'given')];
    for (const path of [found, given]) mkdirSync(path, { recursive: true });
    for (const [i, bytes] of seeds.entries()) writeFileSync(join(given, `${i}`), bytes);
    const args = [`-max_total_time=${seconds}`, `-seed=${seed}`, '-max_len=4096', '-timeout=2', '-print_final_stats=1'];
    const run = spawnSync(program, [...args, found, given], {
      encoding: 'utf8',
      cwd: corpus ?? folder,
      maxBuffer: 1 << 28,
    });
    const runs = Number(/stat::number_of_executed_units: (\d+)/.exec(run.stderr)?.[1] ?? 0);
    return { simd: simd.name, runs, seed, status: run.status, log: run.stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = readArguments({
    command: 'npm run fuzz:core --',
    about:
      'Feeds the kernels what nobody thought of, with sanitizers, for every instruction set of this processor. Needs clang-16.',
    options: {
      seconds: { default: 600, says: 'for each instruction set' },
      seed: { default: 1, says: 'of the fuzzer' },
      corpus: { default: '', says: 'folder that inputs are kept in' },
    },
  });
  execFileSync('clang-16', ['--version'], { stdio: 'ignore' });
  const found = findInstructionSets();
  const seeds = (await seedImages()).filter((bytes) => bytes.length < 4096 && bytes.readUInt16BE(0) === 0xffd8);
  for (const { name } of listInstructionSets(process.arch)) {
    if (!found.some((set) => set.name === name)) console.log(`left out: ${name}, which this processor does not run`);
  }
  for (const simd of found) {
    const { seconds, seed, corpus } = values;
    const result = fuzzCore({ seconds, seed, simd, seeds, ...(corpus !== '' && { corpus }) });
    if (!result) throw new Error('Expected clang-16 with libFuzzer: apt-get install clang-16 libclang-rt-16-dev');
    const isGood = result.status === 0;
    if (!isGood) process.stdout.write(result.log.slice(-4000));
    console.log(
      `${isGood ? 'pass' : 'FAIL'} fuzz:core ${simd.name}: ${result.runs} inputs in ${seconds} s, seed ${seed}`,
    );
    if (!isGood) process.exitCode = 1;
  }
}
