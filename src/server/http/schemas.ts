import { errorTable } from '../../errors.ts';
import { type RemarkKind, remarkMeanings } from '../../image/container/remark.ts';
import { Type } from '../../schema.ts';

const shareSchema = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });

const containerSchema = Type.Object(
  {
    format: Type.Enum(['jpeg', 'png', 'webp']),
    width: Type.Integer({ description: 'Stored width in pixels, before EXIF orientation.' }),
    height: Type.Integer(),
    bitDepth: Type.Integer(),
    channels: Type.Integer(),
    colour: Type.Enum(['grey', 'rgb', 'palette', 'ycbcr', 'cmyk', 'ycck']),
    hasAlpha: Type.Boolean(),
    progressive: Type.Boolean(),
    frames: Type.Integer(),
    scans: Type.Integer(),
    orientation: Type.Integer({ minimum: 1, maximum: 8 }),
    trailingBytes: Type.Integer({ description: 'Bytes after the end of the image.' }),
    bytes: Type.Integer(),
    bytesPerPixel: Type.Number(),
    codedBytes: Type.Integer({ description: 'Bytes of coded picture data, metadata and tables not counted.' }),
    fingerprint: Type.String({
      description: 'Names what the encoder does to pixels: process, precision, sampling, quantisation tables.',
    }),
    wrapping: Type.Array(Type.String(), {
      description: 'Metadata, order of segments, Huffman tables: what does not reach the pixels.',
    }),
    jpeg: Type.Optional(
      Type.Object(
        {
          tables: Type.Array(Type.Array(Type.Integer())),
          quality: Type.Number(),
          standardTables: Type.Boolean(),
          chromaSubsampling: Type.String(),
          arithmetic: Type.Boolean(),
        },
        { additionalProperties: true },
      ),
    ),
  },
  { description: 'What the encoded bytes say before anything is decoded.', additionalProperties: true },
);

const passSchema = Type.Object({
  quality: Type.Number(),
  offsetX: Type.Integer({ minimum: 0, maximum: 7, description: 'Column at which the 8x8 grid starts.' }),
  offsetY: Type.Integer({ minimum: 0, maximum: 7 }),
});
const historySchema = Type.Object(
  { last: Type.Optional(passSchema), earlier: Type.Optional(passSchema) },
  {
    description: 'JPEG compression that the pixels remember; where the verdict is not pass.',
    additionalProperties: true,
  },
);

const evidenceFields = {
  statistic: Type.String({
    description:
      'Name in the table of GET /statistics, embedding, places, combination, blockWhen, or a property of the container.',
  }),
  value: Type.Union([Type.Number(), Type.String()]),
  unit: Type.String(),
  direction: Type.Enum(['high', 'low', 'new']),
  pValue: shareSchema('Share of reference images at least this strange in this statistic.'),
  reference: Type.Optional(Type.Object({ p01: Type.Number(), p50: Type.Number(), p99: Type.Number() })),
};

const evidenceSchema = Type.Object({ ...evidenceFields, text: Type.String() }, { additionalProperties: true });

const reasonSchema = Type.Object(
  {
    group: Type.String({ description: 'What a person sees: dark, hazy, blurred, file...' }),
    kind: Type.String({ description: 'Which kind of the group: of hazy, flat is lost contrast without haze' }),
    ...evidenceFields,
    text: Type.String({ description: 'One plain sentence.' }),
    advice: Type.String({ description: 'What somebody does about it.' }),
    evidence: Type.Array(evidenceSchema, { description: 'The numbers behind it by their names, farthest first.' }),
  },
  { additionalProperties: true },
);

