/**
 * Builds what is published: `dist` from `src` with tsc, plus the files that are not TypeScript, and the native cores that the
 * compilers at hand can make. `npm run release` goes on with all of them alone.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(`${root}/dist`, { recursive: true, force: true });
execFileSync('tsc', ['--project', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
cpSync(`${root}/src/core/stopline.wasm`, `${root}/dist/core/stopline.wasm`);
cpSync(`${root}/src/cli/bin.js`, `${root}/dist/cli/bin.js`);
cpSync(`${root}/src/server/dashboard`, `${root}/dist/server/dashboard`, { recursive: true });
cpSync(`${root}/src/report/design`, `${root}/dist/report/design`, { recursive: true });
spawnSync(process.execPath, [`${root}/scripts/native.ts`, '--all'], { stdio: ['ignore', 'inherit', 'inherit'] });
