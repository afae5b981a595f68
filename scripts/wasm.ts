// Builds src/core/stopline.wasm, which is committed: a clone then needs nothing but Node.
//   node scripts/wasm.ts           build
//   node scripts/wasm.ts --check   build elsewhere and prove that the committed file is the same, byte for byte
// clang-16 and wasm-ld-16 are pinned: other versions emit other bytes.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArguments } from './arguments.ts';
import { compilerFlags, coreFolder, kernels, wasmKernels } from './native/kernels.ts';

const committed = join(coreFolder, 'stopline.wasm');
const { values } = readArguments({
  command: 'npm run build:wasm --',
  about: 'Builds src/core/stopline.wasm. Needs clang-16 and wasm-ld-16.',
  options: { check: { default: false, says: 'build elsewhere and prove that the committed file is the same' } },
});
const { check } = values;
const temporary = mkdtempSync(join(tmpdir(), 'stopline-wasm-'));
const target = check ? join(temporary, 'stopline.wasm') : committed;

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

try {
  // Compiled from inside the folder, so that no path of this machine can enter the file.
  const objects = [...kernels, ...wasmKernels].map((source) => {
    const object = join(temporary, source.replace(/\.c$/, '.o'));
    execFileSync('clang-16', [...compile, '-c', source, '-o', object], { cwd: coreFolder, stdio: 'inherit' });
    return object;
  });
  execFileSync('wasm-ld-16', [...link, ...objects, '-o', target], { cwd: coreFolder, stdio: 'inherit' });
  const bytes = readFileSync(target);
  const imports = WebAssembly.Module.imports(new WebAssembly.Module(bytes));
  if (imports.length > 0)
    throw new Error(`Expected no imports but found ${imports.map(({ name }) => name).join(', ')}`);
  if (check && !bytes.equals(readFileSync(committed)))
    throw new Error('src/core/stopline.wasm is not what the C sources build to: run npm run build:wasm');
  process.stdout.write(`${check ? 'up to date' : 'built'}: src/core/stopline.wasm, ${bytes.length} bytes\n`);
} finally {
  rmSync(temporary, { recursive: true });
}
