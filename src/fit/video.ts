import type { Simulation } from '../image/simulation.ts';
import type { ProfileDescription } from '../profile/description.ts';
import { mapOrdered } from '../run/mapordered.ts';
import type { Pool } from '../run/pool.ts';
import type { EncodedImage } from '../run/task.ts';
import type { FittedReference } from './crossfit.ts';
import { deriveSeed } from './groups.ts';
import type { Sample } from './samples.ts';
import { chooseFrom, type ScoreUnseen, type SecondLook } from './secondlook.ts';

/** More images tell the upper half of the scores hardly better. */
const maxImages = 60;

/**
 * Qualities of WebP, whose frames are coded as key frames of VP8: the detail that they lose is about that of H.264 at a constant
 * rate factor of 23 down to 10. Measured on drives and on the rendered camera, see docs/calibration.md.
 */
const qualities = [85, 89, 92, 95, 98];

/**
 * Learns how much stranger the images of a reference of stills look as frames of a video: a codec rounds away detail that a
 * still has, and of a camera with little noise that alone would stop a clip. Verdicts on frames of a video take it off.
 *
 * Per detector it is the most by which a quantile in the upper half of the scores rises, each image judged by the fit that
 * is without it; at least 0.
 * @returns nothing where the reference itself are frames of a video, or no image can be looked at again
 */
export async function measureVideoRise(
  pool: Pool,
  { scoreUnseen, samples, model }: { scoreUnseen: ScoreUnseen; samples: readonly Sample[]; model: FittedReference },
  { seed, count, findSource, options }: Pick<SecondLook, 'seed' | 'count' | 'findSource' | 'options'>,
): Promise<number[] | undefined> {
  if (samples.some(({ properties }) => properties.codec !== undefined)) return undefined;
  const chosen = chooseFrom(samples, { seed: seed + 3, count: Math.min(count, maxImages), findSource });
  if (chosen.length === 0) return undefined;
  const asFrames: number[][] = [];
  const judge = async ({ sample, image }: { sample: Sample; image: number }) => {
    options.signal?.throwIfAborted();
    const { size } = sample.properties;
    const videoQuality = qualities[image % qualities.length];
    const plan: Simulation[] = [{ severity: 1, seed: deriveSeed(seed, sample.id), crop: false, videoQuality }];
    const [frame] = await pool.simulate(findSource(sample.id) as EncodedImage, plan, { asks: true });
    return scoreUnseen({ ...sample, properties: { size } }, frame).detectors.map(({ score }) => score);
  };
  const numbered = chosen.map((sample, image) => ({ sample, image }));
  for await (const scores of mapOrdered(numbered, pool.info.threads * 2, judge)) asFrames.push(scores);
  const asStills = new Map(model.unseen.map(({ sample, scores }) => [sample.id, scores]));
  const stills = chosen.map(({ id }) => asStills.get(id) as number[]);
  return model.description.detectors.map((_, detector) =>
    findRise(
      stills.map((scores) => scores[detector]),
      asFrames.map((scores) => scores[detector]),
    ),
  );
}

/** The most by which a value of the upper half lies above the one of the same rank before; at least 0. */
export function findRise(before: readonly number[], after: readonly number[]): number {
  const ascending = (values: readonly number[]) => [...values].sort((a, b) => a - b);
  const [low, high] = [ascending(before), ascending(after)];
  let rise = 0;
  for (let rank = Math.floor(low.length / 2); rank < low.length; rank++) rise = Math.max(rise, high[rank] - low[rank]);
  return rise;
}

/** The detectors of a Profile with what is taken off for frames of a video. */
export function withVideoRise(
  detectors: ProfileDescription['detectors'],
  rises: readonly number[] | undefined,
): ProfileDescription['detectors'] {
  return rises ? detectors.map((detector, i) => ({ ...detector, video: rises[i] })) : detectors;
}
