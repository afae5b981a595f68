import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { findInstructionSets, kernels } from '../../scripts/fuzz/core.ts';

const core = fileURLToPath(new URL('../../src/core/', import.meta.url));
const driver = fileURLToPath(new URL('./driver.c', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'stopline-sanitize-'));
afterAll(() => rmSync(folder, { recursive: true }));

const gcc = spawnSync('gcc', ['--version']).status === 0;
if (!gcc) console.warn('the sanitizers are skipped: gcc is not installed');
describe.skipIf(!gcc)('the kernels under address and undefined-behaviour sanitizers', () => {
  it.each(findInstructionSets())(
    '$name: frames of many sizes, memory of exactly the size asked for',
    ({ name, flags }) => {
      const program = join(folder, name);
      execFileSync('gcc', [
        '-std=c11',
        // Compiling is most of what this costs: more is optimised, or told of lines, for nothing.
        '-Og',
        '-g1',
        '-ffp-contract=off',
        '-fno-math-errno',
        '-fsanitize=address,undefined',
        '-fno-sanitize-recover=all',
        ...flags,
        `-I${core}`,
        ...kernels,
        driver,
        '-o',
        program,
      ]);
      const run = spawnSync(program, { encoding: 'utf8' });
      expect(run.stderr).toBe('');
      expect(run.status).toBe(0);
      expect(run.stdout).toMatch(/^\d{4} frames\n$/);
    },
  );
});