/** The answer for one image: the same JSON over HTTP, on the command line, in JSONL and from the library. */
export const verdictSchema = Type.Object(
  {
    verdict: Type.Enum(['pass', 'warn', 'block']),
    decidedBy: Type.Enum(['combined', 'capture', 'content'], {
      description: 'The detector that verdict, pValue and score are those of: the setting decideBy.',
    }),
    pValue: shareSchema(
      'Conformal p-value: the share of reference images at least this strange, each to a model not fitted on it.',
    ),
    score: Type.Number({
      description: 'Larger is stranger; goes on ranking where the p-value has reached its smallest.',
    }),
    falseAlarmRate: Type.Object(
      {
        warn: shareSchema('Rate promised at `warn`.'),
        block: shareSchema('Rate promised at `block`.'),
        threshold: Type.Optional(
          Type.Literal('tail', {
            description: 'The rates are expected by an exponential tail fitted to the reference, and not promised.',
          }),
        ),
      },
      { description: 'Larger than asked where the reference is too small.' },
    ),
    blockWhen: Type.Optional(
      Type.String({ description: 'The rule that decides what is blocked, in place of falseAlarmRate.block.' }),
    ),
    expectedFlipRate: Type.Optional(
      Type.Object(
        {
          rate: shareSchema('Expected share.'),
          low: shareSchema('Lower end of its 95 % interval.'),
          high: shareSchema('Upper end.'),
        },
        {
          description:
            'How often the classifier is expected to answer otherwise than to the same image in good condition; where the Profile was fitted with one.',
        },
      ),
    ),
    reasons: Type.Array(reasonSchema, {
      description: 'What a person sees of it that is unlike the reference, what explains most first; none on a pass.',
    }),
    unusual: Type.Optional(
      Type.Array(reasonSchema, { description: 'What is unusual in an image that passes: not enough to warn.' }),
    ),
    cause: Type.Optional(
      Type.Object(
        {
          kind: Type.Enum(['camera', 'file', 'family', 'cause', 'unknown']),
          text: Type.String(),
          advice: Type.Object(
            { onShift: Type.String(), dataScientist: Type.String() },
            {
              description: 'What to do about it: for the person on shift, and for whoever answers for the classifier.',
            },
          ),
        },
        {
          description: 'What probably happened, said only as surely as it was shown to be right on real images.',
          additionalProperties: true,
        },
      ),
    ),
    detectors: Type.Array(
      Type.Object(
        { name: Type.String(), pValue: shareSchema('p-value of this detector.'), score: Type.Number() },
        { additionalProperties: true },
      ),
      { description: 'All detectors, `combined` first, whichever decides.' },
    ),
    causes: Type.Optional(
      Type.Array(Type.Object({ cause: Type.String(), probability: shareSchema('Given that something is wrong.') }), {
        description: 'If the image was not taken as the reference was, what probably happened; likeliest first.',
      }),
    ),
    nearest: Type.Optional(
      Type.Array(Type.Object({ path: Type.String(), distance: Type.Number({ minimum: 0, maximum: 2.01 }) }), {
        description: 'Reference images that show what is most like it, where the Profile keeps their paths.',
      }),
    ),
    places: Type.Optional(
      Type.Object(
        {
          pValue: shareSchema('Share of reference images with a place at least this strange.'),
          parts: Type.Array(
            Type.Object({
              text: Type.String({ description: 'Where, and how much: lower right corner, 6 % of the picture.' }),
              share: shareSchema('Share of the picture.'),
              left: Type.Number(),
              top: Type.Number(),
              right: Type.Number(),
              bottom: Type.Number(),
            }),
            { description: 'What stands out, the largest first; sides in shares of the picture.' },
          ),
          map: Type.String({
            description: 'For every one of 16 x 12 tiles, row by row, the chance that it is hidden, in ninths.',
          }),
        },
        { description: 'Where in the picture something is hidden or blurred; where the Profile tells places.' },
      ),
    ),
    projection: Type.Optional(
      Type.Array(Type.Number(), {
        description: 'What it shows: first principal coordinates of its embedding, in reference standard deviations.',
      }),
    ),
    statistics: Type.Record(Type.String(), Type.Union([Type.Number(), Type.Null()]), {
      description: 'Value by name; null where it does not apply to this image.',
    }),
    image: Type.Object(
      {
        format: Type.Enum(['jpeg', 'png', 'webp', 'frame']),
        width: Type.Integer(),
        height: Type.Integer(),
        bytes: Type.Integer(),
        sha256: Type.String(),
        hash: Type.String({ description: '64-bit difference hash of the pixels, in hexadecimal.' }),
        container: Type.Optional(containerSchema),
        remarks: Type.Array(
          Type.Object({
            kind: Type.Enum(Object.keys(remarkMeanings) as RemarkKind[], { description: 'Stable: match on this.' }),
            text: Type.String({ description: 'In words, for people.' }),
          }),
          { description: 'Oddities of the file that lose no pixel: never the cause of a verdict or a refusal.' },
        ),
        codec: Type.Optional(Type.String({ description: 'Of the video that the frame was taken from.' })),
        history: Type.Optional(historySchema),
      },
      { additionalProperties: true },
    ),
    profile: Type.Object({ name: Type.String(), sha256: Type.String() }, { additionalProperties: true }),
    timingMs: Type.Object(
      {
        decode: Type.Number(),
        statistics: Type.Number(),
        embedding: Type.Optional(Type.Number()),
        score: Type.Number(),
        total: Type.Number(),
      },
      { additionalProperties: true },
    ),
  },
  { $id: 'Verdict', description: 'The judgement on one image, with its reasons.', additionalProperties: true },
);

