/**
 * Builds what is published: `dist` from `src`, the files that are not TypeScript, and the native cores that the compilers at hand
 * can make. `npm run release` goes on with all of them alone.
 *
 * The code is bundled, so that a command reads a few dozen files instead of hundreds; what a command does not use lies in files
 * that it does not read. Packages stay outside, where `npm audit` sees them. Declarations stand beside, one for each source.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, globSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Plugin, rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'src');

/** What is started or imported by its path: the program, the library, and every thread and process. */
function listEntries(): Record<string, string> {
  const entries = ['index', 'fastify', 'express', 'frame', 'hono', 'koa', 'node', 'cli/main', 'run/worker'];
  const started = globSync('**/*.entry.ts', { cwd: source }).map((path) => path.replace(/\.ts$/, ''));
  return Object.fromEntries([...entries, ...started].map((name) => [name, join(source, `${name}.ts`)]));
}

/**
 * Modules find their files, and the threads that they start, beside themselves by `import.meta.url`. In a bundle they lie
 * elsewhere, and go on saying where they would be.
 */
function keepOwnUrls(): Plugin {
  return {
    name: 'own-urls',
    transform(code, id) {
      if (!id.startsWith(source) || !code.includes('import.meta.url')) return null;
      const own = relative(source, id).replace(/\.ts$/, '.js');
      return code.replaceAll('import.meta.url', `OWN_URL(${JSON.stringify(own)})`);
    },
    renderChunk(code, { fileName }) {
      return code.replace(/OWN_URL\("([^"]+)"\)/g, (_, own: string) => {
        const path = relative(dirname(fileName), own);
        return `new URL(${JSON.stringify(path.startsWith('.') ? path : `./${path}`)}, import.meta.url).href`;
      });
    },
  };
}

async function bundle(): Promise<void> {
  const build = await rolldown({
    input: listEntries(),
    cwd: root,
    platform: 'node',
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
    plugins: [keepOwnUrls()],
  });
  await build.write({
    dir: join(root, 'dist'),
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
  });
}

rmSync(`${root}/dist`, { recursive: true, force: true });
execFileSync('tsc', ['--project', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
await bundle();
cpSync(`${root}/src/core/stopline.wasm`, `${root}/dist/core/stopline.wasm`);
cpSync(`${root}/src/cli/bin.js`, `${root}/dist/cli/bin.js`);
cpSync(`${root}/src/server/dashboard`, `${root}/dist/server/dashboard`, { recursive: true });
cpSync(`${root}/src/report/design`, `${root}/dist/report/design`, { recursive: true });
spawnSync(process.execPath, [`${root}/scripts/native.ts`, '--all'], { stdio: ['ignore', 'inherit', 'inherit'] });
