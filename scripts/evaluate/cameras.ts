import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { createDrift } from '../../src/drift/drift.ts';
import { crossFit, folds } from '../../src/fit/crossfit.ts';
import { fit } from '../../src/fit/fit.ts';
import { assignFolds, withGroups } from '../../src/fit/groups.ts';
import type { Sample } from '../../src/fit/samples.ts';
import { corrupt, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { categoricalProperties } from '../../src/image/measured.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { listImages } from '../../src/run/inputs/folder.ts';
import { mapOrdered } from '../../src/run/mapordered.ts';
import { createPool } from '../../src/run/pool.ts';
import type { StreamImage } from './populations.ts';

/** One statistic in so many of real frames is watched: there are as many as in the other streams. */
const thinned = 6;
const size = { width: 320, height: 180 };
/** Frames that no reference holds. */
const fresh = { clean: 120, spoilt: 12 } as const;

/** Delays of one cause, sorted; Infinity for a miss. */
export interface CauseDelays {
  cause: string;
  severity: Severity;
  images: number;
  delays: number[];
}

export interface CameraOptions {
  /** Images of the reference. */
  images: readonly number[];
  causes: readonly string[];
  severities: readonly Severity[];
  runs: number;
  falseAlarmEvery: number;
  seed: number;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Delays of the simulated camera of the demo: fitted on so many independent frames, watched on fresh ones, and then on fresh
 * ones under a cause. Every frame is rendered, encoded, decoded and judged as any other.
 */
export async function cameraDelays(options: CameraOptions): Promise<CauseDelays[]> {
  const { images, causes, severities, runs, falseAlarmEvery, seed, onProgress } = options;
  const folder = await mkdtemp(join(tmpdir(), 'stopline-streams-'));
  const total = Math.max(...images) + images.length * (fresh.clean + fresh.spoilt * causes.length * severities.length);
  let done = 0;
  const step = () => onProgress?.(++done, total);
  try {
    for (let i = 0; i < Math.max(...images); i++) {
      await writeFile(join(folder, `${i}.jpg`), await encodeFrame(renderFrame(i, size)));
      step();
    }
    const answers: CauseDelays[] = [];
    for (const count of images) {
      const { profile } = await fit({
        paths: [folder],
        only: ({ path }) => Number(path.match(/(\d+)\.jpg$/)?.[1]) < count,
        groupBy: 'none',
        model: 'none',
        simulations: 40,
        power: 0,
        example: false,
      });
      const inspector = await createInspector({ profile });
      const clean: Verdict[] = [];
      for (let i = 0; i < fresh.clean; i++) {
        clean.push(await inspector.inspect(await encodeFrame(renderFrame(100_000 + i, size))));
        step();
      }
      const drift = createDrift(profile, { falseAlarmEvery });
      for (const cause of causes) {
        for (const severity of severities) {
          const spoilt: Verdict[] = [];
          for (let i = 0; i < fresh.spoilt; i++) {
            const frame = await corrupt(renderFrame(200_000 + i, size), cause, severity, seed + i);
            spoilt.push(await inspector.inspect(await encodeFrame(frame)));
            step();
          }
          const delays = Array.from({ length: runs }, (_, run) => {
            const random = new Random(seed + run);
            const monitor = drift.monitor();
            let number = 0;
            const observe = (verdicts: readonly Verdict[]) => {
              const verdict = verdicts[random.integer(verdicts.length)];
              // The same frame comes again, and that is not what is asked: each gets a name of its own.
              const key = (++number).toString(16).padStart(16, '0').padEnd(64, '0');
              const named = { ...verdict, image: { ...verdict.image, sha256: key, hash: key.slice(0, 16) } };
              return monitor.observe(drift.makeObservation(named, 1000 * number))?.to === 'drifted';
            };
            for (let i = 0; i < 100; i++) observe(clean);
            let delay = 1;
            while (delay <= 1000 && !observe(spoilt)) delay++;
            return delay <= 1000 ? delay : Number.POSITIVE_INFINITY;
          });
          answers.push({ cause, severity, images: count, delays: delays.sort((a, b) => a - b) });
        }
      }
    }
    return answers;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Frames of recordings in order, each as the model sees them that was not fitted on its part of its recording. */
export async function recordedFrames(folders: readonly string[], threads: number): Promise<StreamImage[][]> {
  const pool = await createPool({ threads, isBatch: true });
  const kept: (Sample & { listed: { path: string; folder: string } })[] = [];
  try {
    const measure = async (listed: { path: string; folder: string }) => ({
      listed,
      image: await pool.measure(listed.path),
    });
    for await (const { listed, image } of mapOrdered(listImages(folders), threads * 4, measure)) {
      const { sha256: id, statistics } = image;
      const properties = categoricalProperties(image);
      kept.push({ id, path: listed.path, group: '', fold: 0, statistics, properties, listed });
    }
  } finally {
    await pool.destroy();
  }
  const recordings = [...new Set(kept.map(({ listed }) => listed.folder))];
  const { samples } = withGroups(kept, { folders: recordings.length, groupBy: 'folder' });
  const foldByGroup = assignFolds(samples, { folds, seed: 1 });
  const { unseen } = crossFit(
    samples.map((sample) => ({ ...sample, fold: foldByGroup.get(sample.group) as number })),
    [],
  );
  const byId = new Map(unseen.map((image) => [image.sample.id, image]));
  return recordings.map((folder) =>
    kept
      .filter(({ listed }) => listed.folder === folder)
      .flatMap(({ id }) => {
        const image = byId.get(id);
        return image
          ? [{ score: image.score, values: Float64Array.from(image.z).filter((_, i) => i % thinned === 0) }]
          : [];
      }),
  );
}
