import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Many tests start processes and threads of their own: more files at once than this only wait for each other.
    maxWorkers: 2,
    // Many processes are started from the sources, and half of the start of each would be compiling them.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'stopline-compile-cache') },
    // The linter cannot tell: it takes our own verb `fit` for a focused test.
    allowOnly: false,
    // Not a measure of speed: a loaded machine with one core must pass, too.
    testTimeout: 120_000,
    hookTimeout: 240_000,
  },
});
