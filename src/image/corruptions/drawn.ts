import { Canvas, type Colour } from './canvas.ts';
import type { Pixels } from './filter.ts';
import { letterSize } from './glyphs.ts';
import type { Random } from './random.ts';

const white: Colour = [255, 255, 255];
const black: Colour = [0, 0, 0];

/** Size of a dot of a letter as a share of the height, and how much is drawn, for the severities of an overlay. */
const overlays = [
  { dot: 0.004, count: 1 },
  { dot: 0.006, count: 2 },
  { dot: 0.008, count: 3 },
  { dot: 0.01, count: 5 },
  { dot: 0.013, count: 8 },
] as const;

const labels = ['CAR', 'PERSON', 'TRUCK', 'SIGN', 'CAMERA'] as const;
const boxColours: readonly Colour[] = [
  [255, 0, 0],
  [0, 255, 0],
  [255, 230, 0],
  [0, 180, 255],
  [255, 0, 220],
];
const twoDigits = (random: Random, count: number) => String(random.integer(count)).padStart(2, '0');

/** Something was drawn over the picture: detections, the controls of a player, or clock and name of the camera, by the seed. */
export function overlay(pixels: Pixels, severity: number, random: Random): Uint8Array {
  const canvas = new Canvas(pixels);
  const { dot: share, count } = overlays[severity - 1];
  const dot = Math.max(1, Math.round(share * pixels.height));
  [drawDetections, drawPlayer, drawCaptions][random.integer(3)](canvas, { dot, count }, random);
  return canvas.data;
}

type Amount = { dot: number; count: number };

function drawDetections(canvas: Canvas, { dot, count }: Amount, random: Random): void {
  const { width, height } = canvas;
  for (let i = 0; i < count + 1; i++) {
    const [w, h] = [random.uniform(0.08, 0.3) * width, random.uniform(0.1, 0.4) * height];
    const [x, y] = [random.uniform(0, 0.95) * (width - w), random.uniform(0.1, 0.95) * (height - h)];
    const colour = boxColours[random.integer(boxColours.length)];
    const text = `${labels[random.integer(labels.length)]} ${twoDigits(random, 100)}`;
    canvas.outline(x, y, w, h, Math.max(1, dot), colour);
    canvas.fill(x, y - 9 * dot, (text.length * letterSize.width + 2) * dot, 9 * dot, colour);
    canvas.text(text, x + dot, y - 8 * dot, dot, black);
  }
}

function drawPlayer(canvas: Canvas, { dot }: Amount, random: Random): void {
  const { width, height } = canvas;
  const bar = 16 * dot;
  const played = random.uniform(0.1, 0.9);
  canvas.fill(0, height - bar, width, bar, black, 0.6);
  canvas.fill(2 * dot, height - bar, width - 4 * dot, Math.max(1, dot), [150, 150, 150]);
  canvas.fill(2 * dot, height - bar, played * (width - 4 * dot), Math.max(1, dot), [230, 30, 30]);
  const clock = `${twoDigits(random, 60)}:${twoDigits(random, 60)} / ${twoDigits(random, 60)}:${twoDigits(random, 60)}`;
  canvas.text(clock, 14 * dot, height - bar + 5 * dot, dot, white);
  drawTriangle(canvas, 3 * dot, height - bar + 4 * dot, 9 * dot);
  const radius = 14 * dot;
  canvas.disk(width / 2, height / 2, radius, [30, 30, 30]);
  drawTriangle(canvas, width / 2 - 0.4 * radius, height / 2 - 0.6 * radius, 1.2 * radius);
}

/** Points to the right, as a button to play does. */
function drawTriangle(canvas: Canvas, left: number, top: number, size: number): void {
  for (let x = 0; x < size; x++) canvas.fill(left + x, top + x / 2, 1, Math.max(1, size - x), white);
}

function drawCaptions(canvas: Canvas, { dot, count }: Amount, random: Random): void {
  const { width, height } = canvas;
  const date = `20${20 + random.integer(10)}-${twoDigits(random, 12)}-${twoDigits(random, 28)}`;
  const lines = [
    `${date} ${twoDigits(random, 24)}:${twoDigits(random, 60)}:${twoDigits(random, 60)}`,
    `CAMERA ${twoDigits(random, 40)}`,
  ];
  const corners = random.integer(4);
  for (let i = 0; i < count + 1; i++) {
    const words = lines[i % lines.length];
    const [isRight, isLow] = [((corners + i) & 1) === 1, ((corners + (i >> 1)) & 2) !== 0];
    const row = 3 * dot + (i >> 2) * (letterSize.height + 3) * dot;
    const x = isRight ? width - (words.length * letterSize.width + 3) * dot : 3 * dot;
    canvas.text(words, x, isLow ? height - row - letterSize.height * dot : row, dot, white, black);
  }
}

/** The bars of EBU and ITU-R BT.801 at 75 %, from white to black. */
const bars75: readonly Colour[] = [
  [191, 191, 191],
  [191, 191, 0],
  [0, 191, 191],
  [0, 191, 0],
  [191, 0, 191],
  [191, 0, 0],
  [0, 0, 191],
  [0, 0, 0],
];

