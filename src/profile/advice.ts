import type { CorruptionFamily } from '../image/corruptions/corruptions.ts';

/** What to do about a cause, in one sentence for each reader. */
export interface Advice {
  /** For whoever is on shift, beside the camera or its picture. */
  onShift: string;
  /** For whoever answers for the classifier and its data. */
  dataScientist: string;
}

/**
 * Texts by what they are about: a simulated cause, `family:` and a family of them, `camera`, `file` or `unknown`. A translation is a table of
 * the same keys.
 */
export type AdviceTable = Readonly<Record<string, Advice>>;

const rows: readonly (readonly [key: string, onShift: string, dataScientist: string])[] = [
  [
    'camera',
    'Check which camera or program these images come from, and whether that was meant.',
    'Fit a Profile of its own for this camera, or add its images to the reference, and measure the classifier on them.',
  ],
  [
    'file',
    'Report it: the files come another way than before, and nothing in the picture needs to be done.',
    'Find the camera, program or setting that writes these files; if it stays, add such files to the reference.',
  ],
  [
    'unknown',
    'Look at the picture beside one that passed, and report what is different.',
    'Look at what these images have in common; if they belong here, add them to the reference and to the training data.',
  ],

  [
    'family:noise',
    'Check the light and the gain of the camera, and its cable or radio link.',
    'Measure the classifier on noisy images; if night or high gain is normal here, add such images to the reference.',
  ],
  [
    'family:blur',
    'Check the focus and whether the camera or its mount shakes; clean the glass.',
    'Measure the classifier on blurred images, and see whether exposure times or an update of the camera changed.',
  ],
  [
    'family:weather',
    'Look at the weather and at the glass: wait for fog or rain to pass, wipe off dirt, drops and condensation.',
    'If such weather belongs to the task, collect it for training and reference; else keep it stopped.',
  ],
  [
    'family:light',
    'Check the lamps, the time of day and the exposure of the camera.',
    'If this light comes back every day, it belongs in the reference; else see what changed in exposure or tone curve.',
  ],
  [
    'family:colour',
    'Check the white balance and the colour settings of the camera, and whether it switched to night mode.',
    'See which step of the pipeline orders the channels or converts colours, and measure the classifier on such colours.',
  ],
  [
    'family:compression',
    'Check whether the quality of the stream or the upload was turned down.',
    'Find which step of the pipeline compresses the images again, and whether training images went through it.',
  ],
  [
    'family:scaling',
    'Check the resolution and the sharpening that the camera or the stream is set to.',
    'Find which step resizes or sharpens the images, and bring training and production to the same one.',
  ],
  [
    'family:sensor',
    'Look for something in front of the lens, then check the cable and restart the camera.',
    'Leave these frames out of evaluation and training: they are faults of the camera and not of the scene.',
  ],
  [
    'family:geometry',
    'Check whether the camera was moved, turned, zoomed or hangs loose, and bring it back.',
    'If the new view stays, fit the Profile again and check regions and calibration that depend on the view.',
  ],
  [
    'family:stream',
    'Look whether it is the picture of the camera at all, then restart the stream, its recorder or its player.',
    'Find the step that decodes, converts or draws on the images, and take them from before it.',
  ],

  [
    'gaussianNoise',
    'Check the gain of the camera and its cable: the whole picture is grainy.',
    'Measure the classifier on grainy images; see whether the gain limit or a denoiser of the camera changed.',
  ],
  [
    'shotNoise',
    'Give the scene more light, or allow a longer exposure: too little light reaches the sensor.',
    'See whether exposure time was cut; if dim scenes are normal here, add them to the reference.',
  ],
  [
    'impulseNoise',
    'Check the cable, the plugs and the radio link: single pixels arrive wrong.',
    'Treat it as a fault of transmission; leave these images out, or try a median filter on them.',
  ],
  [
    'speckleNoise',
    'Check the sensor and the gain: bright parts are grainy.',
    'See whether the source is another kind of sensor, and measure the classifier on its images.',
  ],
  [
    'defocusBlur',
    'Set the focus again, and check that nothing moved the lens.',
    'Measure the classifier on unsharp images, and lock the focus where autofocus hunts.',
  ],
  [
    'gaussianBlur',
    'Clean the lens, and check whether the camera smooths or denoises.',
    'See whether resizing or a denoiser was added to the pipeline, and apply the same in training.',
  ],
  [
    'motionBlur',
    'Fasten the camera, or shorten the exposure: something moves while the picture is taken.',
    'See whether exposure time grew or the camera drives faster; add such frames if they are normal.',
  ],
  [
    'zoomBlur',
    'Shorten the exposure, and check that the zoom is locked.',
    'See whether speed or exposure time changed, and measure the classifier on such frames.',
  ],
  [
    'glassBlur',
    'Look at the glass in front of the camera: it is scratched, rippled or iced, so clean or change it.',
    'Keep these frames out of training unless the glass stays as it is.',
  ],
  [
    'rain',
    'Wait for the rain to pass, or judge by hand until then.',
    'If the classifier is to work in rain, collect rainy images for training and reference.',
  ],
  [
    'lensDrops',
    'Wipe the drops off the lens, or switch on wiper or heating.',
    'Do not add these images to the reference; what is behind drops cannot be read.',
  ],
  [
    'snow',
    'Wait for the snow to pass, and clear the housing of it.',
    'If winter belongs to the task, collect snowy images for training and reference.',
  ],
  [
    'frost',
    'Free the glass of ice, and check the heating of the housing.',
    'Do not add these images to the reference; let the heating be mended instead.',
  ],
  [
    'fog',
    'Wait for the fog to lift, and check the glass for condensation.',
    'If the classifier is to work in fog, collect foggy images for training and reference.',
  ],
  [
    'spatter',
    'Clean the lens: water or mud was splashed onto it.',
    'Leave these images out, and look whether the same spot shows in later ones.',
  ],
  ['dirt', 'Clean the lens: dirt has dried on it.', 'Leave these images out, and find from when on the dirt is there.'],
  [
    'sunGlare',
    'Shade the lens, or wait until the sun or lamp no longer shines into it.',
    'See at which hours it comes back, and whether those belong in the reference.',
  ],
  [
    'overExposure',
    'Lower the exposure: the light parts are burnt out.',
    'Nothing can be restored in burnt-out parts; limit the exposure rather than correcting images.',
  ],
  [
    'underExposure',
    'Give more light or exposure: the dark parts are lost.',
    'See whether exposure limits changed; if it is the hour, decide whether night belongs to the task.',
  ],
  [
    'brightness',
    'Check the brightness setting of the camera or screen grabber.',
    'See whether a step adds a constant to pixel values; undo it or train with it.',
  ],
  [
    'lowContrast',
    'Check the contrast setting, and the glass for a film of dirt or moisture.',
    'See whether the range of levels or the tone curve changed (16 to 235 shown as 0 to 255, say).',
  ],
  [
    'dusk',
    'It is dusk or dawn at the camera: see whether lights or its exposure should follow the hour.',
    'Decide whether dusk belongs to the task; if so, collect images of it for training and reference.',
  ],
  [
    'night',
    'Switch on the lights, or judge by hand until it is day.',
    'Decide whether night belongs to the task; if so, collect night images for training and reference.',
  ],
  [
    'colourCast',
    'Check the lamps and filters: the whole picture is tinted.',
    'See whether white balance or the colour matrix changed, and measure the classifier on tinted images.',
  ],
  [
    'whiteBalance',
    'Set the white balance again, or lock it.',
    'Lock the white balance in production, or vary it in training.',
  ],
  [
    'saturation',
    'Check the colour setting of the camera.',
    'See whether a step changes saturation, and bring training and production to the same one.',
  ],
  [
    'desaturation',
    'Check whether the camera switched to night mode or to grey.',
    'If grey images are to be judged, train on them; else stop them by rule.',
  ],
  [
    'gammaLighter',
    'Check the gamma or shadow setting of the camera.',
    'See whether a step applies another tone curve (sRGB twice, say), and undo it.',
  ],
  [
    'gammaDarker',
    'Check the gamma setting of the camera.',
    'See whether a step leaves out the tone curve (linear pixels, say), and mend it.',
  ],
  [
    'jpeg',
    'Turn the quality of the stream or upload up again.',
    'Find what compresses so strongly, and measure the classifier at that quality.',
  ],
  [
    'jpegMild',
    'Check whether the images pass through a messenger, a proxy or an archive.',
    'Find the step that compresses again, and let images through it as they are.',
  ],
  [
    'jpegTwice',
    'Check whether somebody crops or edits the images on their way.',
    'Find the step that decodes, crops and saves again, and take the images from before it.',
  ],
  [
    'webp',
    'Check whether a website or proxy converts the images.',
    'Find the step that converts to WebP, and take the originals.',
  ],
  [
    'downUp',
    'Check the resolution that the camera or stream is set to.',
    'Find the step that shrinks and enlarges; the detail is lost, so take the images from before it.',
  ],
  [
    'pixelate',
    'Check the stream and its bandwidth: the picture consists of blocks.',
    'Leave these images out: what the blocks hide cannot be restored.',
  ],
  [
    'sharpening',
    'Turn down the sharpening of the camera.',
    'See whether a step sharpens, and bring training and production to the same one.',
  ],
  [
    'banding',
    'Check the format of the stream: it has too few levels.',
    'Find the step that reduces bit depth or colours (GIF, 4 or 5 bits), and avoid it.',
  ],
  [
    'stuckRows',
    'Restart the camera; if rows stay black, white or repeated, change it.',
    'Leave these images out, and see whether the same rows are stuck in all.',
  ],
  [
    'deadPixels',
    'Run the pixel correction of the camera, or change it.',
    'Map the dead pixels, and fill them from their neighbours in the pipeline.',
  ],
  [
    'hotPixels',
    'Let the camera cool down, and run its pixel correction.',
    'Subtract a dark frame, or map the hot pixels in the pipeline.',
  ],
  [
    'interlaceTearing',
    'Set the camera or grabber to progressive pictures.',
    'Deinterlace in the pipeline, or use every second row.',
  ],
  [
    'verticalBanding',
    'Restart the camera; if the stripes stay, have it calibrated.',
    'Correct the gain of each column with a flat field.',
  ],
  [
    'occlusion',
    'Remove what stands in front of the lens.',
    'Leave these images out; if the thing stays, mask that part of the view.',
  ],
  [
    'frozenFrame',
    'Check network and cable: the lower part of the picture does not arrive.',
    'Let the reader refuse pictures that arrive in part, and leave these out.',
  ],
  [
    'blankFrame',
    'Check power, cable and lens cap: there is no picture.',
    'Leave these images out; an answer of the classifier to them means nothing.',
  ],
  [
    'rollingShutter',
    'Fasten the camera: it shakes while the picture is read out.',
    'See whether vibration or speed grew, and measure the classifier on such frames.',
  ],
  [
    'rotation',
    'Set the camera upright again.',
    'Check EXIF orientation and the mount; fit again if the new angle stays.',
  ],
  [
    'cropZoom',
    'Check the zoom and the crop that the camera is set to.',
    'Find the step that crops; scale and position of objects have changed for the classifier.',
  ],
  [
    'elastic',
    'Look at the glass or dome in front of the camera: it warps the picture.',
    'Check the lens correction of the pipeline, and that it fits this lens.',
  ],
  [
    'channelSwap',
    'Report it: the colours are swapped, and nothing at the camera needs to be done.',
    'Find the step that takes BGR for RGB, or U for V, and swap the channels back.',
  ],
  [
    'colourRange',
    'Set the range of levels (full or limited) to the same at the camera and at the recorder.',
    'Find the step that takes 16 to 235 for 0 to 255, or the other way round, and declare the range there.',
  ],
  [
    'bars',
    'Check which aspect ratio and resolution the camera, the recorder and the stream are set to.',
    'Crop the bars away before the classifier, or find the step that pads and bring training to the same.',
  ],
  [
    'partlyDecoded',
    'Check network and storage: a part of the picture is missing, and restart the stream if it stays.',
    'Let the reader refuse pictures that a decoder reports as damaged or cut short, and leave these out.',
  ],
  [
    'wrongLayout',
    'Report it: the stream is unpacked wrongly, and nothing at the camera needs to be done.',
    'Find the step that assumes another stride or pixel format (NV12 for I420, say), and read both from the frame.',
  ],
  [
    'brokenBlocks',
    'Check network, cable and bandwidth: packets of the video are lost.',
    'Wait for the next key frame before judging, send video over TCP, and leave these images out.',
  ],
  [
    'placeholder',
    'Check whether the camera is on and connected: this is no picture of it.',
    'Leave these images out; an answer of the classifier to them means nothing, and test for them upstream.',
  ],
  [
    'overlay',
    'Switch off what is drawn over the picture: boxes, menus, clock or the controls of a player.',
    'Take the images from before the step that draws on them; if the caption stays, mask that part of the view.',
  ],
  [
    'orientation',
    'Check whether the camera hangs upside down and whether its mirror or flip setting was changed.',
    'Find the step that ignores EXIF orientation or flips the images, and turn them back.',
  ],
  [
    'monochrome',
    'Check whether the camera switched to infrared, and why: darkness, or a covered light sensor.',
    'If infrared images are to be judged, give them a Profile and training data of their own; else stop them.',
  ],
];

/** In English. */
export const englishAdvice: AdviceTable = Object.fromEntries(
  rows.map(([key, onShift, dataScientist]) => [key, { onShift, dataScientist }]),
);

/** What advice a likely cause asks for: that of one cause, else of its family. */
export function findAdvice(
  cause: { kind: string; cause?: string | undefined; family?: CorruptionFamily | undefined },
  table: AdviceTable = englishAdvice,
): Advice {
  const { kind } = cause;
  const key =
    kind === 'camera' || kind === 'file'
      ? kind
      : (cause.cause ?? (cause.family ? `family:${cause.family}` : 'unknown'));
  return (table[key] ?? table.unknown) as Advice;
}
