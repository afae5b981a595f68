import { createHash, randomBytes } from 'node:crypto';
import { open, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ModelCardSchema } from './embedding/cardschema.ts';
import { coresetSize, sizesOf } from './embedding/distances.ts';
import { cloudSize, projectionSize } from './embedding/projection.ts';
import { StoplineError } from './errors.ts';
import { decodeTensors, encodeTensors, type Tensor } from './safetensors.ts';
import { componentNames } from './score.ts';

/** Version of the file layout and of the meaning of every number in it. */
export const profileVersion = 3;

const size = Type.Integer({ minimum: 0 });
const share = Type.Number({ minimum: 0, maximum: 1 });
const closed = { additionalProperties: false };
/** Images, how many of them were stopped, and the exact 95 % interval of that share. */
const counted = Type.Object({ images: size, flagged: size, low: share, high: share }, closed);

/** The JSON part of a Profile; the numbers behind it are tensors of the same file. */
const Description = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 128 }),
    createdAt: Type.String({ maxLength: 40 }),
    stopline: Type.String({ maxLength: 40 }),
    decode: Type.Object({ rule: Type.String({ maxLength: 200 }), decoder: Type.String({ maxLength: 200 }) }, closed),
    reference: Type.Object(
      {
        /** Distinct images measured, and those of them that were used: a sample where there are very many. */
        images: size,
        fitted: size,
        skipped: size,
        duplicates: size,
        /** Images unlike the rest. */
        outliers: Type.Optional(size),
        split: Type.Object(
          /** Groups that are left out together, and how many parts of them in turn. */
          { by: Type.String(), groups: size, folds: size, seed: Type.Integer() },
          closed,
        ),
        folders: Type.Array(Type.Object({ folder: Type.String(), images: size }, closed), { maxItems: 4096 }),
      },
      closed,
    ),
    falseAlarmRate: Type.Object(
      {
        asked: Type.Object({ warn: Type.Number(), block: Type.Number() }, closed),
        promised: Type.Object({ warn: Type.Number(), block: Type.Number() }, closed),
        /** What the images met, each held against thresholds that it and its group had no part in. */
        achieved: Type.Optional(Type.Object({ warn: counted, block: counted }, closed)),
      },
      closed,
    ),
    /** Every scored statistic, in the order of all tensors. */
    statistics: Type.Array(
      Type.Object({ name: Type.String(), logFloor: Type.Optional(Type.Number({ exclusiveMinimum: 0 })) }, closed),
      {
        minItems: 1,
        maxItems: 1024,
      },
    ),
    /** Statistics that had one value throughout the reference. */
    constants: Type.Record(Type.String(), Type.Number()),
    /** How often each container property had each value: the categorical part of the reference. */
    categories: Type.Record(Type.String(), Type.Record(Type.String(), Type.Integer({ minimum: 1 }))),
    /** What the detectors take their maximum over. */
    components: Type.Array(Type.String(), { minItems: 2, maxItems: 16 }),
    /**
     * How long the reference remembers, where its images were ordered: integrated correlation time in images of each detector's
     * score, with its standard error. Those of the statistics are a tensor.
     */
    correlation: Type.Optional(
      Type.Object(
        {
          recordings: size,
          images: size,
          detectors: Type.Record(
            Type.String(),
            Type.Object({ images: Type.Number({ minimum: 1 }), error: Type.Number({ minimum: 0 }) }, closed),
          ),
        },
        closed,
      ),
    ),
    /** Populations that lie apart within the reference; usually one, which is all of it. */
    regimes: Type.Array(
      Type.Object(
        {
          images: Type.Integer({ minimum: 1 }),
          /** Clean median and edge that each component is normalised by. */
          components: Type.Array(
            Type.Object({ median: Type.Number(), scale: Type.Number({ exclusiveMinimum: 0 }) }, closed),
          ),
        },
        closed,
      ),
      { minItems: 1, maxItems: 16 },
    ),
    /** The combined detector first. */
    detectors: Type.Array(
      Type.Object(
        { name: Type.String({ pattern: '^[a-z]+$' }), components: Type.Array(size, { minItems: 1 }) },
        closed,
      ),
      {
        minItems: 1,
        maxItems: 16,
      },
    ),
    /** The simulated causes that it was shown, and the positions of the statistics they are told by. */
    causes: Type.Optional(
      Type.Object(
        {
          names: Type.Array(Type.String(), { minItems: 2, maxItems: 256 }),
          members: Type.Array(size, { minItems: 1, maxItems: 1024 }),
          temperature: Type.Number({ exclusiveMinimum: 0 }),
        },
        closed,
      ),
    ),
    /** The network that its embeddings come from; absent where images are judged by statistics alone. */
    model: Type.Optional(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 128 }),
          sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
          dimension: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
          /** Stretches of an embedding, one after the other. */
          parts: Type.Array(
            Type.Object(
              {
                kind: Type.Union([Type.Literal('content'), Type.Literal('level'), Type.Literal('peak')]),
                tensor: Type.String({ maxLength: 4096 }),
                at: size,
                length: Type.Integer({ minimum: 1 }),
              },
              closed,
            ),
            { minItems: 1, maxItems: 32 },
          ),
          card: ModelCardSchema,
          /** Of the images of the coreset, where the user wanted them kept. */
          paths: Type.Optional(Type.Array(Type.String({ maxLength: 4096 }), { maxItems: coresetSize })),
        },
        closed,
      ),
    ),
    /** What it can see, tried at fit time. */
    power: Type.Optional(
      Type.Object(
        {
          images: size,
          /** Encoded again but clean. */
          clean: counted,
          causes: Type.Array(
            Type.Object(
              {
                cause: Type.String(),
                warn: Type.Array(share, { minItems: 5, maxItems: 5 }),
                block: Type.Array(share, { minItems: 5, maxItems: 5 }),
                detectedFrom: Type.Optional(Type.Integer({ minimum: 1, maximum: 5 })),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    ),
    /** What simulated causes do to the user's classifier, tried at fit time on the images of the power report. */
    harm: Type.Optional(
      Type.Object(
        {
          classifier: Type.Object(
            {
              name: Type.String({ minLength: 1, maxLength: 128 }),
              sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
            },
            closed,
          ),
          images: size,
          causes: Type.Array(
            Type.Object(
              {
                cause: Type.String(),
                /** Share of images whose answer is not that to the same image when it was clean, at severities 1 to 5. */
                flips: Type.Array(share, { minItems: 5, maxItems: 5 }),
                /** How far the mean score of the clean answer fell; negative where it rose. */
                fall: Type.Array(Type.Number(), { minItems: 5, maxItems: 5 }),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    ),
    /** A typical reference image, for reports: `src/example.ts`. Absent where the user did not want one stored. */
    example: Type.Optional(
      Type.Object(
        {
          sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
          width: Type.Integer({ minimum: 1 }),
          height: Type.Integer({ minimum: 1 }),
          jpeg: Type.String({ pattern: '^[A-Za-z0-9+/]+={0,2}$', maxLength: 65_536 }),
        },
        closed,
      ),
    ),
    warnings: Type.Array(Type.String()),
  },
  closed,
);

/** The JSON part of a Profile. */
export type ProfileDescription = Static<typeof Description>;

/** What the reference population looks like: everything needed to judge one image. */
export interface Profile extends ProfileDescription {
  /** Over the description and all tensors. */
  sha256: string;
  /** Of Ed25519 over the checksum, in base64: `src/signature.ts`. */
  signature?: string;
  tensors: Record<string, Tensor>;
}

/** Builds a Profile from its parts and gives it its checksum. */
export function createProfile(description: ProfileDescription, tensors: Record<string, Tensor>): Profile {
  return { ...description, sha256: checksum(JSON.stringify(description), tensors), tensors };
}

/** The bytes of a Profile file (safetensors layout, see `encodeTensors`). */
export function encodeProfile(profile: Profile): Uint8Array {
  const { sha256, signature, tensors, ...description } = profile;
  return encodeTensors(
    {
      format: 'stopline-profile',
      version: String(profileVersion),
      sha256,
      ...(signature !== undefined && { signature }),
      profile: JSON.stringify(description),
    },
    tensors,
  );
}

/**
 * Reads and checks the bytes of a Profile file.
 * @throws {StoplineError} PROFILE_INVALID, PROFILE_TRUNCATED, PROFILE_CHECKSUM, PROFILE_VERSION
 */
export function decodeProfile(bytes: Uint8Array): Profile {
  const { metadata, tensors } = decodeTensors(bytes);
  if (metadata.format !== 'stopline-profile') {
    throw new StoplineError('PROFILE_INVALID', 'Expected a Stopline profile but the file holds other tensors.');
  }
  if (metadata.version !== String(profileVersion)) {
    throw new StoplineError(
      'PROFILE_VERSION',
      `Expected a profile of version ${profileVersion} but received version ${metadata.version}. ` +
        'Fit it again with this version of Stopline: stopline fit <folder> --out FILE',
    );
  }
  const text = metadata.profile ?? '';
  if (checksum(text, tensors) !== metadata.sha256) {
    throw new StoplineError(
      'PROFILE_CHECKSUM',
      `Expected the profile's contents to match its checksum ${metadata.sha256?.slice(0, 16)} but they do not: the file was changed or damaged.`,
    );
  }
  let description: unknown;
  try {
    description = JSON.parse(text);
  } catch {
    description = undefined;
  }
  if (!Value.Check(Description, description)) {
    const [first] = Value.Errors(Description, description);
    throw new StoplineError(
      'PROFILE_INVALID',
      `Expected a profile description that fits the schema but ${first ? `${first.instancePath || 'it'} ${first.message}` : 'it does not'}.`,
    );
  }
  checkTensors(description, tensors);
  const { sha256, signature } = metadata;
  if (signature !== undefined && !/^[A-Za-z0-9+/]{86}==$/.test(signature)) {
    throw new StoplineError('PROFILE_INVALID', 'Expected a signature of 64 bytes in base64 but received another.');
  }
  return { ...description, sha256, ...(signature !== undefined && { signature }), tensors };
}

/** Every tensor that scoring will index must be there, finite and of the right length. */
function checkTensors(
  { statistics, components, regimes, detectors, causes, model, correlation, harm }: ProfileDescription,
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
  const named = componentNames({ hasCauses: causes !== undefined, parts: model?.parts });
  if (components.length !== named.length || named.some((name, i) => components[i] !== name)) {
    throw invalid(`Expected the components ${named.join(', ')} but received ${components.join(', ')}.`);
  }
  if (regimes.some((regime) => regime.components.length !== components.length)) {
    throw invalid(`Expected each regime to have ${components.length} components.`);
  }
  for (const { name, components: of } of detectors) {
    expect(`${name}Scores`);
    if (of.some((component) => component >= components.length)) {
      throw invalid(`Expected components of the detector "${name}" below ${components.length}.`);
    }
  }
  if (model) checkEmbeddings(model, expect);
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
  expect('causeWeights', (causes.members.length + 1) * (causes.names.length + 1));
  expect('causeUnknown', 5);
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
  const { content, early } = sizesOf(parts);
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

/**
 * Loads a Profile from a file or from its bytes.
 * @throws {StoplineError} PROFILE_UNREADABLE and what `decodeProfile` throws
 */
export async function loadProfile(source: string | Uint8Array): Promise<Profile> {
  if (typeof source !== 'string') return decodeProfile(source);
  const bytes = await readFile(source).catch((cause) => {
    throw new StoplineError(
      'PROFILE_UNREADABLE',
      `Expected a profile at "${source}" but it cannot be read: ${cause.code === 'ENOENT' ? 'it does not exist. Make one: stopline fit <folder> --out FILE' : cause.message}`,
      { cause },
    );
  });
  return decodeProfile(bytes);
}

/**
 * Writes a Profile so that at every moment the file is either the old one or the new one: temporary file in the same
 * folder, fsync, rename, fsync of the folder.
 * @throws {StoplineError} OUTPUT_UNWRITABLE
 */
export async function saveProfile(profile: Profile, path: string): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(4).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(encodeProfile(profile));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const directory = await open(folder, 'r');
    await directory.sync().finally(() => directory.close());
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `The profile cannot be written to "${path}": ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

/** The description without the numbers, the example image, and what the model's own card says. */
export type ProfileSummary = Omit<ProfileDescription, 'example' | 'model'> & {
  sha256: string;
  model?: Pick<NonNullable<ProfileDescription['model']>, 'name' | 'sha256' | 'dimension'>;
};

/** What `GET /profile` and `stopline fit` show. */
export function describeProfile(profile: Profile): ProfileSummary {
  const { tensors: _, example: __, model, ...description } = profile;
  if (!model) return description;
  const { name, sha256, dimension } = model;
  return { ...description, model: { name, sha256, dimension } };
}

function checksum(description: string, tensors: Record<string, Tensor>): string {
  const hash = createHash('sha256').update(`stopline-profile ${profileVersion}\n`).update(description);
  for (const name of Object.keys(tensors).sort()) {
    const { shape, data } = tensors[name];
    hash.update(`\n${name} ${shape.join('x')}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
