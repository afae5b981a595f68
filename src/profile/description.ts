import type { Static } from 'typebox';
import { ModelCardSchema } from '../image/embedding/cardschema.ts';
import { placeGrid, placeMeasures } from '../image/places.ts';
import { Type } from '../schema.ts';
import { checksum } from './checksum.ts';
import { coresetSize } from './embeddings.ts';
import type { Tensor } from './safetensors.ts';

const size = Type.Integer({ minimum: 0 });
const unitInterval = Type.Number({ minimum: 0, maximum: 1 });
const closed = { additionalProperties: false };
/** Which classifier was asked. */
const classifierSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 128 }),
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  },
  closed,
);
/** Images, how many of them were stopped, and the exact 95 % interval of that share. */
const counted = Type.Object({ images: size, flagged: size, low: unitInterval, high: unitInterval }, closed);

const rates = Type.Object({ warn: Type.Number(), block: Type.Number() }, closed);

/** Shares of clean images that are stopped, such as those that a Profile promises. */
export type Rates = Static<typeof rates>;

/** The JSON part of a Profile; the numbers behind it are tensors of the same file. */
export const Description = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 128 }),
    createdAt: Type.String({ maxLength: 40 }),
    stopline: Type.String({ maxLength: 40 }),
    decode: Type.Object(
      {
        rule: Type.String({ maxLength: 200 }),
        decoder: Type.String({ maxLength: 200 }),
        /** How large frames were read; Profiles of earlier versions do not say. */
        reading: Type.Optional(Type.String({ maxLength: 200 })),
      },
      closed,
    ),
    /** What of every image counts: what lies under it was filled before anything was measured, and is in what is judged. */
    mask: Type.Optional(
      Type.Object(
        {
          width: Type.Integer({ minimum: 1, maximum: 1000 }),
          height: Type.Integer({ minimum: 1, maximum: 1000 }),
          runs: Type.Array(Type.Integer({ minimum: 0, maximum: 1_000_000 }), { maxItems: 100_000 }),
        },
        closed,
      ),
    ),
    reference: Type.Object(
      {
        /** Distinct images measured, and those of them that were used: a sample where there are very many. */
        images: size,
        fitted: size,
        skipped: size,
        duplicates: size,
        /** Images that the user had left out, and that the promise is not about. */
        leftOut: Type.Optional(Type.Integer({ minimum: 1 })),
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
        asked: rates,
        promised: rates,
        /** What the images met, each held against thresholds that it and its group had no part in. */
        achieved: Type.Optional(Type.Object({ warn: counted, block: counted }, closed)),
        /** What recordings met that were left out whole, one after the other; absent where there are not several. */
        unseenDrive: Type.Optional(
          Type.Object({ drives: size, images: size, flagged: size, low: unitInterval, high: unitInterval }, closed),
        ),
        /** `tail`: the rates are estimates by an exponential tail; absent where they are promised by rank. */
        threshold: Type.Optional(Type.Literal('tail')),
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
          /**
           * What each component is normalised by: the tail of the clean images, with knots below it in a tensor; or their
           * median and edge, as the categorical component is and as all of them were in earlier versions.
           */
          components: Type.Array(
            Type.Union([
              Type.Object({ median: Type.Number(), scale: Type.Number({ exclusiveMinimum: 0 }) }, closed),
              Type.Object(
                {
                  from: Type.Number(),
                  share: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
                  excess: Type.Number({ exclusiveMinimum: 0 }),
                },
                closed,
              ),
            ]),
          ),
        },
        closed,
      ),
      { minItems: 1, maxItems: 16 },
    ),
    /** The combined detector first. */
    detectors: Type.Array(
      Type.Object(
        {
          name: Type.String({ pattern: '^[a-z]+$' }),
          components: Type.Array(size, { minItems: 1 }),
          /** By how much each of them counts for less, as `strongest` says; without, all count alike. */
          discounts: Type.Optional(Type.Array(Type.Number({ minimum: 0, exclusiveMaximum: 1 }))),
          /** Factors in place of discounts, in Profiles of earlier versions. */
          weights: Type.Optional(Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1 }))),
          /**
           * How much higher images of a reference of stills score as frames of a video. Absent where the reference is a video,
           * and in older Profiles.
           */
          video: Type.Optional(Type.Number({ minimum: 0 })),
        },
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
          /** Networks that tell the causes, and hidden units of each; one linear layer where absent. */
          networks: Type.Optional(
            Type.Object(
              {
                count: Type.Integer({ minimum: 1, maximum: 16 }),
                units: Type.Integer({ minimum: 1, maximum: 1024 }),
              },
              closed,
            ),
          ),
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
          /** Paths of the images of the coreset, where the user wanted them kept. */
          paths: Type.Optional(Type.Array(Type.String({ maxLength: 4096 }), { maxItems: coresetSize })),
        },
        closed,
      ),
    ),
    /** Where in the picture; absent where nothing is told by place, and in older Profiles. */
    places: Type.Optional(
      Type.Object(
        {
          columns: Type.Literal(placeGrid.columns),
          rows: Type.Literal(placeGrid.rows),
          measures: Type.Array(Type.String(), { minItems: placeMeasures.length, maxItems: placeMeasures.length }),
          units: Type.Integer({ minimum: 1, maximum: 256 }),
          /** Of views that were not used to learn, of which a twentieth or more was hidden: how many the places alone would stop. */
          found: counted,
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
                warn: Type.Array(unitInterval, { minItems: 5, maxItems: 5 }),
                block: Type.Array(unitInterval, { minItems: 5, maxItems: 5 }),
                detectedFrom: Type.Optional(Type.Integer({ minimum: 1, maximum: 5 })),
              },
              closed,
            ),
          ),
        },
        closed,
      ),
    ),
    /** Why a classifier that was asked has no harm map: its answers to clean images say nothing. */
    harmMissing: Type.Optional(
      Type.Object(
        {
          classifier: classifierSchema,
          images: size,
          code: Type.Union([
            Type.Literal('CLASSIFIER_SILENT'),
            Type.Literal('CLASSIFIER_CONSTANT'),
            Type.Literal('CLASSIFIER_ABSURD'),
          ]),
          message: Type.String({ maxLength: 1000 }),
        },
        closed,
      ),
    ),
    /** What simulated causes do to the user's classifier, tried at fit time on the images of the power report. */
    harm: Type.Optional(
      Type.Object(
        {
          classifier: classifierSchema,
          images: size,
          /** Share of clean images in which the classifier finds anything. Absent in older Profiles. */
          answered: Type.Optional(unitInterval),
          /**
           * At severities 1 to 5, how many answers all causes together changed, and which share of these is stopped at the
           * promised rates; null where none changed. Absent in older Profiles.
           */
          stopped: Type.Optional(
            Type.Object(
              {
                flipped: Type.Array(size, { minItems: 5, maxItems: 5 }),
                warn: Type.Array(Type.Union([unitInterval, Type.Null()]), { minItems: 5, maxItems: 5 }),
                block: Type.Array(Type.Union([unitInterval, Type.Null()]), { minItems: 5, maxItems: 5 }),
              },
              closed,
            ),
          ),
          causes: Type.Array(
            Type.Object(
              {
                cause: Type.String(),
                /** Share of images whose answer is not that to the same image when it was clean, at severities 1 to 5. */
                flips: Type.Array(unitInterval, { minItems: 5, maxItems: 5 }),
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
    /** A typical reference image, for reports: `fit/example.ts`. Absent where the user did not want one stored. */
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
  /** The Ed25519 signature over the checksum, in base64: `signature.ts`. */
  signature?: string;
  tensors: Record<string, Tensor>;
}

/** Builds a Profile from its parts and gives it its checksum. */
export function createProfile(description: ProfileDescription, tensors: Record<string, Tensor>): Profile {
  return { ...description, sha256: checksum(JSON.stringify(description), tensors), tensors };
}

/** The description without the numbers, the example image, and what the model's own card says. */
export type ProfileSummary = Omit<ProfileDescription, 'example' | 'model'> & {
  sha256: string;
  /** `assumed`: fields of its card that nobody has confirmed. */
  model?: Pick<NonNullable<ProfileDescription['model']>, 'name' | 'sha256' | 'dimension'> & { assumed: string[] };
};

/** What `GET /profile` and `stopline fit` show. */
export function describeProfile(profile: Profile): ProfileSummary {
  const { tensors: _, example: __, model, ...description } = profile;
  if (!model) return description;
  const { name, sha256, dimension, card } = model;
  return { ...description, model: { name, sha256, dimension, assumed: card.assumed ?? [] } };
}
