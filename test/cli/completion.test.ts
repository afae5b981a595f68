import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandTable } from '../../src/cli/commands.ts';
import { writeCompletion } from '../../src/cli/completion.ts';
import { runHere, temporaryFolder } from '../fixtures/cli.ts';

const folder = temporaryFolder();
const isThere = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0;

/**
 * Types its second argument in a shell of its own that has the functions of its first, a folder, and prints what is offered. The
 * prompt says when keys are taken.
 */
const zshCompletes = String.raw`
zmodload zsh/zpty || exit 1
zpty z "PS1= zsh -f -i"
zpty -w z 'fpath=('$1' $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=10000; bindkey "^T" list-choices; PROMPT=REA""DY'
zpty -r -m z line '*READY*'
zpty -w -n z "$2"$'\C-T'$'\C-U''echo EN""D'$'\n'
zpty -r -m z out '*END*'
print -r -- "$out"
`;

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
    expect(complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
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

  it.skipIf(!isThere('fish'))('completes commands, parts, options and values in fish', async () => {
    const file = join(folder, 'stopline.fish');
    writeFileSync(file, await writeCompletion('fish', commandTable));
    const complete = (line: string) => {
      const script = `source '${file}'; complete -C 'stopline ${line}'`;
      const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], {
        encoding: 'utf8',
        cwd: folder,
        env: { ...process.env, HOME: folder },
      });
      expect(stderr).toBe('');
      // Each line is a word and what it means.
      return stdout.split('\n').flatMap((found) => found.split('\t')[0] || []);
    };
    expect(complete('')).toEqual(expect.arrayContaining([...commandTable.map(({ name }) => name), 'help']));
    expect(complete('ins')).toEqual(['inspect']);
    expect(complete('profile si')).toEqual(['sign']);
    expect(complete('profile sign --k')).toEqual(['--key']);
    expect(complete('profile sign ')).not.toContain('verify');
    expect(complete('serve --quarantine-d')).toEqual(['--quarantine-days']);
    expect(complete('serve --mode ')).toEqual(['enforce', 'observe']);
    expect(complete('completion ')).toEqual(['bash', 'fish', 'zsh']);
    expect(complete('help ch')).toEqual(['check']);
    expect(complete('--vers')).toEqual(['--version']);
    expect(complete('inspect stopline.f')).toEqual(['stopline.fish']);
  });

  it.skipIf(!isThere('zsh'))('completes commands, parts, options and values in zsh', async () => {
    writeFileSync(join(folder, '_stopline'), await writeCompletion('zsh', commandTable));
    const complete = (line: string) => {
      const { stdout } = spawnSync('zsh', ['-f', '-c', zshCompletes, 'zsh', folder, `stopline ${line}`], {
        encoding: 'utf8',
        timeout: 60_000,
        cwd: folder,
        env: { ...process.env, TERM: 'dumb', COLUMNS: '200' },
      });
      return stdout;
    };
    const commands = complete('');
    for (const { name } of commandTable) expect(commands).toMatch(new RegExp(`^${name} +-- `, 'm'));
    expect(complete('profile ')).toMatch(/accept +keygen +sign +verify/);
    expect(complete('serve --mode ')).toMatch(/enforce +observe/);
    expect(complete('completion ')).toMatch(/bash +fish +zsh/);
    expect(complete('serve --quarantine-')).toMatch(/--quarantine-days +-- /);
    expect(complete('--')).toMatch(/--version/);
  });

  it('is printed by the command, which knows no other shell', async () => {
    const { code, stdout } = await runHere(['completion', 'fish']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: await writeCompletion('fish', commandTable) });
    expect((await runHere(['completion', 'csh'])).stderr).toMatch(/bash, zsh, fish/);
  });
});
