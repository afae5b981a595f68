// Builds src/core/stopline.wasm, which is committed: a clone then needs nothing but Node.
//   node scripts/wasm.ts           build
//   node scripts/wasm.ts --check   build elsewhere and prove that the committed file is the same, byte for byte
// clang-16 and wasm-ld-16 are pinned: other versions emit other bytes.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../src/core/', import.meta.url));
const committed = join(folder, 'stopline.wasm');
const check = process.argv.includes('--check');
const temporary = mkdtempSync(join(tmpdir(), 'stopline-wasm-'));
const target = check ? join(temporary, 'stopline.wasm') : committed;

// The kernels of binding.gyp stand one per line; addon.c is not one of them.
const gyp = readFileSync(join(folder, 'binding.gyp'), 'utf8');
const sources = [...gyp.matchAll(/^ +'(\w+\.c)',$/gm)].map(([, name]) => name);
const compile = [
  '--target=wasm32',
  '-std=c11',
  '-O3',
  '-nostdlib',
  '-ffreestanding',
  '-fno-builtin',
  '-ffp-contract=off',
  '-fno-math-errno',
  '-fvisibility=hidden',
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
  const objects = sources.map((source) => {
    const object = join(temporary, source.replace(/\.c$/, '.o'));
    execFileSync('clang-16', [...compile, '-c', source, '-o', object], { cwd: folder, stdio: 'inherit' });
    return object;
  });
  execFileSync('wasm-ld-16', [...link, ...objects, '-o', target], { cwd: folder, stdio: 'inherit' });
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
