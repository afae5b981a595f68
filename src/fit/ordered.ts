import { probit } from 'simple-statistics';
import type { ProfileDescription } from '../profile/description.ts';
import { correlationTime } from '../profile/maths/correlation.ts';
import { conformalPValue } from '../profile/maths/ranks.ts';
import type { Tensor } from '../profile/safetensors.ts';
import type { FittedReference } from './crossfit.ts';

/** Shorter stretches say nothing of how long a recording remembers. */
const leastRecording = 8;

/**
 * How long recordings of the reference remember: each image as seen by the fit that is without it.
 * @param recordings ids of their images in order
 * @param stride images of a recording per image that was kept, where there were too many to keep all
 * @returns undefined when no recording is long enough
 */
export function orderedCorrelation(
  { unseen, description, tensors }: Pick<FittedReference, 'unseen' | 'description' | 'tensors'>,
  { recordings, stride }: { recordings: readonly (readonly string[])[]; stride: number },
): { correlation: NonNullable<ProfileDescription['correlation']>; correlationTimes: Tensor } | undefined {
  const byId = new Map(unseen.map((image) => [image.sample.id, image]));
  const ordered = recordings
    .map((ids) => ids.flatMap((id) => byId.get(id) ?? []))
    .filter((images) => images.length >= leastRecording);
  if (ordered.length === 0) return undefined;
  const measureTime = (value: (image: FittedReference['unseen'][number]) => number) => {
    const { images, error } = correlationTime(ordered.map((recording) => recording.map(value)));
    return { images: Math.max(1, images * stride), error: error * stride };
  };
  const times = Array.from(unseen[0].z, (_, i) => measureTime(({ z }) => z[i]).images);
  return {
    correlation: {
      recordings: ordered.length,
      images: ordered.reduce((sum, { length }) => sum + length, 0),
      detectors: Object.fromEntries(
        description.detectors.map(({ name }, i) => {
          const { data: calibration } = tensors[`${name}Scores`];
          // Scores have heavy tails: their ranks remember as long, and a few strange images do not rule.
          const time = measureTime(({ scores }) => -probit(Math.min(0.999, conformalPValue(calibration, scores[i]))));
          return [name, time];
        }),
      ),
    },
    correlationTimes: { shape: [times.length], data: Float64Array.from(times) },
  };
}
