import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { sortTests } from './test/fixtures/projects.ts';
import { LongestFirst } from './test/fixtures/sequencer.ts';
import { SlowestFiles } from './test/fixtures/slowest.ts';

const { unit, alone } = sortTests();
/** What a file imports is loaded once a process, and files after the first find it there. */
const shared = { isolate: false, setupFiles: ['test/fixtures/unchanged.ts'] };

export default defineConfig({
  test: {
    // They run in the order of their names, after the longest files of all: at the end come those that are short.
    projects: [
      { extends: true, test: { name: 'alone', include: alone } },
      {
        extends: true,
        test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: [...unit, ...alone], ...shared },
      },
      { extends: true, test: { name: 'unit', include: unit, ...shared } },
    ],
    globalSetup: 'test/fixtures/caches.ts',
    pool: 'forks',
    // Two cores are busy with four files: brokers, browsers and processes of their own are what some of them wait for.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new SlowestFiles()],
    // Many processes are started from the sources, and half of the start of each would be compiling them.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'stopline-compile-cache') },
    // The linter cannot tell: it takes our own verb `fit` for a focused test.
    allowOnly: false,
    // No measure of speed, and no test has a limit of its own: they end what hangs, on a loaded machine with one core, too.
    testTimeout: 1_800_000,
    hookTimeout: 1_800_000,
    expect: { poll: { timeout: 120_000 } },
  },
});
