import { describe, expect, it } from 'vitest';
import { at, type Field, slice } from '../../src/core/layout.ts';
import { anyFrame, everyCore, grey } from '../fixtures/frames.ts';

const [wasm, ...native] = everyCore();
if (native.length === 0) console.warn('parity is skipped: there is no native build, run npm run build:native');

const sizes: [number, number][] = [
  [1, 1],
  [1, 37],
  [37, 1],
  [2, 2],
  [3, 3],
  [2, 41],
  [8, 8],
  [9, 10],
  [15, 17],
  [31, 64],
  [33, 7],
  [63, 65],
  [64, 64],
  [67, 51],
  [127, 129],
  [258, 66],
  [1025, 19],
  [1091, 35],
  [2051, 11],
];

describe.skipIf(native.length === 0)('the native and the WebAssembly build agree bit for bit', () => {
  for (const core of native)
    for (const channels of [1, 3, 4] as const)
      it(`${core.info.simd}, ${channels} channels, ${sizes.length} odd sizes, four kinds of frame`, () => {
        const differences: string[] = [];
        sizes.forEach(([width, height], index) => {
          for (let seed = 4 * index; seed < 4 * index + 4; seed++) {
            const data = anyFrame(width, height, channels, seed);
            const expected = wasm.measure(data, width, height, channels);
            const received = core.measure(data, width, height, channels);
            for (const field of Object.keys(at) as Field[]) {
              const [want, got] = [slice(expected, field), slice(received, field)];
              const where = want.findIndex((value, i) => !Object.is(value, got[i]));
              if (where >= 0)
                differences.push(`${width}x${height} seed ${seed} ${field}[${where}]: ${want[where]} ${got[where]}`);
            }
          }
        });
        expect(differences).toEqual([]);
      });
});

it('a result does not depend on the frame measured before it', () => {
  for (const core of [wasm, ...native]) {
    const small = anyFrame(67, 51, 3, 3);
    const first = core.measure(small, 67, 51, 3).slice();
    core.measure(anyFrame(300, 200, 3, 1), 300, 200, 3);
    expect(core.measure(small, 67, 51, 3)).toEqual(first);
  }
});

it.each([64, 128])(
  'stripes %i pixels apart, which one lane of a vector sees again and again, are summed whole',
  (apart) => {
    const [width, height] = [2051, 19];
    const read = (x: number) => (x % apart === 7 ? 255 : 0);
    const { data } = grey(width, height, read);
    let sum = 0;
    for (let x = 1; x < width - 1; x++) sum += (height - 2) * (read(x - 1) + read(x + 1) - 2 * read(x));
    for (const core of [wasm, ...native]) {
      expect(slice(core.measure(data, width, height, 1), 'sumLaplacian')[0], core.info.simd).toBe(sum);
    }
  },
);
