import { describe, expect, it } from 'vitest';
import {
  createPreprocess,
  type InputRule,
  planResize,
  type ResizeKernel,
} from '../../../src/image/embedding/preprocess.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { anyFrame, everyCore } from '../../fixtures/frames.ts';

const kernels: ResizeKernel[] = ['bilinear-antialias', 'bicubic-antialias', 'bilinear', 'area'];
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], scale: 1 / 255 };

function makeRule(kernel: ResizeKernel, width: number, height: number, more: Partial<InputRule> = {}): InputRule {
  return { layout: 'NCHW', width, height, channels: 3, kernel, fit: 'stretch', colour: 'RGB', ...imagenet, ...more };
}

function makeFrame(width: number, height: number, channels: 1 | 3 | 4, seed: number): Frame {
  return { data: anyFrame(width, height, channels, seed), width, height, channels };
}

/** Share of one input sample in one output sample, straight from the definition of each kernel, unnormalised. */
const weightAt: Record<ResizeKernel, (sample: number, centre: number, step: number, size: number) => number> = {
  'bilinear-antialias': (sample, centre, step) => Math.max(0, 1 - Math.abs(sample + 0.5 - centre) / Math.max(1, step)),
  'bicubic-antialias'(sample, centre, step) {
    const t = Math.abs(sample + 0.5 - centre) / Math.max(1, step);
    if (t >= 2) return 0;
    return t <= 1 ? 1.5 * t ** 3 - 2.5 * t ** 2 + 1 : -0.5 * t ** 3 + 2.5 * t ** 2 - 4 * t + 2;
  },
  // Samples beyond the border repeat the border.
  bilinear(sample, centre, _step, size) {
    const clamped = Math.min(size - 0.5, Math.max(0.5, centre));
    return Math.max(0, 1 - Math.abs(sample + 0.5 - clamped));
  },
  area: (sample, centre, step) =>
    Math.max(0, Math.min(sample + 1, centre + step / 2) - Math.max(sample, centre - step / 2)),
};

/** The same in float64, every output pixel on its own, over all input pixels. */
function reference(frame: Frame, rule: InputRule): Float64Array {
  const { width, height } = frame;
  const share = rule.fit === 'crop' ? Math.min(width / rule.width, height / rule.height) * (rule.keep ?? 1) : 0;
  const [across, down] = rule.fit === 'crop' ? [share * rule.width, share * rule.height] : [width, height];
  const axis = (size: number, span: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const step = span / count;
      const centre = (size - span) / 2 + (i + 0.5) * step;
      const weights = Array.from({ length: size }, (_, k) => weightAt[rule.kernel](k, centre, step, size));
      const sum = weights.reduce((a, b) => a + b);
      return weights.map((w) => w / sum);
    });
  const columns = axis(width, across, rule.width);
  const rows = axis(height, down, rule.height);
  const out = new Float64Array(rule.width * rule.height * rule.channels);
  rows.forEach((down, y) => {
    columns.forEach((across, x) => {
      const rgb = [0, 0, 0];
      down.forEach((v, j) => {
        if (v === 0) return;
        across.forEach((h, i) => {
          if (h === 0) return;
          for (let c = 0; c < 3; c++) {
            const source = frame.channels === 1 ? 0 : c;
            rgb[c] += v * h * frame.data[(j * width + i) * frame.channels + source];
          }
        });
      });
      const ordered = rule.channels === 1 ? [0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]] : rgb;
      if (rule.colour === 'BGR') ordered.reverse();
      ordered.forEach((value, c) => {
        const place = y * rule.width + x;
        const at = rule.layout === 'NHWC' ? place * rule.channels + c : c * rule.width * rule.height + place;
        out[at] = (value * rule.scale - rule.mean[c]) / rule.std[c];
      });
    });
  });
  return out;
}

const cases: [string, Frame, Partial<InputRule> & { width: number; height: number }][] = [
  ['shrinks by a fraction', makeFrame(131, 77, 3, 4), { width: 32, height: 24 }],
  ['shrinks a lot', makeFrame(301, 203, 3, 8), { width: 7, height: 5 }],
  ['enlarges', makeFrame(19, 16, 3, 12), { width: 40, height: 33 }],
  ['keeps the size', makeFrame(24, 24, 3, 16), { width: 24, height: 24 }],
  ['NHWC in BGR', makeFrame(67, 51, 3, 20), { width: 16, height: 12, layout: 'NHWC', colour: 'BGR' }],
  ['NCHW in BGR', makeFrame(67, 51, 3, 21), { width: 16, height: 12, colour: 'BGR' }],
  ['luma', makeFrame(67, 51, 3, 24), { width: 16, height: 12, channels: 1, mean: [0.5], std: [0.5] }],
  ['a grey frame', makeFrame(67, 51, 1, 28), { width: 16, height: 12 }],
  ['alpha ignored', makeFrame(67, 51, 4, 32), { width: 16, height: 12 }],
  ['a centred crop', makeFrame(90, 61, 3, 36), { width: 16, height: 16, fit: 'crop', keep: 0.875 }],
  ['one output pixel', makeFrame(33, 21, 3, 40), { width: 1, height: 1 }],
];

