import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fuzzCore } from '../../../scripts/fuzz/core.ts';
import { fuzzImages, fuzzProfile } from '../../../scripts/fuzz/images.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-fuzz-'));
let profile: string;
beforeAll(async () => {
  profile = await fuzzProfile(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

// The seeds stay the same, so that a failure can be repeated; `npm run fuzz` takes others and goes on for longer.
describe('mutated images', () => {
  it('each get one verdict or one coded refusal', async () => {
    const { files, faults, outcomes } = await fuzzImages({ files: 20_000, seed: 1, profile });
    expect(faults).toEqual([]);
    expect(files).toBe(20_000);
    // Otherwise the mutations are so wild that no decoder sees them.
    expect(outcomes.STOPLINE_ERR_IMAGE_CORRUPT).toBeGreaterThan(1000);
    expect(Object.keys(outcomes).some((kind) => /^(pass|warn|block)$/.test(kind))).toBe(true);
  });

  it('get the same over HTTP, on the command line and at a gate', async () => {
    const { faults } = await fuzzImages({ files: 300, seed: 2, profile, ways: ['http', 'cli', 'gate'] });
    expect(faults).toEqual([]);
  });
});

describe('the kernels', () => {
  it('stand any frame and any plan under libFuzzer and its sanitizers', (test) => {
    const result = fuzzCore({ seconds: 5, seed: 1 });
    if (!result) return test.skip('clang-16 with libFuzzer is not installed');
    expect(result.status, result.log.slice(-2000)).toBe(0);
    expect(result.runs).toBeGreaterThan(100);
  });
});
