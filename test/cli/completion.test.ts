import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandTable } from '../../src/cli/commands.ts';
import { writeCompletion } from '../../src/cli/completion.ts';
import { runHere, temporaryFolder } from '../fixtures/cli.ts';

const folder = temporaryFolder();
const isThere = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0;

describe('stopline completion', () => {
  it.skipIf(!isThere('bash'))('completes commands, parts, options and values in bash', async () => {
    const file = join(folder, 'stopline.bash');
    writeFileSync(file, await writeCompletion('bash', commandTable));
    const complete = (...words: string[]) => {
      const quoted = words.map((word) => `'${word}'`).join(' ');
      const script = `source '${file}'; cd '${folder}'; COMP_WORDS=(stopline ${quoted}); COMP_CWORD=${words.length}; _stopline; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
      expect(stderr).toBe('');
      return stdout.split('\n').filter(Boolean);
    };
    expect(complete('')).toEqual(expect.arrayContaining(commandTable.map(({ name }) => name)));
    expect(complete('ins')).toEqual(['inspect']);
    expect(complete('profile', 'si')).toEqual(['sign']);
    expect(complete('profile', 'sign', '--k')).toEqual(['--key']);
    expect(complete('serve', '--quarantine-d')).toEqual(['--quarantine-days']);
    expect(complete('serve', '--mode', '')).toEqual(['observe', 'enforce']);
    expect(complete('score', '--format', 'p')).toEqual(['parquet']);
    expect(complete('help', 'ch')).toEqual(['check']);
    // Anything else is a file.
    expect(complete('inspect', 'stop')).toEqual(['stopline.bash']);
  });

  it.each(['zsh', 'fish'] as const)('writes a script that %s reads, where it is installed', async (shell) => {
    const text = await writeCompletion(shell, commandTable);
    for (const { name } of commandTable) expect(text).toContain(name);
    for (const option of ['help-all', 'quarantine-days', 'simulations']) expect(text).toContain(option);
    // An odd number of quotes would swallow the rest of the script.
    for (const line of text.split('\n'))
      expect(line.replaceAll("'\\''", '').match(/(?<!\\)'/g)?.length ?? 0, line).toSatisfy((n: number) => n % 2 === 0);
    if (!isThere(shell)) return;
    writeFileSync(join(folder, shell), text);
    expect(spawnSync(shell, ['-n', join(folder, shell)], { encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });

  it('is printed by the command, which knows no other shell', async () => {
    const { code, stdout } = await runHere(['completion', 'fish']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: await writeCompletion('fish', commandTable) });
    expect((await runHere(['completion', 'csh'])).stderr).toMatch(/bash, zsh, fish/);
  });
});
