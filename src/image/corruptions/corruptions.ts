import { StoplineError } from '../../errors.ts';
import type { Frame } from '../frame.ts';
import * as blur from './blur.ts';
import { corruptions } from './causes.ts';
import * as compression from './compression.ts';
import * as drawn from './drawn.ts';
import type { Pixels } from './filter.ts';
import * as geometry from './geometry.ts';
import * as lens from './lens.ts';
import * as light from './light.ts';
import * as noise from './noise.ts';
import { Random } from './random.ts';
import * as sensor from './sensor.ts';
import * as stream from './stream.ts';
import * as weather from './weather.ts';

export { type CorruptionFamily, corruptions, families, findFamily } from './causes.ts';

/** 1 is mild, 5 is severe. */
export type Severity = 1 | 2 | 3 | 4 | 5;

type Apply = (pixels: Pixels, severity: Severity, random: Random) => Uint8Array | Promise<Uint8Array>;

/** What each cause of the table in `causes.ts` does. */
const applyByName: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['gaussianNoise', noise.gaussianNoise],
  ['shotNoise', noise.shotNoise],
  ['impulseNoise', noise.impulseNoise],
  ['speckleNoise', noise.speckleNoise],
  ['defocusBlur', blur.defocusBlur],
  ['gaussianBlur', blur.gaussianBlur],
  ['motionBlur', blur.motionBlur],
  ['zoomBlur', blur.zoomBlur],
  ['glassBlur', blur.glassBlur],
  ['rain', weather.rain],
  ['lensDrops', lens.lensDrops],
  ['snow', weather.snow],
  ['frost', lens.frost],
  ['fog', weather.fog],
  ['spatter', lens.spatter],
  ['dirt', lens.dirt],
  ['sunGlare', weather.sunGlare],
  ['overExposure', light.overExposure],
  ['underExposure', light.underExposure],
  ['brightness', light.brightness],
  ['lowContrast', light.lowContrast],
  ['dusk', light.dusk],
  ['night', light.night],
  ['colourCast', light.colourCast],
  ['whiteBalance', light.whiteBalance],
  ['saturation', light.saturation],
  ['desaturation', light.desaturation],
  ['gammaLighter', light.gammaLighter],
  ['gammaDarker', light.gammaDarker],
  ['jpeg', compression.jpeg],
  ['jpegMild', compression.jpegMild],
  ['jpegTwice', compression.jpegTwice],
  ['webp', compression.webp],
  ['downUp', compression.downUp],
  ['pixelate', compression.pixelate],
  ['sharpening', compression.sharpening],
  ['banding', compression.banding],
  ['stuckRows', sensor.stuckRows],
  ['deadPixels', sensor.deadPixels],
  ['hotPixels', sensor.hotPixels],
  ['interlaceTearing', sensor.interlaceTearing],
  ['verticalBanding', sensor.verticalBanding],
  ['occlusion', sensor.occlusion],
  ['frozenFrame', sensor.frozenFrame],
  ['blankFrame', sensor.blankFrame],
  ['rollingShutter', geometry.rollingShutter],
  ['rotation', geometry.rotation],
  ['cropZoom', geometry.cropZoom],
  ['elastic', geometry.elastic],
  ['channelSwap', geometry.channelSwap],
  ['colourRange', stream.colourRange],
  ['bars', stream.bars],
  ['partlyDecoded', stream.partlyDecoded],
  ['wrongLayout', stream.wrongLayout],
  ['brokenBlocks', stream.brokenBlocks],
  ['placeholder', drawn.placeholder],
  ['overlay', drawn.overlay],
  ['orientation', geometry.orientation],
  ['monochrome', light.monochrome],
]);

/** FNV-1a, so that the same seed does not draw the same numbers for two causes. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}

/**
 * Simulates one cause on one frame. The layout (where a drop sits, which way the rain falls) depends on the seed alone, so
 * severities of the same seed are comparable; the same seed gives the same pixels.
 *
 * @param frame three channels; it is not changed
 * @param cause a name in {@link corruptions}
 * @returns a new frame of the same size
 * @throws {StoplineError} OPTION_INVALID for an unknown cause or severity, FRAME_INVALID unless the frame has three channels
 * @example
 * const foggy = await corrupt(frame, 'fog', 3, 1);
 */
export async function corrupt(frame: Frame, cause: string, severity: Severity, seed: number): Promise<Frame> {
  const apply = applyByName.get(cause);
  if (!apply) {
    const names = corruptions.map(({ name }) => name).join(', ');
    throw new StoplineError('OPTION_INVALID', `Expected cause to be one of ${names} but received ${cause}.`);
  }
  if (![1, 2, 3, 4, 5].includes(severity)) {
    throw new StoplineError('OPTION_INVALID', `Expected severity to be 1, 2, 3, 4 or 5 but received ${severity}.`);
  }
  const { data, width, height, channels } = frame;
  if (channels !== 3 || data.length !== width * height * 3 || data.length === 0) {
    throw new StoplineError(
      'FRAME_INVALID',
      `Expected a frame of width * height * 3 bytes but received ${data.length} bytes for ${width}x${height}x${channels}.`,
    );
  }
  const random = new Random(Math.trunc(seed) ^ hash(cause));
  // A frame from sharp holds a Buffer, whose `slice` shares memory: causes that start from a copy would change the frame.
  const pixels = { data: new Uint8Array(data.buffer, data.byteOffset, data.length), width, height };
  return { data: await apply(pixels, severity, random), width, height, channels: 3 };
}

export const powerSeverities: readonly Severity[] = [1, 2, 3, 4, 5];