/** What every refusal looks like. */
export const refusalSchema = Type.Object(
  {
    error: Type.Object({
      code: Type.Enum(
        errorTable.map((row) => row.code),
        { description: 'Stable: match on this.' },
      ),
      message: Type.String({ description: 'What was expected and what came; for people.' }),
    }),
  },
  { $id: 'Refusal', description: 'Why there is no verdict.' },
);

/** Body of POST /inspect for clients that can only send JSON. */
export const jsonImageSchema = Type.Object(
  {
    image: Type.String({
      description: 'The encoded image in base64, or a data URL such as `data:image/jpeg;base64,...`.',
    }),
  },
  { additionalProperties: false },
);

export const statisticSchema = Type.Object(
  {
    name: Type.String(),
    unit: Type.String(),
    group: Type.String(),
    meaning: Type.String(),
    label: Type.String({ description: 'What people call it, in a few words.' }),
    unitMeaning: Type.String({ description: 'What the unit means, in a few words.' }),
    isPercent: Type.Boolean({ description: 'Whether people read it in percent.' }),
    high: Type.String({ description: 'What a value above the reference usually means.' }),
    low: Type.String({ description: 'What a value below the reference usually means.' }),
    bad: Type.Enum(['high', 'low', 'both']),
    logFloor: Type.Optional(Type.Number({ description: 'Scored as ln(value + floor).' })),
    scored: Type.Boolean(),
    digits: Type.Integer(),
    resolution: Type.Number({ description: 'The smallest difference that means anything, in its unit.' }),
    source: Type.String(),
  },
  { $id: 'Statistic', description: 'One measured number and what it means.', additionalProperties: true },
);

export const readinessSchema = Type.Object(
  {
    ready: Type.Boolean(),
    reason: Type.Optional(Type.Enum(['starting', 'failed', 'draining', 'overloaded', 'crashing', 'upstream'])),
    degraded: Type.Optional(
      Type.Enum(['failed', 'overloaded', 'crashing'], {
        description: 'An open gate is ready, but lets images through unjudged, for this reason.',
      }),
    ),
  },
  { $id: 'Readiness', description: 'Whether this replica should get requests, and if not, why.' },
);

/** Refusals of a route by status, in the form that the OpenAPI document shows. */
export function refusals(
  ...statuses: (400 | 401 | 403 | 404 | 408 | 413 | 415 | 421 | 422 | 429 | 500 | 503)[]
): Record<number, unknown> {
  const meanings = {
    400: 'The request is malformed or holds no image.',
    401: 'The service asks for an API key, and the request carries none that is known.',
    403: 'The API key is not for this, or a page of another site sent the request.',
    404: 'There is no such thing, or no longer.',
    408: 'The request did not arrive in time.',
    413: 'The request or the image has too many bytes.',
    415: 'The content type is not taken, or the bytes are no JPEG, PNG or WebP.',
    421: 'The request is for a host name that this service does not answer for.',
    422: 'The image is damaged, animated, or outside the limits on its size.',
    429: 'Too many requests in a second from this address: try again after the seconds in Retry-After.',
    500: 'Something failed inside Stopline; the log has it under the request id.',
    503: 'Overloaded or shutting down: try again after the seconds in Retry-After.',
  } as const;
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: meanings[status],
        content: { 'application/json': { schema: Type.Ref('Refusal#') } },
        ...((status === 429 || status === 503) && {
          headers: { 'Retry-After': Type.Integer({ description: 'Seconds until a retry makes sense.' }) },
        }),
      },
    ]),
  );
}
