import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findInstructionSets, fuzzCore } from '../../../scripts/fuzz/core.ts';
import { fuzzImages, fuzzProfile } from '../../../scripts/fuzz/images.ts';
import { listInstructionSets } from '../../../scripts/native/kernels.ts';
import { picture } from '../../fixtures/images.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-fuzz-'));
let profile: string;
beforeAll(async () => {
  profile = await fuzzProfile(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

// The seeds stay the same, so that a failure can be repeated. `.ci/run` goes on to 20,000; `npm run fuzz` takes other seeds.
describe('mutated images', () => {
  it('each get one verdict or one coded refusal', async () => {
    const { files, faults, outcomes, read } = await fuzzImages({ files: 2000, seed: 1, profile });
    expect(faults).toEqual([]);
    expect(files).toBe(2000);
    // Otherwise the mutations are so wild that no decoder sees them.
    expect(read).toBeGreaterThan(50);
    expect(outcomes.STOPLINE_ERR_IMAGE_CORRUPT).toBeGreaterThan(200);
    expect(Object.keys(outcomes).some((kind) => /^(pass|warn|block)$/.test(kind))).toBe(true);
  });

  it('get the same over HTTP, on the command line and at a gate', async () => {
    const { faults } = await fuzzImages({ files: 300, seed: 2, profile, ways: ['http', 'cli', 'gate'] });
    expect(faults).toEqual([]);
  });
});

describe('the kernels', () => {
  it('are fuzzed in every instruction set that the native build has', () => {
    expect(listInstructionSets('x64').map(({ name, flags }) => [name, flags.length > 0])).toEqual([
      ['baseline', false],
      ['avx2', true],
      ['avx512', true],
    ]);
  });

  // The widest here; `npm run fuzz:core` goes through all of them, and `sanitize.test.ts`, too.
  it.each(findInstructionSets().slice(-1))(
    '$name: stand any frame, any plan and any JPEG under libFuzzer and its sanitizers',
    async (simd) => {
      const seeds = [await picture(40, 32).jpeg({ quality: 80 }).toBuffer()];
      const result = fuzzCore({ seconds: 2, seed: 1, simd, seeds });
      if (!result) return console.warn('skipped: clang-16 with libFuzzer is not installed');
      expect(result.status, result.log.slice(-2000)).toBe(0);
      expect(result.runs).toBeGreaterThan(100);
    },
  );
});
