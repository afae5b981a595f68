// Runs after `npm ci` in a checkout. Where npm runs on a Node that is too old for the scripts, it brings the one they need and says
// so: the binary alone, from the registry that npm itself uses. Plain JavaScript: every Node reads it.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const { version, integrity } = JSON.parse(readFileSync(new URL('./node.json', import.meta.url), 'utf8'));
const npmRunsOn = /node\/v(\d+\.\d+\.\d+)/.exec(process.env.npm_config_user_agent || '')?.[1] || process.versions.node;
const platform = `${process.platform}-${process.arch}`;
/** npm puts this folder before the system's own programs for every script. */
const commands = fileURLToPath(new URL('../node_modules/.bin/', import.meta.url));

if (Number.parseInt(npmRunsOn, 10) < Number.parseInt(version, 10)) {
  try {
    if (installedVersion() !== version) installNode();
  } catch (error) {
    console.error(
      `npm runs on Node ${npmRunsOn}, which is too old for the scripts of Stopline, and Node ${version} could not be brought: ` +
        `${error instanceof Error ? error.message.trim() : error} Install Node ${version} or later, then run npm ci again.`,
    );
    process.exit(1);
  }
  console.error(
    `npm runs on Node ${npmRunsOn}, which is too old for the scripts of Stopline: they run on the Node ${version} that was installed with it.`,
  );
}

function installedVersion() {
  try {
    return execFileSync(join(commands, 'node'), ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

function installNode() {
  const expected = integrity[platform];
  if (!expected) throw new Error(`there is none for ${platform}.`);
  const folder = mkdtempSync(join(tmpdir(), 'stopline-node-'));
  try {
    const args = ['pack', `node-${platform}@${version}`, '--silent', '--pack-destination', folder];
    const name = execFileSync('npm', args, { encoding: 'utf8', cwd: folder }).trim();
    const archive = join(folder, name);
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (found !== expected) throw new Error(`expected ${expected} but received ${found}.`);
    execFileSync('tar', ['-xzf', archive, '-C', folder, 'package/bin/node']);
    mkdirSync(commands, { recursive: true });
    copyFileSync(join(folder, 'package/bin/node'), join(commands, 'node'));
    chmodSync(join(commands, 'node'), 0o755);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