const messages = ['NO SIGNAL', 'NO VIDEO', 'VIDEO LOSS', 'OFFLINE', 'CONNECTING'] as const;
const cards: readonly Colour[] = [
  [12, 12, 12],
  [16, 32, 200],
  [60, 60, 64],
  [0, 0, 0],
  [200, 200, 200],
];

/**
 * What is delivered instead of the camera's picture. It has no degrees, so severities are kinds: a card that says so (1, with a
 * sign 2), colour bars (3), a test card (4), the static of an analogue receiver (5).
 */
export function placeholder(pixels: Pixels, severity: number, random: Random): Uint8Array {
  if (severity === 5) return drawStatic(pixels, random);
  const canvas = new Canvas(pixels);
  if (severity === 3) drawBars(canvas, random);
  else if (severity === 4) drawTestCard(canvas, random);
  else drawCard(canvas, severity === 2, random);
  return canvas.data;
}

/** Dots of text as large as fits into a share of the width. */
const dotFor = ({ width }: Canvas, words: string, share: number) =>
  Math.max(1, Math.round((share * width) / (words.length * letterSize.width)));

function drawCard(canvas: Canvas, hasSign: boolean, random: Random): void {
  const { width, height } = canvas;
  const colour = cards[random.integer(cards.length)];
  const ink: Colour = colour[0] > 128 ? [30, 30, 30] : [235, 235, 235];
  canvas.fill(0, 0, width, height, colour);
  const message = messages[random.integer(messages.length)];
  canvas.centre(
    message,
    width / 2,
    height * (hasSign ? 0.72 : 0.5),
    dotFor(canvas, message, random.uniform(0.25, 0.6)),
    ink,
  );
  if (!hasSign) return;
  const size = 0.3 * Math.min(width, height);
  const line = Math.max(1, Math.round(0.06 * size));
  canvas.outline(width / 2 - size / 2, 0.4 * height - 0.35 * size, size, 0.7 * size, line, ink);
  canvas.disk(width / 2, 0.4 * height, 0.22 * size, ink, line);
}

function drawBars(canvas: Canvas, random: Random): void {
  const { width, height } = canvas;
  // With or without the lower third of SMPTE: the same bars the other way round, then grey steps.
  const main = random.uniform() < 0.5 ? height : Math.round(0.67 * height);
  const step = width / bars75.length;
  for (const [i, colour] of bars75.entries()) {
    const left = Math.round(i * step);
    const size = Math.round((i + 1) * step) - left;
    canvas.fill(left, 0, size, main, colour);
    canvas.fill(left, main, size, 0.08 * height, bars75[bars75.length - 1 - i]);
    const grey = Math.round((255 * i) / (bars75.length - 1));
    canvas.fill(left, main + Math.round(0.08 * height), size, height, [grey, grey, grey]);
  }
}

function drawTestCard(canvas: Canvas, random: Random): void {
  const { width, height } = canvas;
  canvas.fill(0, 0, width, height, [110, 110, 110]);
  const cell = Math.max(2, Math.round(height / (10 + random.integer(5))));
  const line = Math.max(1, Math.round(height / 240));
  for (let x = cell / 2; x < width; x += cell) canvas.fill(x, 0, line, height, white);
  for (let y = cell / 2; y < height; y += cell) canvas.fill(0, y, width, line, white);
  const radius = 0.42 * Math.min(width, height);
  const [cx, cy] = [width / 2, height / 2];
  for (const [i, colour] of bars75.entries()) {
    canvas.fill(cx - 0.8 * radius + i * 0.2 * radius, cy - 0.5 * radius, 0.2 * radius, 0.35 * radius, colour);
    const grey = Math.round((255 * i) / (bars75.length - 1));
    canvas.fill(cx - 0.8 * radius + i * 0.2 * radius, cy + 0.25 * radius, 0.2 * radius, 0.25 * radius, [
      grey,
      grey,
      grey,
    ]);
  }
  canvas.fill(cx - 0.8 * radius, cy - 0.15 * radius, 1.6 * radius, 0.4 * radius, black);
  const name = `TEST ${twoDigits(random, 40)}`;
  canvas.centre(name, cx, cy + 0.05 * radius, Math.max(1, Math.round(radius / 45)), white);
  canvas.disk(cx, cy, radius, white, 2 * line);
}

/** Grey dots without any picture behind them, wider than high, as the bandwidth of a line makes them. */
function drawStatic({ data, width, height }: Pixels, random: Random): Uint8Array {
  const out = new Uint8Array(data.length);
  const wide = 1 + random.integer(3);
  const [mean, deviation] = [random.uniform(90, 140), random.uniform(45, 80)];
  const dots = Math.ceil(width / wide);
  const normals = random.normals(dots * height, mean, deviation);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const grey = Math.min(255, Math.max(0, normals[y * dots + Math.floor(x / wide)]));
      out.fill(grey, at, at + 3);
    }
  }
  return out;
}
