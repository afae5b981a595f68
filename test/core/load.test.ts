import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { loadCore } from '../../src/core/index.ts';
import { layoutText, outSize } from '../../src/core/layout.ts';
import { everyCore } from '../fixtures/frames.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const native = everyCore().length > 1;
const clang = spawnSync('clang-16', ['--version']).status === 0;
if (!clang) console.warn('the WebAssembly rebuild is not checked: clang-16 is not installed');

describe('loadCore', () => {
  it('says which build runs and, for WebAssembly, why', () => {
    expect(loadCore('wasm').info).toEqual({
      build: 'wasm',
      simd: 'simd128',
      reason: 'the WebAssembly core was asked for',
    });
    const { info } = loadCore();
    if (native) expect(info).toEqual({ build: 'native', simd: expect.stringMatching(/^(avx512|avx2|baseline)$/) });
    else expect(info).toMatchObject({ build: 'wasm', reason: expect.stringContaining('stopline.node') });
  });

  it('loads in a worker thread, each with memory of its own', async () => {
    const code = `import { parentPort } from 'node:worker_threads';
      const { loadCore } = await import(${JSON.stringify(new URL('../../src/core/index.ts', import.meta.url).href)});
      const core = loadCore();
      parentPort.postMessage([core.info.build, ...core.measure(new Uint8Array(12).fill(9), 2, 2, 3).slice(0, 3)]);`;
    const answers = await Promise.all(
      [1, 2].map(
        () =>
          new Promise((resolve, reject) => {
            const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
            worker.once('message', resolve).once('error', reject);
          }),
      ),
    );
    expect(answers).toEqual(Array(2).fill([loadCore().info.build, 4, 2, 2]));
  });
});

describe('layout.ts and core.h', () => {
  it('hold the same fields in the same order', () => {
    const header = readFileSync(`${root}src/core/core.h`, 'utf8');
    const fields = [...header.matchAll(/^ {2}X\((\w+), (\d+)\)/gm)].map(([, name, size]) => `${name}:${size}`);
    expect(fields.join(',')).toBe(layoutText);
  });
});

for (const core of everyCore())
  describe(`measure, ${core.info.build} ${core.info.simd}`, () => {
    it('returns one number for each place of the layout', () => {
      expect(core.measure(new Uint8Array(3), 1, 1, 3)).toHaveLength(outSize);
    });

    it.each([
      [new Uint8Array(11), 2, 2, 3, /2 \* 2 \* 3 = 12 bytes for data but received 11/],
      [new Uint8Array(13), 2, 2, 3, /12 bytes for data but received 13/],
      [new Uint8Array(8), 2, 2, 2, /1, 3 or 4 for channels but received 2/],
      [new Uint8Array(0), 0, 2, 3, /width but received 0/],
      [new Uint8Array(3), 1, -1, 3, /height but received -1/],
      [new Uint8Array(3), 0.5, 2, 3, /width but received 0.5/],
      [new Uint8Array(3), Number.NaN, 1, 3, /width but received NaN/],
      [[1, 2, 3] as unknown as Uint8Array, 1, 1, 3, /Uint8Array for data but received object/],
    ])('refuses a frame that does not fit (%#)', (data, width, height, channels, message) => {
      expect(() => core.measure(data, width, height, channels)).toThrow(
        expect.objectContaining({ code: 'STOPLINE_ERR_FRAME_INVALID', message: expect.stringMatching(message) }),
      );
    });

    it('ignores alpha', () => {
      const rgb = Uint8Array.from({ length: 300 }, (_, i) => (i * 37) & 255);
      const rgba = Uint8Array.from({ length: 400 }, (_, i) => (i % 4 === 3 ? i : rgb[Math.floor(i / 4) * 3 + (i % 4)]));
      const expected = core.measure(rgb, 10, 10, 3).slice();
      expect(core.measure(rgba, 10, 10, 4)).toEqual(expected);
    });

    it('reads a view that starts anywhere in its buffer', () => {
      const buffer = new Uint8Array(1000).map((_, i) => (i * i) & 255);
      const expected = core.measure(buffer.slice(7, 7 + 675), 15, 15, 3).slice();
      expect(core.measure(buffer.subarray(7, 7 + 675), 15, 15, 3)).toEqual(expected);
    });
  });

it.skipIf(!native)('the addon itself refuses wrong lengths and types, whoever calls it', () => {
  const addon = JSON.stringify(`${root}prebuilds/${process.platform}-${process.arch}/stopline.node`);
  const code = `const { variants: [v] } = require(${addon});
    const out = new Float64Array(v.outSize);
    const calls = [
      [], [new Uint8Array(3), 1, 1, 3], [new Uint8Array(2), 1, 1, 3, out], [new Uint8Array(3), 1, 1, 3, out.subarray(1)],
      [new Uint16Array(3), 1, 1, 3, out], [new Uint8Array(0), 0, 0, 3, out], [new Uint8Array(2), 1, 1, 2, out],
      [new Uint8Array(5), 1, 1, 5, out], [new Uint8Array(3), '1', 1, 3, out], [new Uint8Array(3), 1, 1, 3, null],
    ];
    console.log(calls.filter((call) => { try { v.measure(...call); } catch (e) { return e instanceof TypeError; } }).length);`;
  expect(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' }).trim()).toBe('10');
});

it.skipIf(!clang)('stopline.wasm is what the C sources build to', () => {
  const run = spawnSync(process.execPath, [`${root}scripts/wasm.ts`, '--check'], { encoding: 'utf8' });
  expect(run.stderr + run.stdout).toContain('up to date');
});
