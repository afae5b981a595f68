import { StoplineError } from '../errors.ts';
import { placeCount, placeMeasures } from '../image/places.ts';
import { componentNames } from './components.ts';
import type { ProfileDescription } from './description.ts';
import { cloudSize, coresetSize, countSizes, projectionSize } from './embeddings.ts';
import { knotCount } from './maths/tail.ts';
import { placeFeatures } from './places.ts';
import type { Tensor } from './safetensors.ts';

/** Every tensor that scoring will index must be there, finite and of the right length. */
export function checkTensors(
  { statistics, components, regimes, detectors, causes, model, places, correlation, harm }: ProfileDescription,
  tensors: Record<string, Tensor>,
): void {
  const count = statistics.length;
  const invalid = (text: string) => new StoplineError('PROFILE_INVALID', text);
  const expect = (name: string, length?: number) => {
    const tensor = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    const isWhole = tensor && tensor.data.length > 0 && tensor.data.every(Number.isFinite);
    if (!isWhole || (length !== undefined && tensor.data.length !== length)) {
      throw invalid(
        `Expected a tensor "${name}" of ${length ?? 'some'} finite numbers but received ${tensor ? tensor.shape.join('x') : 'none'}.`,
      );
    }
    return tensor;
  };
  const rows = regimes.length * count;
  const { data: offsets } = expect('knotOffsets', rows + 1);
  if (offsets.some((offset, i) => !Number.isSafeInteger(offset) || offset < (i === 0 ? 0 : offsets[i - 1] + 2))) {
    throw invalid('Expected at least two knots for every statistic of the profile.');
  }
  expect('knotValues', offsets[rows]);
  expect('knotDeviations', offsets[rows]);
  expect('slopes', rows);
  expect('mean', rows);
  expect('precision', rows * count);
  const { shape } = expect('calibrationValues');
  const images = regimes.reduce((sum, regime) => sum + regime.images, 0);
  if (shape.length !== 2 || shape[0] !== count || shape[1] !== images) {
    throw invalid(`Expected calibration values of ${count} statistics of ${images} images.`);
  }
  const named = componentNames({
    hasCauses: causes !== undefined,
    parts: model?.parts,
    hasPlaces: places !== undefined,
  });
  if (components.length !== named.length || named.some((name, i) => components[i] !== name)) {
    throw invalid(`Expected the components ${named.join(', ')} but received ${components.join(', ')}.`);
  }
  if (regimes.some((regime) => regime.components.length !== components.length)) {
    throw invalid(`Expected each regime to have ${components.length} components.`);
  }
  if (regimes.some((regime) => regime.components.some((component) => 'from' in component))) {
    const { data: knots } = expect('componentKnots', regimes.length * components.length * knotCount);
    for (let i = 1; i < knots.length; i++) {
      if (i % knotCount !== 0 && knots[i] < knots[i - 1])
        throw invalid('Expected knots of components that never fall.');
    }
  }
  for (const { name, components: positions, discounts, weights } of detectors) {
    expect(`${name}Scores`);
    if ([discounts, weights].some((each) => each && each.length !== positions.length)) {
      throw invalid(`Expected a discount or a weight for each component of the detector "${name}".`);
    }
    if (positions.some((component) => component >= components.length)) {
      throw invalid(`Expected components of the detector "${name}" below ${components.length}.`);
    }
  }
  if (model) checkEmbeddings(model, expect);
  if (places) checkPlaces(places, expect);
  if (correlation) {
    const { data: times } = expect('correlationTimes', count);
    if (times.some((time) => time < 1)) throw invalid('Expected correlation times of at least one image.');
    const missing = detectors.find(({ name }) => !Object.hasOwn(correlation.detectors, name));
    if (missing) throw invalid(`Expected a correlation time of the detector "${missing.name}".`);
  }
  if (harm) {
    const size = 2 + (causes ? causes.names.length + 1 : 0);
    expect('harmWeights', size);
    expect('harmCovariance', size ** 2);
  }
  if (!causes) return;
  if (causes.members.some((member) => member >= count))
    throw invalid(`Expected statistics of the causes below ${count}.`);
  const { data: centre } = expect('causeCentre');
  expect('causeProjection', centre.length * causes.members.length);
  const classes = causes.names.length + 1;
  if (causes.networks) {
    const { count: networks, units } = causes.networks;
    expect('causeHidden', networks * units * (causes.members.length + 1));
    expect('causeOutput', networks * (units + 1) * classes);
  } else expect('causeWeights', (causes.members.length + 1) * classes);
  expect('causeUnknown', 5);
}

/** What is usual in every place, and the network that tells what is hidden. */
function checkPlaces(
  { units }: NonNullable<ProfileDescription['places']>,
  expect: (name: string, length?: number) => Tensor,
): void {
  const size = placeCount * placeMeasures.length;
  expect('placeCentre', size);
  expect('placeUsual', placeCount);
  for (const [name, length] of [
    ['placeSpread', size],
    ['placeRange', placeMeasures.length],
  ] as const) {
    const { data } = expect(name, length);
    if (data.some((value) => !(value > 0)))
      throw new StoplineError('PROFILE_INVALID', `Expected deviations above 0 in the tensor "${name}".`);
  }
  expect('placeLevel', placeMeasures.length);
  expect('placeHidden', units * (placeFeatures + 1));
  expect('placeOutput', (units + 1) * 2);
}

/** Parts that follow each other without a gap, and tensors that fit them. */
function checkEmbeddings(
  { sha256, dimension, parts, card, paths }: NonNullable<ProfileDescription['model']>,
  expect: (name: string, length?: number) => Tensor,
): void {
  const invalid = (text: string) => new StoplineError('PROFILE_INVALID', text);
  let end = 0;
  for (const { at, length } of parts) {
    if (at !== end) throw invalid(`Expected a part of the embedding at ${end} but received one at ${at}.`);
    end += length;
  }
  const { content, early } = countSizes(parts);
  if (end !== dimension || content === 0) throw invalid(`Expected parts of an embedding of ${dimension} numbers.`);
  if (card.sha256 !== sha256) throw invalid('Expected the card of the model that the profile was fitted with.');
  for (const name of ['embeddingFloors', 'embeddingCentre', 'embeddingScales']) expect(name, dimension);
  const width = content + early;
  const { data: factor } = expect('embeddingFactor', width ** 2);
  for (let i = 0; i < width; i++) {
    if (!(factor[i * (width + 1)] > 0)) throw invalid('Expected a factor of the covariance of embeddings.');
  }
  const across = Math.min(projectionSize, content);
  expect('embeddingAxes', across * content);
  const { shape: cloud } = expect('embeddingCloud');
  if (cloud.length !== 2 || cloud[1] !== across || cloud[0] > cloudSize) {
    throw invalid(`Expected projections of at most ${cloudSize} reference images, ${across} numbers each.`);
  }
  const { shape } = expect('embeddingCoreset');
  if (shape.length !== 2 || shape[1] !== content || shape[0] > coresetSize || (paths && paths.length !== shape[0])) {
    throw invalid(`Expected a coreset of at most ${coresetSize} rows of ${content} numbers, with a path each or none.`);
  }
}
