import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Static } from 'typebox';
import { StoplineError } from '../errors.ts';
import { sights } from '../profile/sights.ts';
import { check, Type } from '../schema.ts';
import type { TallyCounts } from './rows/tally.ts';

/** Longest text in a job: a path may be long, a column of a manifest longer. */
const Text = Type.String({ maxLength: 1024 * 1024 });
const Digest = Type.String({ pattern: '^[0-9a-f]{16}$' });
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Count = Type.Integer({ minimum: 0 });
const closed = { additionalProperties: false } as const;
/** Most images of one piece of work. */
export const maxChunk = 10_000;

const Cell = Type.Union([Text, Type.Number(), Type.Boolean(), Type.Null()]);
const ErrorJson = Type.Object({ code: Type.String({ maxLength: 100 }), message: Text }, closed);

const ReferenceSchema = Type.Object(
  {
    name: Text,
    location: Text,
    columns: Type.Optional(Type.Record(Type.String(), Cell)),
    error: Type.Optional(ErrorJson),
  },
  closed,
);

const MaskEntrySchema = Type.Object(
  {
    sources: Type.Optional(Type.Array(Type.String({ pattern: '^[\\w.:*-]{1,128}$' }), { minItems: 1, maxItems: 1000 })),
    mask: Type.Object(
      {
        width: Type.Integer({ minimum: 1, maximum: 1000 }),
        height: Type.Integer({ minimum: 1, maximum: 1000 }),
        runs: Type.Array(Type.Integer({ minimum: 0, maximum: 1_000_000 }), { minItems: 1, maxItems: 50_000 }),
      },
      closed,
    ),
  },
  closed,
);

/** What all chunks of a run have in common, and what its rows depend on. */
const RunOptionsSchema = Type.Object(
  {
    /** sha256 of the Profile, which lies in Redis for the workers. */
    profile: Sha256,
    decideBy: Type.Enum(['combined', 'capture', 'content']),
    blockWhen: Type.Optional(Type.String({ maxLength: 1000 })),
    /** Properties of the file that count for nothing. */
    ignore: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 100 })),
    /** What counts nowhere in the images of which sources. */
    masks: Type.Optional(Type.Array(MaskEntrySchema, { minItems: 1, maxItems: 1000 })),
    maxPixels: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }),
    maxSide: Type.Integer({ minimum: 1, maximum: 65_535 }),
    fps: Type.Number({ exclusiveMinimum: 0, maximum: 1000 }),
    /** Absolute path or s3:// URL of the folder that the parts are written to. */
    out: Text,
    /** Names of the columns of the manifest. */
    columns: Type.Array(Text, { maxItems: 10_000 }),
  },
  closed,
);
export type RunOptions = Static<typeof RunOptionsSchema>;

/** Work for one worker. */
const ChunkSchema = Type.Object(
  {
    run: Digest,
    key: Type.String({ pattern: '^[0-9]{1,9}-[0-9a-f]{16}$' }),
    options: RunOptionsSchema,
    part: Type.String({ pattern: '^part-[0-9]{6,9}\\.parquet$' }),
    references: Type.Array(ReferenceSchema, { minItems: 1, maxItems: maxChunk }),
  },
  closed,
);
export type Chunk = Static<typeof ChunkSchema>;

const groups = [...new Set(sights.map(({ group }) => group))];

/** What a finished chunk has. */
const ChunkResultSchema = Type.Object(
  {
    part: Type.String({ pattern: '^part-[0-9]{6,9}\\.parquet$' }),
    rows: Count,
    sha256: Sha256,
    counts: Type.Object({
      images: Count,
      failed: Count,
      verdicts: Type.Object({ pass: Count, warn: Count, block: Count }),
      reasons: Type.Array(Type.Object({ group: Type.Enum(groups), count: Count, text: Text })),
      errors: Type.Array(Type.Object({ code: Text, count: Count, example: Text })),
      file: Type.Optional(
        Type.Array(Type.Object({ property: Text, count: Count, values: Type.Array(Text, { maxItems: 3 }) })),
      ),
    }),
  },
  closed,
);
export interface ChunkResult {
  part: string;
  rows: number;
  sha256: string;
  counts: TallyCounts;
}

/** What lies in Redis: a text, and the mark of who may write there. */
interface Signed {
  text: string;
  signature: string;
}

/**
 * Seals what goes through a queue and opens what comes out of it. Whoever has the secret may give work; without one anybody who
 * reaches Redis may, which is for a Redis on this machine alone.
 */
export class QueueSeal {
  readonly #secret: string | undefined;

  constructor(secret: string | undefined) {
    this.#secret = secret;
  }

  sealChunk(chunk: Chunk): Signed {
    return this.#seal('chunk', chunk);
  }

  /** @throws {StoplineError} REQUEST_INVALID */
  openChunk(sealed: unknown): Chunk {
    const chunk = this.#open('chunk', sealed);
    if (check(ChunkSchema, chunk)) return chunk;
    throw new StoplineError(
      'REQUEST_INVALID',
      'Expected work of score in the queue but its fields are not of their kinds.',
    );
  }

  sealResult(result: ChunkResult): string {
    return JSON.stringify(this.#seal('result', result));
  }

  /** @throws {StoplineError} QUEUE_FAILED */
  openResult(text: string): ChunkResult {
    let result: unknown;
    try {
      result = this.#open('result', JSON.parse(text));
    } catch (cause) {
      throw new StoplineError(
        'QUEUE_FAILED',
        `Expected the result of a worker in Redis but ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
    if (check(ChunkResultSchema, result)) return result as ChunkResult;
    throw new StoplineError(
      'QUEUE_FAILED',
      'Expected the result of a worker in Redis but its fields are not of their kinds.',
    );
  }

  #seal(kind: string, value: object): Signed {
    const text = JSON.stringify(value);
    return { text, signature: this.#sign(kind, text) };
  }

  #open(kind: string, sealed: unknown): unknown {
    const { text, signature } = (sealed ?? {}) as Partial<Record<keyof Signed, unknown>>;
    if (typeof text !== 'string' || typeof signature !== 'string') {
      throw new StoplineError(
        'REQUEST_INVALID',
        'Expected what this version of Stopline puts on a queue but received other data.',
      );
    }
    const expected = Buffer.from(this.#sign(kind, text));
    const received = Buffer.from(signature);
    if (expected.length !== received.length || !timingSafeEqual(expected, received)) {
      throw new StoplineError(
        'REQUEST_INVALID',
        'Expected work that is signed with the queueSecret of this process but its signature is another. Give score and its workers the same one.',
      );
    }
    return JSON.parse(text);
  }

  #sign(kind: string, text: string): string {
    if (this.#secret === undefined) return '';
    return createHmac('sha256', this.#secret).update(`stopline-queue 1 ${kind}\n`).update(text).digest('hex');
  }
}

/**
 * The seal of a queue; a secret is needed unless Redis is on this machine.
 * @throws {StoplineError} OPTION_INVALID
 */
export function createQueueSeal(url: string, secret: string | undefined): QueueSeal {
  if (secret !== undefined || isLoopback(url)) return new QueueSeal(secret);
  throw new StoplineError(
    'OPTION_INVALID',
    'Expected STOPLINE_QUEUE_SECRET, the same for score and its workers, because whoever reaches this Redis could give them work. Make one with openssl rand -hex 32.',
  );
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
