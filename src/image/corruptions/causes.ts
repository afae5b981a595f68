export type CorruptionFamily =
  | 'noise'
  | 'blur'
  | 'weather'
  | 'light'
  | 'colour'
  | 'compression'
  | 'scaling'
  | 'sensor'
  | 'geometry'
  | 'stream';

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

const imageNetC = 'ImageNet-C (Hendrycks and Dietterich 2019)';
const own = 'Stopline';

/** Name, family, meaning, source. The order is the order of reports and sheets. */
const table: readonly (readonly [string, CorruptionFamily, string, string])[] = [
  ['gaussianNoise', 'noise', 'Electronic noise of the same strength everywhere.', imageNetC],
  ['shotNoise', 'noise', 'Too few photons: noise that grows with the root of the light.', imageNetC],
  ['impulseNoise', 'noise', 'Single samples flipped to black or white, as by bit errors.', imageNetC],
  ['speckleNoise', 'noise', 'Noise in proportion to the brightness.', imageNetC],
  ['defocusBlur', 'blur', 'The lens is out of focus.', imageNetC],
  ['gaussianBlur', 'blur', 'Soft everywhere: a greasy lens, denoising or resampling.', imageNetC],
  ['motionBlur', 'blur', 'The camera moved during the exposure.', `${imageNetC}, any angle`],
  ['zoomBlur', 'blur', 'The camera moved towards the scene during the exposure.', imageNetC],
  ['glassBlur', 'blur', 'Seen through rippled or scratched glass.', imageNetC],
  ['rain', 'weather', 'Rain streaks, less light and a grey veil.', `${own}, after Garg and Nayar 2007`],
  ['lensDrops', 'weather', 'Water drops on the lens or windscreen.', `${own}, after Halimeh and Roser 2009`],
  ['snow', 'weather', 'Falling snow and a whitened scene.', imageNetC],
  ['frost', 'weather', 'Ice on the glass, growing in from the border.', `${own}, weights of ImageNet-C`],
  ['fog', 'weather', 'Fog that thickens with distance.', `${own}, Koschmieder, after Sakaridis et al. 2018`],
  ['spatter', 'weather', 'Water or mud splashed onto the lens.', `${imageNetC}, shading simplified`],
  ['dirt', 'weather', 'Dried dirt on the lens, out of focus.', `${own}, after WoodScape (Yogamani et al. 2019)`],
  ['sunGlare', 'weather', 'Low sun in the frame: bloom, rays, flare.', `${own}, after Vos 1984`],
  ['overExposure', 'light', 'Too much light: highlights clip.', own],
  ['underExposure', 'light', 'Too little light: shadows are crushed.', own],
  ['brightness', 'light', 'Brighter by a constant.', imageNetC],
  ['lowContrast', 'light', 'Washed out: all values close to the mean.', imageNetC],
  ['dusk', 'light', 'The last or first light of a day: darker, bluish or reddish, the sky still bright.', own],
  ['night', 'light', 'Dark, bluish, with the noise of a high gain.', `${own}, after ImageNet-3DCC`],
  ['colourCast', 'colour', 'A tint over the whole frame.', own],
  ['whiteBalance', 'colour', 'White balanced for the wrong light.', `${own}, Kang et al. 2002`],
  ['saturation', 'colour', 'Colours too pale (1, 2) or too strong (3 to 5).', imageNetC],
  ['desaturation', 'colour', 'Colours missing, down to grey.', own],
  ['gammaLighter', 'light', 'A tone curve that lifts the shadows.', own],
  ['gammaDarker', 'light', 'A tone curve that sinks the mid-tones.', own],
  ['jpeg', 'compression', 'Strong JPEG compression.', imageNetC],
  ['jpegMild', 'compression', 'JPEG compression as a service upstream may add it.', own],
  ['jpegTwice', 'compression', 'JPEG twice with a crop in between.', own],
  ['webp', 'compression', 'WebP compression.', own],
  ['downUp', 'scaling', 'Made small and enlarged again.', own],
  ['pixelate', 'scaling', 'Made small and shown as blocks.', imageNetC],
  ['sharpening', 'scaling', 'Sharpened until edges have halos.', own],
  ['banding', 'scaling', 'Too few levels: gradients break into bands.', 'ImageNet-3DCC (Kar et al. 2022)'],
  ['stuckRows', 'sensor', 'Rows of the sensor that are black, white or repeated.', own],
  ['deadPixels', 'sensor', 'Single pixels that stay black.', own],
  ['hotPixels', 'sensor', 'Single pixels that glow in one colour.', own],
  ['interlaceTearing', 'sensor', 'Odd and even rows from different moments.', own],
  ['verticalBanding', 'sensor', 'Columns with different gains: vertical stripes.', own],
  ['occlusion', 'sensor', 'Something in front of the lens hides a part.', own],
  ['frozenFrame', 'sensor', 'The lower part never arrived: the last row repeats.', own],
  ['blankFrame', 'sensor', 'One colour everywhere: no picture at all.', own],
  ['rollingShutter', 'geometry', 'Skewed and wobbly: rows were read while the camera moved.', own],
  ['rotation', 'geometry', 'The camera hangs askew.', own],
  ['cropZoom', 'geometry', 'Cropped or seen through a longer lens.', own],
  ['elastic', 'geometry', 'Warped, as through uneven glass.', imageNetC],
  ['channelSwap', 'colour', 'Colour channels in the wrong order.', own],
  [
    'colourRange',
    'stream',
    'Video levels taken for full ones, or full ones for video levels.',
    `${own}, after ITU-R BT.601`,
  ],
  ['bars', 'stream', 'Bars or a border around the picture.', own],
  ['partlyDecoded', 'stream', 'Decoded in part: the rest is grey, green, black or repeated.', own],
  ['wrongLayout', 'stream', 'Rows or colour planes read with the wrong layout.', own],
  ['brokenBlocks', 'stream', 'Blocks of a video that are displaced, left over or discoloured.', own],
  [
    'placeholder',
    'stream',
    'A test picture, static or a card instead of a picture.',
    `${own}, bars after ITU-R BT.801`,
  ],
  ['overlay', 'stream', 'Boxes, player controls or captions drawn over the picture.', own],
  ['orientation', 'geometry', 'Mirrored, upside down or turned by a quarter.', `${own}, the kinds of EXIF`],
  ['monochrome', 'colour', 'Grey, as in the infrared mode of a camera.', own],
];

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
