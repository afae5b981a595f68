import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { commandTable } from '../../src/cli/commands.ts';
import { settings } from '../../src/settings.ts';
import { main, readError, runHere, stopline } from '../fixtures/cli.ts';

describe('help', () => {
  it('lists every command under a heading, with the first things to type', async () => {
    const { code, stdout, stderr } = await stopline(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const { name, group } of commandTable) {
      expect(stdout).toMatch(new RegExp(`^${group}\\n(  .*\\n)*  ${name} `, 'm'));
    }
    expect(stdout).toContain('stopline -- demo');
    expect(stdout.split('\n').length).toBeLessThan(60);
  });

  it.each(commandTable)('explains $name shortly, with an example that can be typed', async ({ name, common }) => {
    const { code, stdout, stderr } = await runHere([name, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Usage: stopline ${name}`);
    expect(stdout).toMatch(new RegExp(`Examples:\n  npm run -s stopline -- ${name}`));
    const options = stdout.match(/^ {2}(-\w, )?--[a-z-]+/gm) ?? [];
    expect(options.length).toBeLessThan(20);
    const whole = await runHere([name, '--help-all']);
    const all = whole.stdout.match(/^ {2}(-\w, )?--[a-z-]+/gm) ?? [];
    expect(all).toEqual(expect.arrayContaining(options));
    if (all.length > options.length) expect(stdout).toContain(`${all.length - options.length} more options: `);
    else expect(stdout).not.toContain('more options');
    // A short list names only what is there.
    for (const option of common ?? []) expect(whole.stdout).toMatch(new RegExp(`^ {2}(-\\w, )?${option}\\b`, 'm'));
    expect(await runHere(['help', name])).toMatchObject({ code: 0, stdout });
  });

  it.each(commandTable)('lets $name, and each part of it, print JSON', async ({ load }) => {
    const command = await load();
    const parts = command.commands.length > 0 ? command.commands : [command];
    for (const part of parts)
      expect(
        part.options.map(({ long }) => long),
        part.name(),
      ).toContain('--json');
  });

  it.each(commandTable)('prints what is wrong with the words behind $name as JSON, too', async ({ name }) => {
    const { stdout, code } = await runHere([name, '--jsno', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe('STOPLINE_ERR_OPTION_INVALID');
  });

  it('offers every setting as an option of serve, by concern', async () => {
    const { stdout } = await runHere(['serve', '--help-all']);
    for (const { flag, group } of settings) {
      expect(stdout).toMatch(new RegExp(`^${group.title}:\\n(  .*\\n)*  ${flag}( |$)`, 'm'));
    }
  });

  it('prints everything at once', async () => {
    const { code, stdout } = await runHere(['--help-all']);
    expect(code).toBe(0);
    for (const { name } of commandTable) expect(stdout).toMatch(new RegExp(`^Usage: stopline ${name} `, 'm'));
    for (const { flag } of settings) expect(stdout).toMatch(new RegExp(`^  ${flag}( |$)`, 'm'));
  });

  it('prints help on standard error and exits with 2 when no command is given', async () => {
    const { code, stdout, stderr } = await stopline([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: stopline');
  });

  it('prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await stopline(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect(await stopline(['-V'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('usage errors exit with 2, name what is wrong, and say where help is', () => {
  it.each([
    ['an unknown command', ['inspekt', 'a.jpg'], /unknown command 'inspekt' \(Did you mean inspect\?\)/],
    [
      'an unknown option',
      ['inspect', 'a.jpg', '--profil', 'x'],
      /unknown option '--profil' \(Did you mean --profile\?\)/,
    ],
    ['a missing argument', ['inspect', '--profile', 'x'], /missing required argument 'images'.*help inspect/],
    ['too many arguments', ['report', 'a', 'b', '--profile', 'x'], /too many arguments/],
    ['a missing --out', ['fit', '.'], /'-o, --out <FILE>' not specified.*help fit/],
    ['a missing --profile', ['inspect', 'a.jpg'], /Expected --profile FILE/],
    ['a value that is no number', ['fit', '.', '--out', 'x', '--seed', 'abc'], /'abc' is invalid.*Expected a number/],
    ['a format that does not exist', ['score', '.', '--profile', 'x', '--out', 'y', '--format', 'xml'], /jsonl, csv/],
    ['a setting out of range', ['score', '.', '--profile', 'x', '--out', 'y', '--threads', '0'], /--threads.*from 1/],
    [
      '--json beside rows on standard output',
      ['score', '.', '--profile', 'x', '--out', '-', '--json'],
      /file for --out/,
    ],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await runHere(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^stopline: STOPLINE_ERR_OPTION_INVALID: /);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    if (!args.includes('--json')) expect(stdout).toBe('');
  });

  it('also as JSON', async () => {
    const run = await runHere(['fit', '.', '--json']);
    expect(run.code).toBe(2);
    expect(readError(run)).toEqual({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining('--out <FILE>'),
    });
  });

  it('says so when standard output cannot be written', async (test) => {
    const full = await open('/dev/full', 'w').catch(() => undefined);
    if (!full) return test.skip('this system has no /dev/full');
    const child = spawn(process.execPath, [main, '--version'], { stdio: ['ignore', full.fd, 'pipe'] });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    await full.close();
    expect(stderr).toMatch(/^stopline: STOPLINE_ERR_OUTPUT_UNWRITABLE: .*ENOSPC/);
    expect(code).toBe(73);
  });

  it('names a setting in the environment that does not exist', async () => {
    const { code, stderr } = await runHere(['inspect', 'a.jpg', '--profile', 'x'], { env: { STOPLINE_PROFLE: 'x' } });
    expect(code).toBe(2);
    expect(stderr).toContain('STOPLINE_PROFLE');
  });
});
