import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { commandTable } from '../../src/cli/commands.ts';

const bin = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));
const { engines, version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

/** Runs the entry on this Node, which is told that it is another. */
function runAs(node: string, args: readonly string[]) {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${node}' } })`;
  const hook = `data:text/javascript,${encodeURIComponent(pretend)}`;
  return spawnSync(process.execPath, ['--import', hook, bin, ...args], { encoding: 'utf8' });
}

describe('the entry of the command line', () => {
  it.each(['18.20.8', '20.20.2', '22.12.0', '22.13.1', '23.5.0'])(
    'says in one line that Node %s is too old',
    (node) => {
      const { status, stdout, stderr } = runAs(node, ['doctor']);
      expect([status, stdout]).toEqual([78, '']);
      expect(stderr).toMatch(
        new RegExp(
          `^stopline: STOPLINE_ERR_RUNTIME_UNSAFE: Expected Node 22\\.14 or later but this is Node ${node} at .*stopline -- doctor\\n$`,
        ),
      );
      expect(stderr.trim().split('\n')).toHaveLength(1);
    },
  );

  it.each(['22.14.0', '22.21.0', '23.6.0', '24.0.0', '26.1.0'])('starts on Node %s', (node) => {
    expect(runAs(node, ['--version'])).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('promises the same versions as package.json', () => {
    expect(engines.node).toBe('^22.14 || >=23.6');
  });

  // A Node that reads no TypeScript and lacks what Stopline imports, where the system has one.
  const system = '/usr/bin/node';
  const found = existsSync(system) ? spawnSync(system, ['--version'], { encoding: 'utf8' }).stdout.trim() : '';
  const isOld = /^v(1\d|2[01])\./.test(found);
  it.skipIf(!isOld)(`says so for every command on the Node of this system (${found || 'none'})`, () => {
    for (const { name } of commandTable) {
      const { status, stdout, stderr } = spawnSync(system, [bin, name, '--json'], { encoding: 'utf8' });
      expect(status, name).toBe(78);
      expect(stderr.trim().split('\n'), name).toHaveLength(1);
      expect(JSON.parse(stdout).error.code).toBe('STOPLINE_ERR_RUNTIME_UNSAFE');
    }
  });
});
