import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { describeUsage, parseArguments } from '../../scripts/arguments.ts';

const usage = {
  command: 'npm run fuzz --',
  about: 'Mutates images.',
  options: {
    files: { default: 20, says: 'images' },
    way: { default: '', says: 'how they are judged' },
    write: { default: false, says: 'keep them' },
  },
  names: { cameras: 'A flood of names.', soak: 'Requests, on and on.' },
} as const;
const parse = (...args: string[]) => parseArguments(usage, args);

describe('arguments of a script', () => {
  it('have the types of what they are without being given', () => {
    expect(parse('soak', '--files', '7', '--write')).toMatchObject({
      values: { files: 7, way: '', write: true },
      names: ['soak'],
    });
    expect(parse()).toMatchObject({ values: { files: 20, way: '', write: false }, names: [] });
  });

  it.each([
    [['--file', '7'], "Unknown option '--file'."],
    [['--files', 'many'], 'Expected --files as a number but received many.'],
    [['--files'], "Option '--files <value>' argument missing."],
    [['toString'], 'Expected one of cameras, soak but received toString.'],
  ])('%s are told in one line', (args, text) => {
    expect(parse(...args)).toBe(text);
  });

  it('that are none are refused where a script takes options alone', () => {
    const { names: _, ...alone } = usage;
    expect(parseArguments(alone, ['soak'])).toBe('Expected nothing but options but received soak.');
  });

  it('are described by --help', () => {
    expect(parse('--help', '--wrong'.slice(0, 2))).toBeUndefined();
    expect(describeUsage(usage)).toBe(`npm run fuzz -- [NAME...] [OPTIONS]

Mutates images.

Names:
  cameras  A flood of names.
  soak     Requests, on and on.

Options:
  --files N   images (20)
  --way TEXT  how they are judged
  --write     keep them`);
  });
});

describe('npm run faults', () => {
  const program = fileURLToPath(new URL('../../scripts/faults.ts', import.meta.url));

  it('lists its faults with a sentence each, and knows no other', () => {
    const help = execFileSync(process.execPath, [program, '--help'], { encoding: 'utf8' });
    expect(help).toMatch(/^ {2}soak {2,}\w.*\.$/m);
    const { status, stderr } = spawnSync(process.execPath, [program, 'nothing'], { encoding: 'utf8' });
    expect(status).toBe(2);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
