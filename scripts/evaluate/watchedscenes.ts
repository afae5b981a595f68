import { renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import { blurPixels } from '../../src/image/corruptions/filter.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import type { Frame } from '../../src/image/frame.ts';
import { addNoise, type Pose, Scene } from '../../test/fixtures/scene.ts';
import { applyFault } from './faults.ts';

/** Images in a second, and in a day. */
export const rate = 5;
const day = rate * 24 * 3600;
const size = { width: 320, height: 180 };
const noise = 2;

/** A rendered camera: where it stands, and at which time of the day a fault begins. */
export interface RenderedCamera {
  name: string;
  about: string;
  isStanding: boolean;
  /** Whether its recorder draws a clock into the picture. */
  hasClock: boolean;
  /** Image at which it begins to be watched. */
  start: number;
  /** One image as it is seen, without noise where the recorder has stopped. */
  paint(image: number, pose?: Pose, clockAt?: number): Frame;
}

/** Brightness over the day, with clouds: 0.15 at midnight, 1 at noon, dusk in between. */
function lightAt(image: number): number {
  const sun = Math.max(0, Math.min(1, 0.5 - 0.75 * Math.cos((2 * Math.PI * image) / day)));
  return (0.15 + 0.85 * sun) * (1 + 0.06 * Math.sin(image / 900) + 0.04 * Math.sin(image / 131));
}

/** Colours that follow the brightness, as of asphalt, walls and sky. */
const palette = Array.from({ length: 256 }, (_, grey) => {
  const clip = (value: number) => Math.max(0, Math.min(255, Math.round(value)));
  return [clip(grey * 1.08 + 7 * Math.sin(grey / 17)), grey, clip(grey * 0.9 + 12 * Math.cos(grey / 23))] as const;
});

function colour(frame: Frame): Frame {
  const data = new Uint8Array(3 * frame.data.length);
  for (let i = 0; i < frame.data.length; i++) data.set(palette[frame.data[i]], 3 * i);
  return { ...frame, data, channels: 3 };
}

function stand(
  name: string,
  about: string,
  options: { seed: number; traffic: number; hasClock: boolean; hour: number },
) {
  const { seed, traffic, hasClock, hour } = options;
  const scene = new Scene({ seed, traffic, noise: 0, light: lightAt });
  const paint = (image: number, pose?: Pose, clockAt = image) => {
    const frame = colour(scene.paint(image, pose));
    return hasClock ? drawClock(frame, Math.floor(clockAt / rate)) : frame;
  };
  return { name, about, isStanding: true, hasClock, start: Math.round(30 * day + (hour / 24) * day), paint };
}

/** Five cameras that are watched side by side. */
export const renderedCameras: readonly RenderedCamera[] = [
  stand('front', 'a street by day, cars and a tree in the wind', { seed: 1, traffic: 2, hasClock: false, hour: 12 }),
  stand('yard', 'dusk, a clock in the picture, one car at a time', { seed: 2, traffic: 1, hasClock: true, hour: 18.4 }),
  stand('square', 'day, six cars at a time, a clock', { seed: 3, traffic: 6, hasClock: true, hour: 10 }),
  stand('gate', 'night, a clock', { seed: 4, traffic: 2, hasClock: true, hour: 0.5 }),
  {
    name: 'road',
    about: 'driving: no two images show the same place',
    isStanding: false,
    hasClock: false,
    start: 30 * day,
    paint: (image) => renderFrame(image, size),
  },
];

/** Digits of a burnt-in clock, each of 15 cells that change with it. */
function drawClock(frame: Frame, second: number): Frame {
  const data = frame.data.slice();
  for (let digit = 0; digit < 8; digit++) {
    const random = new Random(Math.floor(second / 10 ** (7 - digit)) % 10);
    for (let cell = 0; cell < 15; cell++) {
      const value = random.uniform() < 0.5 ? 255 : 0;
      for (let y = 0; y < 2; y++)
        for (let x = 0; x < 2; x++) {
          const at = (4 + 2 * Math.floor(cell / 3) + y) * frame.width + 4 + digit * 7 + 2 * (cell % 3) + x;
          data.fill(value, 3 * at, 3 * at + 3);
        }
    }
  }
  return { ...frame, data };
}

/** An image as the sensor gives it. */
export function takeImage(camera: RenderedCamera, image: number): Frame {
  return addNoise(camera.paint(image), noise, image);
}

/** What happens to a camera, and how it is to be noticed. */
export interface CameraFault {
  name: string;
  kind: 'gross' | 'local' | 'pan';
  /** Only of cameras that stand. */
  needsView: boolean;
  /** Only of cameras with a clock: one that is new is another fault. */
  needsClock?: boolean;
  /** What says the right thing of it. */
  right: RegExp;
  /** @param image the one that is seen @param first the one with which the fault began */
  draw(camera: RenderedCamera, image: number, first: number): Frame | Promise<Frame>;
}

const whole = (paint: (clean: Frame) => Frame | Promise<Frame>): CameraFault['draw'] => {
  return (camera, image) => paint(takeImage(camera, image));
};
const posed = (pose: Pose): CameraFault['draw'] => {
  return (camera, image) => addNoise(camera.paint(image, pose), noise, image);
};
/** The same place in every image: the seed is that of the fault. */
const drawn = (name: string): CameraFault['draw'] => {
  return (camera, image) => {
    const frame = takeImage(camera, image);
    return { ...frame, data: applyFault(frame, name, 3, 5) };
  };
};
const fill = (frame: Frame, grey: number): Frame => ({ ...frame, data: new Uint8Array(frame.data.length).fill(grey) });
/** `sensor or obstacle` is what the service calls something in front of the lens that it cannot tell closer. */
const hidden = /hid|lens|dirt|drop|smudge|occlu|obstacle|spatter|blur|part/i;

export const cameraFaults: readonly CameraFault[] = [
  {
    ...{ name: 'frozen', kind: 'gross', needsView: false, right: /frozen/ },
    draw: (camera, _, first) => takeImage(camera, first),
  },
  {
    ...{ name: 'frozen, clock ticks', kind: 'gross', needsView: false, needsClock: true, right: /frozen|part|loop/ },
    draw: (camera, image, first) => {
      const still = addNoise(camera.paint(first), noise, first);
      return drawClock(still, Math.floor(image / rate));
    },
  },
  {
    ...{
      name: 'covered',
      kind: 'gross',
      needsView: false,
      right: /dark|light|occlu|obstacle|cover|hid|lens|exposure/i,
    },
    draw: (camera, image) => addNoise(fill(camera.paint(image), 14), noise, image),
  },
  {
    ...{ name: 'defocused', kind: 'gross', needsView: false, right: /focus|blur|lens/i },
    draw: whole((frame) => ({ ...frame, data: blurPixels(frame, 4) })),
  },
  { ...{ name: 'moved by 5 %', kind: 'gross', needsView: true, right: /moved/ }, draw: posed({ right: 0.05 }) },
  {
    ...{ name: 'upside down', kind: 'gross', needsView: false, right: /upsideDown|orientation|rotat|mirror/i },
    draw: whole((frame) => {
      const data = frame.data.slice();
      const last = frame.width * frame.height - 1;
      for (let i = 0; i <= last; i++) data.set(frame.data.subarray(3 * (last - i), 3 * (last - i) + 3), 3 * i);
      return { ...frame, data };
    }),
  },
  {
    ...{ name: 'placeholder', kind: 'gross', needsView: false, right: /placeholder|test|frozen/i },
    draw: (camera) => drawClock(fill(camera.paint(0), 32), 1),
  },
  {
    ...{ name: 'wrong colours', kind: 'gross', needsView: false, right: /colou?r|white|channel|hue|swap/i },
    draw: whole((frame) => {
      const data = frame.data.slice();
      for (let i = 0; i < data.length; i += 3) [data[i], data[i + 2]] = [data[i + 2], data[i]];
      return { ...frame, data };
    }),
  },
  { ...{ name: 'smudge', kind: 'local', needsView: false, right: hidden }, draw: drawn('smudge') },
  {
    ...{ name: 'drops', kind: 'local', needsView: false, right: hidden },
    draw: whole((frame) => corrupt(frame, 'lensDrops', 3, 5)),
  },
  {
    ...{ name: 'dirt', kind: 'local', needsView: false, right: hidden },
    draw: whole((frame) => corrupt(frame, 'dirt', 3, 5)),
  },
  { ...{ name: 'leaf', kind: 'local', needsView: false, right: hidden }, draw: drawn('leaf') },
  {
    ...{ name: 'stuck block', kind: 'local', needsView: false, right: /part|dead|stuck/i },
    draw: (camera, image, first) => copyBlock(takeImage(camera, image), takeImage(camera, first)),
  },
  { ...{ name: 'pan of 1 %', kind: 'pan', needsView: true, right: /moved/ }, draw: posed({ right: 0.01 }) },
];

/** A sixteenth of the picture that stays as it was. */
function copyBlock(frame: Frame, from: Frame): Frame {
  const data = frame.data.slice();
  const [left, top] = [Math.round(0.6 * frame.width), Math.round(0.6 * frame.height)];
  for (let y = top; y < top + frame.height / 4; y++) {
    const at = 3 * (y * frame.width + left);
    data.set(from.data.subarray(at, at + 3 * Math.round(frame.width / 4)), at);
  }
  return { ...frame, data };
}
