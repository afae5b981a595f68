import type { Static } from 'typebox';
import { Type } from '../../schema.ts';

/** Version of the card's layout and of the meaning of everything in it. */
const cardVersion = 1;

const closed = { additionalProperties: false };
const name = Type.String({ minLength: 1, maxLength: 4096 });
const perChannel = Type.Array(Type.Number(), { minItems: 1, maxItems: 3 });
const side = Type.Integer({ minimum: 1, maximum: 4096 });

/** What must be known of a model, beside the model itself, to ask it about an image; a small JSON file. */
export const ModelCardSchema = Type.Object(
  {
    format: Type.Literal('stopline-model-card'),
    version: Type.Literal(cardVersion),
    name: Type.String({ minLength: 1, maxLength: 128 }),
    /** Who runs it: ONNX Runtime; TensorFlow.js for its own graph and layers models, SavedModels and frozen graphs; LiteRT for TFLite. */
    kind: Type.Union([
      Type.Literal('onnx'),
      Type.Literal('tfjs-graph'),
      Type.Literal('tfjs-layers'),
      Type.Literal('saved-model'),
      Type.Literal('frozen-graph'),
      Type.Literal('tflite'),
    ]),
    /** SHA-256 of the model file, or of several files one after the other. */
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** An SPDX identifier, or `unknown`. */
    licence: Type.String({ minLength: 1, maxLength: 200 }),
    /** What it is, what it was trained on, how to repeat that. */
    description: Type.Optional(Type.String({ maxLength: 4000 })),
    /** `InputRule` of preprocess.ts, and what the input tensor is called. */
    input: Type.Object(
      {
        name,
        layout: Type.Union([Type.Literal('NCHW'), Type.Literal('NHWC')]),
        /** What the tensor holds; whole numbers are rounded and kept within their range. Without it float32. */
        type: Type.Optional(
          Type.Union([
            Type.Literal('float32'),
            Type.Literal('float16'),
            Type.Literal('uint8'),
            Type.Literal('int8'),
            Type.Literal('int32'),
          ]),
        ),
        width: side,
        height: side,
        channels: Type.Union([Type.Literal(1), Type.Literal(3)]),
        kernel: Type.Union([
          Type.Literal('bilinear-antialias'),
          Type.Literal('bicubic-antialias'),
          Type.Literal('bilinear'),
          Type.Literal('area'),
        ]),
        fit: Type.Union([Type.Literal('stretch'), Type.Literal('crop')]),
        keep: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
        colour: Type.Union([Type.Literal('RGB'), Type.Literal('BGR')]),
        scale: Type.Number(),
        mean: perChannel,
        std: Type.Array(Type.Number({ exclusiveMinimum: 0 }), { minItems: 1, maxItems: 3 }),
      },
      closed,
    ),
    outputs: Type.Object(
      {
        /** The embedding: a vector, or a map whose channel means are taken. */
        content: name,
        /** Channel maps of early stages. */
        early: Type.Array(name, { maxItems: 8 }),
        /** Class scores, where it is a classifier or a detector; of one with several maps, one name for each. */
        classes: Type.Optional(Type.Union([name, Type.Array(name, { minItems: 1, maxItems: 8 })])),
        /** Of a detector with objectness in tensors of their own: one for each of `classes`, by which it is multiplied. */
        objectness: Type.Optional(Type.Array(name, { minItems: 1, maxItems: 8 })),
        /** Of a detector whose boxes are sorted out already: the class of each score in `classes`. */
        labels: Type.Optional(name),
        /** Where a detector, whose `classes` has scores for each cell or box, has them among a cell's numbers. */
        cells: Type.Optional(
          Type.Object(
            {
              /** The axis of `classes` along which the numbers of one cell lie. */
              axis: Type.Integer({ minimum: 1, maximum: 3 }),
              /** Number by which every class score is multiplied: whether there is anything at all. */
              objectness: Type.Optional(Type.Integer({ minimum: 0, maximum: 4095 })),
              /** The first class score; the rest follow. */
              first: Type.Integer({ minimum: 0, maximum: 4095 }),
              /** How many there are, where other numbers come behind them. */
              count: Type.Optional(Type.Integer({ minimum: 1, maximum: 4096 })),
              /** Number that says which class the one score at `first` is of, where boxes are sorted out already. */
              label: Type.Optional(Type.Integer({ minimum: 0, maximum: 4095 })),
            },
            closed,
          ),
        ),
        /** Classes of at least this score are all part of the answer; without it the one that scores most is the answer. */
        threshold: Type.Optional(Type.Number()),
      },
      closed,
    ),
    /**
     * Fields that nobody has confirmed, such as `input.colour`: the graph does not say them. A person, or `model inspect
     * --probe`, takes them off the list.
     */
    assumed: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 32 })),
    /** Numbers of the embedding of generated frames (knownframes.ts), evenly spaced over it, from the CPU. */
    answers: Type.Array(
      Type.Object(
        {
          frame: Type.Union([Type.Literal('ramps'), Type.Literal('noise'), Type.Literal('waves')]),
          dimension: Type.Integer({ minimum: 1 }),
          values: Type.Array(Type.Number(), { minItems: 1, maxItems: 256 }),
        },
        closed,
      ),
      { maxItems: 8 },
    ),
  },
  closed,
);

export type ModelCard = Static<typeof ModelCardSchema>;
