/**
 * The three pictures of the concept pages. `npm run pictures:concepts` fits a Profile on the rendered camera, judges what they show and
 * keeps the numbers in docs/pictures/concepts.json; `npm run docs` draws them from there.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { createDrift } from '../../src/drift/drift.ts';
import { corrupt, type Severity } from '../../src/image/corruptions/corruptions.ts';
import type { Frame } from '../../src/image/frame.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { fitOnce } from '../../test/fixtures/fitted.ts';
import { takeProbe } from './probe.ts';

export interface Concepts {
  images: number;
  /** Ascending scores of the reference, each by a model that has not seen its group. */
  reference: number[];
  warn: number;
  /** A fresh image and one in fog: their scores and p-values. */
  judged: { name: string; score: number; pValue: number }[];
  /** What is strange about how an image was taken, and about what it shows; 1 is the edge of the reference. */
  kinds: { name: string; points: [capture: number, content: number][] }[];
  /** Share of an alarm's evidence after every image. */
  streams: { name: string; shares: number[] }[];
  /** The image from which on the second stream is darker. */
  changedFrom: number;
}

const size = { width: 480, height: 270 };
const perKind = 24;
const streamLength = 160;
const changedFrom = 100;

/** The lower half above the upper one: other content, taken in the same way. */
function turnOver({ width, height, channels, data, ...rest }: Frame): Frame {
  const row = width * channels;
  const turned = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) turned.set(data.subarray(y * row, (y + 1) * row), (height - 1 - y) * row);
  return { ...rest, width, height, channels, data: turned } as Frame;
}

export async function measureConcepts(): Promise<Concepts> {
  const { profile } = await fitOnce({ images: 160, size, simulations: 12, power: 3, keepPaths: true, name: 'street' });
  const inspector = await createInspector({ profile });
  const inspect = async (frame: Frame) => inspector.inspect(await encodeFrame(frame));
  const read = (verdict: Verdict, wanted: string) => verdict.detectors.find(({ name }) => name === wanted)?.score ?? 0;
  const under = (cause: string, severity: Severity) => (frame: Frame, i: number) => corrupt(frame, cause, severity, i);
  const changes: Record<string, (frame: Frame, i: number) => Frame | Promise<Frame>> = {
    'like the reference': (frame) => frame,
    'JPEG-compressed': under('jpeg', 3),
    'upside down': turnOver,
    'in fog': under('fog', 3),
  };
  const kinds = [];
  const judged = [];
  for (const [name, change] of Object.entries(changes)) {
    const verdicts: Verdict[] = [];
    for (let i = 0; i < perKind; i++) verdicts.push(await inspect(await change(renderFrame(6000 + i, size), i)));
    kinds.push({
      name,
      points: verdicts.map((one): [number, number] => [tidy(read(one, 'capture')), tidy(read(one, 'content'))]),
    });
    const [{ score, pValue }] = verdicts;
    if (name === 'like the reference' || name === 'in fog') judged.push({ name, score: tidy(score), pValue });
  }
  const watch = async (severity: Severity | undefined) => {
    const drift = createDrift(profile);
    const monitor = drift.monitor();
    const shares: number[] = [];
    for (let i = 0; i < streamLength; i++) {
      const frame = renderFrame(7000 + i, size);
      const seen =
        severity !== undefined && i >= changedFrom ? await corrupt(frame, 'gammaDarker', severity, i) : frame;
      monitor.observe(drift.makeObservation(await inspect(seen), 1_700_000_000_000 + i * 60_000));
      shares.push(tidy(monitor.report().evidence.share));
    }
    return shares;
  };
  const streams = [
    { name: 'like the reference throughout', shares: await watch(undefined) },
    { name: `darker from image ${changedFrom} on`, shares: await watch(2) },
  ];
  const reference = Array.from(profile.tensors.combinedScores.data, tidy).sort((a, b) => a - b);
  const { warn } = profile.falseAlarmRate.promised;
  return { images: profile.reference.images, reference, warn, judged, kinds, streams, changedFrom };
}

const tidy = (value: number): number => Number(value.toPrecision(4));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = fileURLToPath(new URL('../../docs/pictures/concepts.json', import.meta.url));
  writeFileSync(file, `${JSON.stringify({ probe: await takeProbe(), ...(await measureConcepts()) })}\n`);
  process.exit(0);
}
