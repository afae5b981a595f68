import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Many tests start processes and threads of their own: more files at once than this only wait for each other.
    maxWorkers: 2,
    // The linter cannot tell: it takes our own verb `fit` for a focused test.
    allowOnly: false,
    // Not a measure of speed: a loaded machine with one core must pass, too.
    testTimeout: 120_000,
    hookTimeout: 240_000,
  },
});
