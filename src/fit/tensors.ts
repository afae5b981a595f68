import type { CauseFit } from '../profile/diagnosis.ts';
import { countSizes, type EmbeddingFit } from '../profile/embeddings.ts';
import { concatenate } from '../profile/maths/softmax.ts';
import type { Tensor } from '../profile/safetensors.ts';
import type { Parts } from '../profile/score.ts';
import { principalAxes, projectCloud } from './embeddings.ts';
import type { Sample } from './samples.ts';

/** Axes of the content of a reference, and where its images lie along them. */
export function collectProjections(model: EmbeddingFit, samples: readonly Sample[]): Record<string, Tensor> {
  const axes = principalAxes(model);
  const { content } = countSizes(model.parts);
  const rows = samples.flatMap(({ id, embedding }) => (embedding ? { id, embedding } : []));
  const cloud = projectCloud(model, axes, rows);
  const across = axes.length / content;
  return {
    embeddingAxes: { shape: [across, content], data: axes, isSingle: true },
    embeddingCloud: { shape: [cloud.length / across, across], data: cloud, isSingle: true },
  };
}

export function collectTensors(
  { regimes, members, causeFit, embeddingFit, placeFit }: Parts,
  calibration?: Pick<CauseFit, 'unknown'>,
): Record<string, Tensor> {
  const knots = regimes.flatMap(({ gaussianisers }) => gaussianisers);
  const offsets = [0];
  for (const { x } of knots) offsets.push(offsets[offsets.length - 1] + x.length);
  const count = regimes[0].mean.length;
  const tensors: Record<string, Tensor> = {
    knotOffsets: vector(offsets),
    knotValues: vector(knots.flatMap(({ x }) => [...x])),
    knotDeviations: vector(knots.flatMap(({ z }) => [...z])),
    slopes: vector(knots.map(({ slope }) => slope)),
    mean: { shape: [regimes.length, count], data: concatenate(regimes.map(({ mean }) => mean)) },
    precision: {
      shape: [regimes.length, count, count],
      data: concatenate(regimes.map(({ precision }) => precision)),
    },
  };
  if (embeddingFit) {
    const { floors, centre, scales, factor, coreset, parts } = embeddingFit;
    const { content, early } = countSizes(parts);
    const width = content + early;
    Object.assign(tensors, {
      embeddingFloors: vector(floors),
      embeddingCentre: vector(centre),
      embeddingScales: vector(scales),
      embeddingFactor: { shape: [width, width], data: factor, isSingle: true },
      embeddingCoreset: { shape: [coreset.length / content, content], data: coreset, isSingle: true },
    });
  }
  if (placeFit) {
    const { centre, spread, level, range, network } = placeFit;
    const numbers = {
      ...{ placeCentre: centre, placeSpread: spread, placeLevel: level, placeRange: range },
      ...{ placeHidden: network.hidden, placeOutput: network.output },
    };
    for (const [name, data] of Object.entries(numbers)) tensors[name] = { shape: [data.length], data, isSingle: true };
  }
  if (!causeFit || !calibration) return tensors;
  const { centre, projection, classifier } = causeFit;
  return {
    ...tensors,
    causeProjection: { shape: [centre.length, members.length], data: projection },
    causeCentre: vector(centre),
    ...classifierTensors(classifier),
    causeUnknown: vector(calibration.unknown),
  };
}

function classifierTensors(classifier: CauseFit['classifier']): Record<string, Tensor> {
  if ('weights' in classifier) {
    const { features, classes, weights } = classifier;
    return { causeWeights: { shape: [features + 1, classes], data: weights } };
  }
  const [{ features, units, classes }] = classifier;
  return {
    causeHidden: {
      shape: [classifier.length, units, features + 1],
      data: concatenate(classifier.map(({ hidden }) => hidden)),
    },
    causeOutput: {
      shape: [classifier.length, units + 1, classes],
      data: concatenate(classifier.map(({ output }) => output)),
    },
  };
}

export function vector(data: ArrayLike<number>): Tensor {
  return { shape: [data.length], data: Float64Array.from(data) };
}