for (const core of everyCore())
  describe(`preprocessing, ${core.info.build} ${core.info.simd}, against float64`, () => {
    for (const kernel of kernels)
      it.each(cases)(`${kernel}: %s within 1e-5`, (_, frame, more) => {
        const rule = makeRule(kernel, more.width, more.height, more);
        const received = new Float32Array(rule.width * rule.height * rule.channels);
        createPreprocess(rule, core)(frame, received);
        const expected = reference(frame, rule);
        const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - received[i])), 0);
        expect(worst).toBeLessThan(1e-5);
      });
  });

const [wasm, ...native] = everyCore();
describe.skipIf(native.length === 0)('native and WebAssembly give the same bits', () => {
  it.each(native.map((core) => [core.info.simd, core] as const))('%s', (_, core) => {
    for (const kernel of kernels)
      for (const [name, frame, more] of cases) {
        const rule = makeRule(kernel, more.width, more.height, more);
        const [a, b] = [wasm, core].map((build) => {
          const out = new Float32Array(rule.width * rule.height * rule.channels);
          createPreprocess(rule, build)(frame, out);
          return out;
        });
        expect(Buffer.from(a.buffer).equals(Buffer.from(b.buffer)), `${kernel}: ${name}`).toBe(true);
      }
  });
});

describe('closed forms', () => {
  const identity = { mean: [0, 0, 0], std: [1, 1, 1], scale: 1 };

  it.each(kernels)('%s leaves a constant frame constant, to the last bit of its weights', (kernel) => {
    const frame: Frame = { data: new Uint8Array(50 * 40 * 3).fill(200), width: 50, height: 40, channels: 3 };
    const out = new Float32Array(16 * 16 * 3);
    createPreprocess(makeRule(kernel, 16, 16, identity), wasm)(frame, out);
    for (const value of out) expect(Math.abs(value - 200)).toBeLessThan(1e-4);
  });

  it('halving by area is the mean of each 2x2 block, exactly', () => {
    const frame = makeFrame(16, 12, 3, 3);
    const out = new Float32Array(8 * 6 * 3);
    createPreprocess(makeRule('area', 8, 6, { ...identity, layout: 'NHWC' }), wasm)(frame, out);
    const at = (x: number, y: number, c: number) => frame.data[(y * 16 + x) * 3 + c];
    for (let y = 0; y < 6; y++)
      for (let x = 0; x < 8; x++)
        for (let c = 0; c < 3; c++) {
          const block =
            at(2 * x, 2 * y, c) + at(2 * x + 1, 2 * y, c) + at(2 * x, 2 * y + 1, c) + at(2 * x + 1, 2 * y + 1, c);
          expect(out[(y * 8 + x) * 3 + c]).toBe(block / 4);
        }
  });

  it('halving with the antialiased triangle weighs four samples 1 3 3 1 over 8', () => {
    const { plan, weights } = planResize(makeRule('bilinear-antialias', 8, 8, identity), 16, 16);
    // Column 3 of the output: samples 5 to 8 of the input. Column 0 lacks its first sample.
    expect([...plan.slice(5 + 2 * 3, 5 + 2 * 3 + 2)]).toEqual([5, 4]);
    const taps = [...weights.slice(6 + 3 + 4 + 4, 6 + 3 + 4 + 4 + 4)];
    expect(taps).toEqual([1, 3, 3, 1].map((w) => w / 8));
  });

  it('torchvision numbers: white is (1 - mean) / std', () => {
    const frame: Frame = { data: new Uint8Array(20 * 20 * 3).fill(255), width: 20, height: 20, channels: 3 };
    const out = new Float32Array(3);
    createPreprocess(makeRule('area', 1, 1), wasm)(frame, out);
    expect(out[0]).toBeCloseTo(2.2489, 4);
    expect(out[1]).toBeCloseTo(2.4286, 4);
    expect(out[2]).toBeCloseTo(2.64, 4);
  });
});

for (const core of everyCore())
  it(`${core.info.simd}: a plan that does not fit is refused and nothing is written`, () => {
    const frame = makeFrame(30, 20, 3, 1);
    const { plan, weights } = planResize(makeRule('area', 8, 8), 30, 20);
    const out = new Float32Array(8 * 8 * 3).fill(7);
    const spoilt = (change: (p: Int32Array) => void) => {
      const copy = plan.slice();
      change(copy);
      return copy;
    };
    const plans = [
      spoilt((p) => p.set([29], 5 + 2 * 7)),
      spoilt((p) => p.set([-1], 5)),
      spoilt((p) => p.set([0], 6)),
      spoilt((p) => p.set([2 ** 31 - 1], 6)),
      spoilt((p) => p.set([9], 0)),
      spoilt((p) => p.set([2], 2)),
      plan.slice(0, -1),
      plan.slice(0, 3),
      planResize(makeRule('area', 8, 8), 30, 21).plan,
    ];
    for (const bad of plans)
      expect(() => core.resize(frame.data, 30, 20, 3, bad, weights, out)).toThrow(/plan that fits/);
    expect(() => core.resize(frame.data, 30, 20, 3, plan, weights.slice(1), out)).toThrow(/plan that fits/);
    expect(() => core.resize(frame.data, 30, 20, 3, plan, weights, new Float32Array(191))).toThrow(/plan that fits/);
    expect(() => core.resize(frame.data, 30, 21, 3, plan, weights, out)).toThrow(/30 \* 21 \* 3/);
    expect(out.every((value) => value === 7)).toBe(true);
  });
