import { describe, expect, it } from 'vitest';
import { loadCore } from '../../src/core/index.ts';
import { runHere, stopline } from '../fixtures/cli.ts';

describe('stopline doctor', () => {
  it('finds a usable machine and says which core runs', async () => {
    const { code, stdout } = await stopline(['doctor']);
    expect(code).toBe(0);
    const { build, simd } = loadCore().info;
    expect(stdout).toMatch(new RegExp(`^core +${build}, ${simd}$`, 'm'));
    expect(stdout).toMatch(/^test core +ok: /m);
    expect(stdout).toMatch(/^test decode +ok: /m);
    expect(stdout).toContain('Stopline is usable here.');
    if (build === 'wasm') expect(stdout).toContain('npm run build:native');
  });

  it('prints the same as JSON', async () => {
    const { code, stdout } = await runHere(['doctor', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      usable: true,
      versions: { stopline: expect.any(String), node: process.versions.node, sharp: expect.any(String) },
      core: { build: expect.stringMatching(/^(native|wasm)$/) },
      checks: [
        { name: 'core', ok: true },
        { name: 'decode', ok: true },
        { name: 'loaders', ok: true },
        { name: 'versions', ok: true },
      ],
    });
  });

  it('warns of fewer decoding threads than workers and of the memory of glibc', async () => {
    const env = { STOPLINE_THREADS: '3', UV_THREADPOOL_SIZE: '2', MALLOC_ARENA_MAX: '2' };
    const { hints, threads, allocator } = JSON.parse((await runHere(['doctor', '--json'], { env })).stdout);
    expect(threads).toMatchObject({ workers: 3, decoding: 2 });
    expect(hints).toContainEqual(expect.stringContaining('UV_THREADPOOL_SIZE=3'));
    expect(hints.join()).not.toContain('MALLOC_ARENA_MAX');
    if (allocator.startsWith('glibc')) expect(allocator).toContain('MALLOC_ARENA_MAX=2');
  });
});
