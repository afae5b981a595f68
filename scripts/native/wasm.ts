/** The WebAssembly build of the C core, with the compilers that are pinned for it: other versions emit other bytes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compilerFlags, coreFolder, kernels, wasmKernels } from './kernels.ts';

const compile = [
  '--target=wasm32',
  ...compilerFlags,
  '-nostdlib',
  '-ffreestanding',
  '-fno-builtin',
  '-msimd128',
  '-mbulk-memory',
  '-mnontrapping-fptoint',
  '-Wall',
  '-Wextra',
];
const link = [
  '--no-entry',
  '--stack-first',
  '-z',
  'stack-size=131072',
  '--export=__heap_base',
  '--gc-sections',
  '--strip-all',
];

/**
 * Writes the module to `target`. Needs clang-16 and wasm-ld-16.
 * @param flags told to the compiler beyond those of the build that ships
 */
export function buildWasm(target: string, flags: readonly string[] = []): void {
  const temporary = mkdtempSync(join(tmpdir(), 'stopline-wasm-'));
  try {
    // Compiled from inside the folder, so that no path of this machine can enter the file.
    const objects = [...kernels, ...wasmKernels].map((source) => {
      const object = join(temporary, source.replace(/\.c$/, '.o'));
      const args = [...compile, ...flags, '-c', source, '-o', object];
      execFileSync('clang-16', args, { cwd: coreFolder, stdio: 'inherit' });
      return object;
    });
    execFileSync('wasm-ld-16', [...link, ...objects, '-o', target], { cwd: coreFolder, stdio: 'inherit' });
  } finally {
    rmSync(temporary, { recursive: true });
  }
}
