import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { settings } from '../../src/settings.ts';
import { main, readError, stopline } from '../fixtures/cli.ts';

const commands = [
  'fit',
  'inspect',
  'score',
  'serve',
  'doctor',
  'demo',
  'model',
  'corrupt',
  'report',
  'key',
  'check',
  'profile',
  'drift',
];

describe('help', () => {
  it('lists every command and the first things to type', async () => {
    const { code, stdout, stderr } = await stopline(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    expect(stdout).toContain('stopline -- demo');
  });

  it.each(commands)('explains %s with an example that can be typed', async (command) => {
    const { code, stdout, stderr } = await stopline([command, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Usage: stopline ${command}`);
    expect(stdout).toMatch(new RegExp(`Examples:\n  npm run -s stopline -- ${command}`));
  });

  it('offers every setting as an option of serve', async () => {
    const { stdout } = await stopline(['serve', '--help']);
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
    ['a missing argument', ['inspect', '--profile', 'x'], /missing required argument 'image'.*help inspect/],
    ['too many arguments', ['inspect', 'a', 'b', '--profile', 'x'], /too many arguments/],
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
    const { code, stdout, stderr } = await stopline(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^stopline: STOPLINE_ERR_OPTION_INVALID: /);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    if (!args.includes('--json')) expect(stdout).toBe('');
  });

  it('also as JSON', async () => {
    const run = await stopline(['fit', '.', '--json']);
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
    const { code, stderr } = await stopline(['inspect', 'a.jpg', '--profile', 'x'], { env: { STOPLINE_PROFLE: 'x' } });
    expect(code).toBe(2);
    expect(stderr).toContain('STOPLINE_PROFLE');
  });
});
