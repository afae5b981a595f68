// Builds src/core/stopline.wasm, which is committed: a clone then needs nothing but Node.
//   node scripts/wasm.ts           build
//   node scripts/wasm.ts --check   build elsewhere and prove that the committed file is the same, byte for byte
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArguments } from './arguments.ts';
import { coreFolder } from './native/kernels.ts';
import { buildWasm } from './native/wasm.ts';

const committed = join(coreFolder, 'stopline.wasm');
const { values } = readArguments({
  command: 'npm run build:wasm --',
  about: 'Builds src/core/stopline.wasm. Needs clang-16 and wasm-ld-16.',
  options: { check: { default: false, says: 'build elsewhere and prove that the committed file is the same' } },
});
const { check } = values;
const temporary = mkdtempSync(join(tmpdir(), 'stopline-wasm-'));
const target = check ? join(temporary, 'stopline.wasm') : committed;

try {
  buildWasm(target);
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
