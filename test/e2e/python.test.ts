import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fitReference, type Reference } from '../fixtures/reference.ts';

const hasPython = spawnSync('python3', ['--version']).status === 0;
if (!hasPython) process.stderr.write('skipped: a Profile opened by Python, python3 is not installed\n');

describe.skipIf(!hasPython)('a Profile', () => {
  let reference: Reference;
  beforeAll(async () => {
    reference = await fitReference();
  });
  afterAll(() => reference.remove());

  it("is read by Python's standard library as a safetensors file", () => {
    const example = join(import.meta.dirname, '../../examples/python/read_profile.py');
    const lines = execFileSync('python3', [example, reference.profilePath], { encoding: 'utf8' }).trimEnd().split('\n');
    const bytes = readFileSync(reference.profilePath);
    const { __metadata__: metadata, ...tensors } = JSON.parse(
      bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE())),
    ) as Record<string, { dtype: string; shape: number[] }>;
    expect(Object.keys(tensors).length).toBeGreaterThan(3);
    expect(lines).toEqual([
      ...Object.keys(metadata).map((key) => `metadata ${key}`),
      ...Object.entries(tensors).map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape.join(', ')}]`),
    ]);
  });
});
