import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { StoplineError } from '../errors.ts';
import { checkFrame } from './check.ts';
import type { Core } from './core.ts';
import { isSource } from './entry.ts';
import { layoutText, outSize } from './layout.ts';
import { findPrebuilt } from './prebuilt.ts';

interface Variant {
  simd: string;
  layout: string;
  outSize: number;
  historySize: number;
  measure(data: Uint8Array, width: number, height: number, channels: number, out: Float64Array): void;
  history(data: Uint8Array, width: number, height: number, channels: number, out: Float64Array): void;
  resize: Core['resize'];
  readJpeg: Core['readJpeg'];
  /** Named for what its record holds: a build whose record is another has another name for it. */
  trainStep(memory: Uint8Array, record: number, rows: number): void;
}

const require = createRequire(import.meta.url);

function open(): readonly Variant[] {
  const path = findPrebuilt('stopline.node');
  if (!existsSync(path))
    throw new StoplineError(
      'CORE_UNAVAILABLE',
      `There is no stopline.node for ${process.platform}-${process.arch}${isSource(import.meta.url) ? ', run npm run build:native' : ' in this package'}.`,
    );
  return (require(path) as { variants: Variant[] }).variants;
}

/** Instruction sets of the native build that this processor runs, fastest first; throws when there is no native build. */
export function nativeVariants(): string[] {
  return open().map((variant) => variant.simd);
}

/** @throws as `loadNative` */
function findVariant(simd: string | undefined): Variant {
  const variants = open();
  const variant = simd === undefined ? variants[0] : variants.find((candidate) => candidate.simd === simd);
  if (variant === undefined)
    throw new StoplineError(
      'CORE_UNAVAILABLE',
      `Expected one of ${variants.map((v) => v.simd).join(', ')} for simd but received ${simd}.`,
    );
  if (variant.layout !== layoutText || variant.trainStep === undefined || variant.readJpeg === undefined)
    throw new StoplineError(
      'CORE_UNAVAILABLE',
      'The native core was built from other sources. Build it again: npm run build:native',
    );
  return variant;
}

/**
 * The step of a training, on the memory of a WebAssembly instance and with its bits, for less.
 * @throws as `loadNative`
 */
export function loadTrain(simd?: string): Variant['trainStep'] {
  return findVariant(simd).trainStep;
}

/**
 * Loads the native build.
 * @param simd instruction set to use instead of the fastest one
 * @throws whatever Node says about the missing or foreign file; `CORE_UNAVAILABLE` when the build is stale
 */
export function loadNative(simd?: string): Core {
  const variant = findVariant(simd);
  const out = new Float64Array(outSize);
  return {
    info: { build: 'native', simd: variant.simd },
    measure(data, width, height, channels) {
      checkFrame(data, width, height, channels);
      variant.measure(data, width, height, channels, out);
      return out;
    },
    history(data, width, height, channels) {
      checkFrame(data, width, height, channels);
      const history = new Float64Array(variant.historySize);
      variant.history(data, width, height, channels, history);
      return history;
    },
    resize(data, width, height, channels, plan, weights, out) {
      checkFrame(data, width, height, channels);
      variant.resize(data, width, height, channels, plan, weights, out);
    },
    readJpeg(bytes, width, height, pixels) {
      checkFrame(pixels, width, height, 3);
      return variant.readJpeg(bytes, width, height, pixels);
    },
  };
}
