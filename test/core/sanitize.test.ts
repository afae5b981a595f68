import { execFileSync, spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findInstructionSets, kernels } from '../../scripts/fuzz/core.ts';
import { openCache } from '../fixtures/cache.ts';

const core = fileURLToPath(new URL('../../src/core/', import.meta.url));
const driver = fileURLToPath(new URL('./driver.c', import.meta.url));
/** What decides what is compiled, but for the compiler. */
const sources = ['src/core', 'scripts/fuzz/core.ts', 'test/core/driver.c', 'test/core/sanitize.test.ts'];

const compiler = spawnSync('gcc', ['--version'], { encoding: 'utf8' });
const gcc = compiler.status === 0;
if (!gcc) console.warn('the sanitizers are skipped: gcc is not installed');
describe.skipIf(!gcc)('the kernels under address and undefined-behaviour sanitizers', () => {
  it.each(findInstructionSets())(
    '$name: frames of many sizes, memory of exactly the size asked for',
    ({ name, flags }) => {
      const program = join(openCache('sanitizers', sources), `${name}-${hash('sha1', compiler.stdout).slice(0, 8)}`);
      if (!existsSync(program)) compile(program, flags);
      const run = spawnSync(program, { encoding: 'utf8' });
      expect(run.stderr).toBe('');
      expect(run.status).toBe(0);
      expect(run.stdout).toMatch(/^\d{4} frames\n$/);
    },
  );
});

/** Compiled once for a state of the sources: no file is seen before it is whole. */
function compile(program: string, flags: readonly string[]): void {
  const own = `${program}.${process.pid}`;
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
    own,
  ]);
  renameSync(own, program);
}
