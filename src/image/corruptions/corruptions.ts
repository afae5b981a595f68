import { StoplineError } from '../../errors.ts';
import type { Frame } from '../frame.ts';
import * as blur from './blur.ts';
import * as compression from './compression.ts';
import type { Pixels } from './filter.ts';
import * as geometry from './geometry.ts';
import * as lens from './lens.ts';
import * as light from './light.ts';
import * as noise from './noise.ts';
import { Random } from './random.ts';
import * as sensor from './sensor.ts';
import * as weather from './weather.ts';

export type CorruptionFamily =
  | 'noise'
  | 'blur'
  | 'weather'
  | 'light'
  | 'compression'
  | 'scaling'
  | 'sensor'
  | 'geometry';

/** 1 is mild, 5 is severe. */
export type Severity = 1 | 2 | 3 | 4 | 5;

/** One simulated cause: a thing that happens to cameras and image pipelines. */
export interface Corruption {
  /** camelCase, stable: part of the Profile format. */
  name: string;
  family: CorruptionFamily;
  /** What it is, in one sentence for a person. */
  meaning: string;
  /** Where the parameters of the five severities come from. */
  source: string;
}

type Apply = (pixels: Pixels, severity: Severity, random: Random) => Uint8Array | Promise<Uint8Array>;

const imageNetC = 'ImageNet-C (Hendrycks and Dietterich 2019)';
const own = 'Stopline';

