import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Outcome, Stage } from './target.ts';

const packageName = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
const releases = ['22.12.0', '22.13.1', '20.19.0'];

/** A Node in which native packages crash: it is told what is wrong before any of them is loaded. */
export async function run(stage: Stage): Promise<Outcome> {
  const run = promisify(execFile);
  const args = ['score', join(stage.folder, 'reference'), '--profile', stage.profile, '--out'];
  const wrong: string[] = [];
  const { engines } = JSON.parse(readFileSync(join(stage.checkout, 'package.json'), 'utf8'));
  // Versions before `bin.js` ran on an old Node only when they were built.
  const mains = ['src/cli/bin.js', 'dist/cli/main.js', 'src/cli/main.ts'];
  const main = mains.map((name) => join(stage.checkout, name)).find(existsSync) as string;
  for (const release of releases) {
    const folder = join(stage.folder, `node-${release}`);
    // What the package `node` installs for this machine, without the script by which it does so.
    const install = ['install', '--prefix', folder, '--no-audit', '--no-fund', `${packageName}@${release}`];
    try {
      await run('npm', install);
    } catch {
      return { ok: true, isSkipped: true, figures: `Node ${release} cannot be fetched from the registry of npm` };
    }
    const node = join(folder, 'node_modules', packageName, 'bin/node');
    const code = await run(node, [main, ...args, join(folder, 'rows.jsonl')]).then(
      () => 'works',
      ({ code, signal, stderr }) => (/RUNTIME_UNSAFE/.test(stderr) ? 'told' : `ends with ${signal ?? code}`),
    );
    if (code !== 'told') wrong.push(`${release} ${code}`);
  }
  return {
    ok: wrong.length === 0,
    figures: `${wrong.length} of ${releases.length} releases of Node below ${engines.node} are not told so${wrong.length > 0 ? ` (${wrong.join('; ')})` : ''}`,
  };
}
