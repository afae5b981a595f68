import { execFileSync, spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findInstructionSets, kernels } from '../../scripts/fuzz/core.ts';
import { mutatedImage } from '../../scripts/fuzz/mutate.ts';
import { openCache } from '../fixtures/cache.ts';
import { picture } from '../fixtures/images.ts';
import { randomJpeg } from '../fixtures/jpeg.ts';

const core = fileURLToPath(new URL('../../src/core/', import.meta.url));
const driver = fileURLToPath(new URL('./driver.c', import.meta.url));
/** What decides what is compiled, but for the compiler. */
const sources = ['src/core', 'scripts/fuzz/core.ts', 'test/core/driver.c', 'test/core/sanitize.test.ts'];

const compiler = spawnSync('gcc', ['--version'], { encoding: 'utf8' });
const gcc = compiler.status === 0;
if (!gcc) console.warn('the sanitizers are skipped: gcc is not installed');

const folder = mkdtempSync(join(tmpdir(), 'stopline-driver-'));
const jpegs = join(folder, 'jpegs');
beforeAll(async () => writeFileSync(jpegs, await writeJpegs()));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!gcc)('the kernels under address and undefined-behaviour sanitizers', () => {
  it.each(findInstructionSets())(
    '$name: frames of many sizes and JPEGs, whole and mutated, memory of exactly the size asked for',
    ({ name, flags }) => {
      const program = join(openCache('sanitizers', sources), `${name}-${hash('sha1', compiler.stdout).slice(0, 8)}`);
      if (!existsSync(program)) compile(program, flags);
      const run = spawnSync(program, [jpegs], { encoding: 'utf8' });
      expect(run.stderr).toBe('');
      expect(run.status).toBe(0);
      expect(run.stdout).toMatch(/^\d{4} frames, [3-9]\d JPEGs\n$/);
    },
  );
});

/** JPEGs as the driver takes them: each behind its size, width and height. */
async function writeJpegs(): Promise<Buffer> {
  const tables = await picture(16, 16).jpeg({ optimiseCoding: false }).toBuffer();
  const parts: Buffer[] = [];
  for (const [luma, colours] of [
    [[1, 1], []],
    [
      [1, 1],
      [
        [1, 1],
        [1, 1],
      ],
    ],
    [
      [2, 1],
      [
        [1, 1],
        [1, 1],
      ],
    ],
    [
      [2, 2],
      [
        [1, 1],
        [1, 1],
      ],
    ],
  ] as const) {
    for (const [i, width] of [8, 9, 16, 31, 64, 65, 129, 200].entries()) {
      const height = 1 + 9 * i;
      const whole = randomJpeg(tables, { width, height, factors: [luma, ...colours], seed: i, every: i % 3 });
      const mutated = Array.from({ length: 10 }, (_, k) => mutatedImage([whole], 3, k));
      for (const bytes of [whole, ...mutated])
        parts.push(Buffer.from(Uint32Array.of(bytes.length, width, height).buffer), bytes);
    }
  }
  return Buffer.concat(parts);
}

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
