import type { Core } from '../../core/core.ts';
import type { Frame } from '../frame.ts';

/**
 * How pixels are resized. All are half-pixel centred; none aligns corners:
 *
 * - `bilinear-antialias`: triangle filter as wide as the reduction; PIL `BILINEAR`, torchvision `antialias=True`.
 * - `bicubic-antialias`: Keys' cubic with a = -0.5, as wide as the reduction; PIL `BICUBIC`.
 * - `bilinear`: two neighbours, whatever the reduction; OpenCV `INTER_LINEAR`, TensorFlow `resize(..., 'bilinear')`.
 * - `area`: mean over the area of an output pixel; OpenCV `INTER_AREA` and TensorFlow `area` when shrinking.
 *
 * PIL and OpenCV round the result to 8 bits, and PIL each of its two passes; here nothing is rounded or clipped.
 */
export type ResizeKernel = 'bilinear-antialias' | 'bicubic-antialias' | 'bilinear' | 'area';

/** What a model wants to see; part of its card. */
export interface InputRule {
  layout: 'NCHW' | 'NHWC';
  /** Pixels of the model's input. */
  width: number;
  height: number;
  /** 3, or 1 for luma as of ITU-R BT.601. */
  channels: 1 | 3;
  kernel: ResizeKernel;
  /**
   * `stretch`: the whole frame, whatever its aspect. `crop`: the largest centred rectangle of the model's aspect, of which
   * each side keeps the share `keep` (224 / 256 = 0.875 for torchvision's Resize(256), CenterCrop(224)).
   */
  fit: 'stretch' | 'crop';
  keep?: number;
  colour: 'RGB' | 'BGR';
  /** (pixel * scale - mean[c]) / std[c], pixels 0 to 255, channels in the model's order. */
  scale: number;
  mean: number[];
  std: number[];
}

/** The tables that `Core.resize` reads. */
export interface ResizePlan {
  plan: Int32Array;
  weights: Float32Array;
}

/** One axis: first input sample and weights of each output sample. */
type Taps = { first: number; weights: number[] }[];

const filters = {
  'bilinear-antialias': { support: 1, at: (t: number) => Math.max(0, 1 - Math.abs(t)) },
  'bicubic-antialias': { support: 2, at: keys },
} as const;

/** Keys 1981, equation 15, with a = -1/2. */
function keys(t: number): number {
  const x = Math.abs(t);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** Taps of one axis: `count` output samples over [from, to) of `size` input samples. */
function computeTaps(kernel: ResizeKernel, size: number, from: number, to: number, count: number): Taps {
  const step = (to - from) / count;
  return Array.from({ length: count }, (_, i) => {
    const centre = from + (i + 0.5) * step;
    if (kernel === 'bilinear') {
      const low = Math.floor(centre - 0.5);
      const share = centre - 0.5 - low;
      const first = Math.min(size - 1, Math.max(0, low));
      const second = Math.min(size - 1, Math.max(0, low + 1));
      return first === second ? { first, weights: [1] } : { first, weights: [1 - share, share] };
    }
    if (kernel === 'area') return overlap(centre - step / 2, centre + step / 2, size);
    const { support, at } = filters[kernel];
    // Wider than the filter where the image shrinks; where it grows, the filter itself interpolates.
    const stretch = Math.max(1, step);
    const first = Math.max(0, Math.floor(centre - support * stretch + 0.5));
    const end = Math.min(size, Math.floor(centre + support * stretch + 0.5));
    return normalised(
      first,
      Array.from({ length: end - first }, (_, k) => at((first + k + 0.5 - centre) / stretch)),
    );
  });
}

function overlap(from: number, to: number, size: number): Taps[number] {
  const first = Math.min(size - 1, Math.max(0, Math.floor(from)));
  const end = Math.max(first + 1, Math.min(size, Math.ceil(to)));
  return normalised(
    first,
    Array.from({ length: end - first }, (_, k) => {
      return Math.max(1e-9, Math.min(to, first + k + 1) - Math.max(from, first + k));
    }),
  );
}

function normalised(first: number, weights: number[]): Taps[number] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return { first, weights: weights.map((weight) => weight / sum) };
}

/** The part of a frame that the model sees, in input pixels: [from, to) across and down. */
function chooseRegion(rule: InputRule, width: number, height: number) {
  if (rule.fit === 'stretch') return { left: 0, top: 0, right: width, bottom: height };
  const unit = Math.min(width / rule.width, height / rule.height) * (rule.keep ?? 1);
  const [across, down] = [unit * rule.width, unit * rule.height];
  const [left, top] = [(width - across) / 2, (height - down) / 2];
  return { left, top, right: left + across, bottom: top + down };
}

/** The tables for frames of one size; worth keeping, because a camera's frames are all of one size. */
export function planResize(rule: InputRule, width: number, height: number): ResizePlan {
  const { left, top, right, bottom } = chooseRegion(rule, width, height);
  const columns = computeTaps(rule.kernel, width, left, right, rule.width);
  const rows = computeTaps(rule.kernel, height, top, bottom, rule.height);
  const axes = [...columns, ...rows];
  const isReversed = rule.colour === 'BGR';
  const channel = (c: number) => (rule.channels === 1 ? 0 : c);
  // The core computes pixel * gain + offset for each channel of the output.
  const gains = [0, 1, 2].map((c) => rule.scale / rule.std[channel(c)]);
  const offsets = [0, 1, 2].map((c) => -rule.mean[channel(c)] / rule.std[channel(c)]);
  return {
    plan: Int32Array.from([
      rule.width,
      rule.height,
      rule.channels,
      rule.layout === 'NHWC' ? 1 : 0,
      isReversed ? 1 : 0,
      ...axes.flatMap(({ first, weights }) => [first, weights.length]),
    ]),
    weights: Float32Array.from([...gains, ...offsets, ...axes.flatMap(({ weights }) => weights)]),
  };
}

/** Sizes of frames whose tables are kept. */
const keptPlans = 16;

/**
 * Frames to the input tensor of a model, in the C core.
 * @returns a function that writes one frame as float32 into `out`, `width * height * channels` of the rule long
 * @example
 * const preprocess = createPreprocess(card.input, core);
 * preprocess(frame, tensor.subarray(i * size, (i + 1) * size));
 */
export function createPreprocess(rule: InputRule, core: Core): (frame: Frame, out: Float32Array) => void {
  const plans = new Map<string, ResizePlan>();
  return ({ data, width, height, channels }, out) => {
    const key = `${width}x${height}`;
    let tables = plans.get(key);
    if (tables === undefined) {
      tables = planResize(rule, width, height);
      if (plans.size >= keptPlans) plans.delete(plans.keys().next().value as string);
      plans.set(key, tables);
    }
    core.resize(data, width, height, channels, tables.plan, tables.weights, out);
  };
}
