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
    // No measure of speed, and no test has a limit of its own: they end what hangs, on a loaded machine with one core, too.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 120_000 } },
  },
});