/** Name, family, meaning, source, function. The order is the order of reports and sheets. */
const table: readonly (readonly [string, CorruptionFamily, string, string, Apply])[] = [
  ['gaussianNoise', 'noise', 'Electronic noise of the same strength everywhere.', imageNetC, noise.gaussianNoise],
  ['shotNoise', 'noise', 'Too few photons: noise that grows with the root of the light.', imageNetC, noise.shotNoise],
  [
    'impulseNoise',
    'noise',
    'Single samples flipped to black or white, as by bit errors.',
    imageNetC,
    noise.impulseNoise,
  ],
  ['speckleNoise', 'noise', 'Noise in proportion to the brightness.', imageNetC, noise.speckleNoise],

  ['defocusBlur', 'blur', 'The lens is out of focus.', imageNetC, blur.defocusBlur],
  ['gaussianBlur', 'blur', 'Soft everywhere: a greasy lens, denoising or resampling.', imageNetC, blur.gaussianBlur],
  ['motionBlur', 'blur', 'The camera moved during the exposure.', `${imageNetC}, any angle`, blur.motionBlur],
  ['zoomBlur', 'blur', 'The camera moved towards the scene during the exposure.', imageNetC, blur.zoomBlur],
  ['glassBlur', 'blur', 'Seen through rippled or scratched glass.', imageNetC, blur.glassBlur],

  ['rain', 'weather', 'Rain streaks, less light and a grey veil.', `${own}, after Garg and Nayar 2007`, weather.rain],
  [
    'lensDrops',
    'weather',
    'Water drops on the lens or windscreen.',
    `${own}, after Halimeh and Roser 2009`,
    lens.lensDrops,
  ],
  ['snow', 'weather', 'Falling snow and a whitened scene.', imageNetC, weather.snow],
  ['frost', 'weather', 'Ice on the glass, growing in from the border.', `${own}, weights of ImageNet-C`, lens.frost],
  [
    'fog',
    'weather',
    'Fog that thickens with distance.',
    `${own}, Koschmieder, after Sakaridis et al. 2018`,
    weather.fog,
  ],
  ['spatter', 'weather', 'Water or mud splashed onto the lens.', `${imageNetC}, shading simplified`, lens.spatter],
  [
    'dirt',
    'weather',
    'Dried dirt on the lens, out of focus.',
    `${own}, after WoodScape (Yogamani et al. 2019)`,
    lens.dirt,
  ],
  ['sunGlare', 'weather', 'Low sun in the frame: bloom, rays, flare.', `${own}, after Vos 1984`, weather.sunGlare],

  ['overExposure', 'light', 'Too much light: highlights clip.', own, light.overExposure],
  ['underExposure', 'light', 'Too little light: shadows are crushed.', own, light.underExposure],
  ['brightness', 'light', 'Brighter by a constant.', imageNetC, light.brightness],
  ['lowContrast', 'light', 'Washed out: all values close to the mean.', imageNetC, light.lowContrast],
  ['night', 'light', 'Dark, bluish, with the noise of a high gain.', `${own}, after ImageNet-3DCC`, light.night],
  ['colourCast', 'light', 'A tint over the whole frame.', own, light.colourCast],
  ['whiteBalance', 'light', 'White balanced for the wrong light.', `${own}, Kang et al. 2002`, light.whiteBalance],
  ['saturation', 'light', 'Colours too pale (1, 2) or too strong (3 to 5).', imageNetC, light.saturation],
  ['desaturation', 'light', 'Colours missing, down to grey.', own, light.desaturation],
  ['gammaLighter', 'light', 'A tone curve that lifts the shadows.', own, light.gammaLighter],
  ['gammaDarker', 'light', 'A tone curve that sinks the mid-tones.', own, light.gammaDarker],

  ['jpeg', 'compression', 'Strong JPEG compression.', imageNetC, compression.jpeg],
  ['jpegMild', 'compression', 'JPEG compression as a service upstream may add it.', own, compression.jpegMild],
  ['jpegTwice', 'compression', 'JPEG twice with a crop in between.', own, compression.jpegTwice],
  ['webp', 'compression', 'WebP compression.', own, compression.webp],

  ['downUp', 'scaling', 'Made small and enlarged again.', own, compression.downUp],
  ['pixelate', 'scaling', 'Made small and shown as blocks.', imageNetC, compression.pixelate],
  ['sharpening', 'scaling', 'Sharpened until edges have halos.', own, compression.sharpening],
  [
    'banding',
    'scaling',
    'Too few levels: gradients break into bands.',
    'ImageNet-3DCC (Kar et al. 2022)',
    compression.banding,
  ],

  ['stuckRows', 'sensor', 'Rows of the sensor that are black, white or repeated.', own, sensor.stuckRows],
  ['deadPixels', 'sensor', 'Single pixels that stay black.', own, sensor.deadPixels],
  ['hotPixels', 'sensor', 'Single pixels that glow in one colour.', own, sensor.hotPixels],
  ['interlaceTearing', 'sensor', 'Odd and even rows from different moments.', own, sensor.interlaceTearing],
  ['verticalBanding', 'sensor', 'Columns with different gains: vertical stripes.', own, sensor.verticalBanding],
  ['occlusion', 'sensor', 'Something in front of the lens hides a part.', own, sensor.occlusion],
  ['frozenFrame', 'sensor', 'The lower part never arrived: the last row repeats.', own, sensor.frozenFrame],
  ['blankFrame', 'sensor', 'One colour everywhere: no picture at all.', own, sensor.blankFrame],

  [
    'rollingShutter',
    'geometry',
    'Skewed and wobbly: rows were read while the camera moved.',
    own,
    geometry.rollingShutter,
  ],
  ['rotation', 'geometry', 'The camera hangs askew.', own, geometry.rotation],
  ['cropZoom', 'geometry', 'Cropped or seen through a longer lens.', own, geometry.cropZoom],
  ['elastic', 'geometry', 'Warped, as through uneven glass.', imageNetC, geometry.elastic],
  ['channelSwap', 'geometry', 'Colour channels in the wrong order.', own, geometry.channelSwap],
];

const applyByName = new Map(table.map(([name, , , , apply]) => [name, apply]));

/** Every cause that `fit` simulates and the power report lists. */
export const corruptions: readonly Corruption[] = table.map(([name, family, meaning, source]) => ({
  name,
  family,
  meaning,
  source,
}));

/** In the order of the table. */
export const families: readonly CorruptionFamily[] = [...new Set(corruptions.map(({ family }) => family))];

/** Undefined for a cause that this version does not know. */
export function findFamily(cause: string): CorruptionFamily | undefined {
  return corruptions.find(({ name }) => name === cause)?.family;
}

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
