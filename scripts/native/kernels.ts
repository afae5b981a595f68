/** What the C core is made of, and how each of its builds is compiled: read by every script that calls a compiler. */
import { fileURLToPath } from 'node:url';

/** The folder of the C sources, with a slash behind it. */
export const coreFolder = fileURLToPath(new URL('../../src/core/', import.meta.url));

/** Compiled once for each instruction set, and once as WebAssembly. */
export const kernels = [
  'measure.c',
  'colour.c',
  'gradient.c',
  'scales.c',
  'naturalness.c',
  'lattice.c',
  'local.c',
  'tint.c',
  'residuals.c',
  'resize.c',
  'train.c',
  'jpegpixels.c',
];

/** Compiled as WebAssembly only: what they compute is kept in a Profile, and has to be the same to the bit on every machine. */
export const wasmKernels = ['simulate.c', 'causes.c', 'jpeg.c'];

/** The same numbers everywhere: no fused multiplication, which only some processors have. */
export const compilerFlags = ['-std=c11', '-O3', '-ffp-contract=off', '-fno-math-errno', '-fvisibility=hidden'];

export interface InstructionSet {
  name: string;
  /** What the compiler is told beyond {@link compilerFlags}. */
  flags: string[];
}

const bits = ['-mbmi', '-mbmi2', '-mpopcnt'];

/** The instruction sets that the native build has for an architecture: `addon.c` picks one when it is loaded. */
export function listInstructionSets(architecture: string): InstructionSet[] {
  const baseline = { name: 'baseline', flags: [] };
  if (architecture !== 'x64') return [baseline];
  const wide = ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mprefer-vector-width=512'];
  return [baseline, { name: 'avx2', flags: ['-mavx2', ...bits] }, { name: 'avx512', flags: [...wide, ...bits] }];
}
