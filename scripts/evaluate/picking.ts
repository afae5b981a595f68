import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { corrupt, corruptions, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import type { Profile } from '../../src/profile/description.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import type { LabelRow } from '../../src/run/labelling/labelrow.ts';
import { pickImages } from '../../src/run/labelling/pick.ts';
import { mean } from './measures.ts';

export interface PickingOptions {
  profile: Profile;
  size: { width: number; height: number };
  /** Frames of the camera that none of the reference is, in the order in which they are drawn. */
  firstFrame: number;
  images: number;
  /** How many are chosen. */
  count: number;
  seed: number;
}

/** What one way to choose comes to. */
export interface PickingResult {
  way: string;
  /** Share of the chosen images that something happened to. */
  changed: number;
  /** How many different things happened to them. */
  causes: number;
}

type TrueRow = LabelRow & { truth: string | undefined };

/** Share of the images that something happened to, and of these the share of one thing: what happens often hides what is rare. */
const shares = { changed: 0.2, common: 0.7 };
/** Choices by chance, of which the mean is told. */
const draws = 200;

/**
 * Judges frames of the rendered camera to which one thing happened often and all others rarely, and counts what several ways to choose
 * some of them bring to light.
 */
export async function measurePicking(options: PickingOptions): Promise<PickingResult[]> {
  const rows = await judgeFrames(options);
  const { count, seed } = options;
  const random = new Random(seed);
  const chances = Array.from({ length: draws }, () => countCauses(drawSome(rows, count, random)));
  const ways = [
    ['pick', undefined],
    ['pick, strangest alone', 'novelty'],
    ['pick, most unlike alone', 'strangeness'],
  ] as const;
  const results: PickingResult[] = [];
  for (const [way, without] of ways) {
    const picks = await pickImages(rows, { count, without });
    results.push({ way, ...countCauses(picks.map(({ row }) => row)) });
  }
  const chance = {
    changed: mean(chances.map(({ changed }) => changed)),
    causes: mean(chances.map(({ causes }) => causes)),
  };
  return [...results, { way: 'by chance', ...chance }];
}

async function judgeFrames({ profile, size, firstFrame, images, seed }: PickingOptions): Promise<TrueRow[]> {
  const inspector = await createInspector({ profile });
  const random = new Random(seed);
  const common = 'rain';
  const rare = corruptions.map(({ name }) => name).filter((name) => name !== common);
  const rows: TrueRow[] = [];
  for (let i = 0; i < images; i++) {
    const frame = renderFrame(firstFrame + i, size);
    const isChanged = random.uniform() < shares.changed;
    const truth = !isChanged
      ? undefined
      : random.uniform() < shares.common
        ? common
        : rare[random.integer(rare.length)];
    const severity = (1 + random.integer(5)) as Severity;
    const shown = truth === undefined ? frame : await corrupt(frame, truth, severity, i);
    const { timingMs: _, ...verdict } = await inspector.inspect(await encodeFrame(shown));
    rows.push({ path: `frame${i}.jpg`, ...verdict, truth });
  }
  return rows;
}

function countCauses(rows: readonly TrueRow[]): { changed: number; causes: number } {
  const truths = rows.flatMap(({ truth }) => (truth === undefined ? [] : [truth]));
  return { changed: truths.length / rows.length, causes: new Set(truths).size };
}

/** Some of the rows, none twice. */
function drawSome(rows: readonly TrueRow[], count: number, random: Random): TrueRow[] {
  const left = [...rows];
  return Array.from({ length: Math.min(count, rows.length) }, () => left.splice(random.integer(left.length), 1)[0]);
}
