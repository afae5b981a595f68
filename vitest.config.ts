import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { SlowestFiles } from './test/fixtures/slowest.ts';
import { findUnitTests } from './test/fixtures/unit.ts';

const unit = findUnitTests();

export default defineConfig({
  test: {
    projects: [
      // They change nothing that others see, so that what all of them import is loaded once a process.
      { extends: true, test: { name: 'unit', include: unit, isolate: false } },
      { extends: true, test: { name: 'whole', include: ['test/**/*.test.ts'], exclude: unit } },
    ],
    pool: 'forks',
    // Two cores are busy with three files: one of them often waits for a process or a browser of its own.
    maxWorkers: 3,
    reporters: ['default', new SlowestFiles()],
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
