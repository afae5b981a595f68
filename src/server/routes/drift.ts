import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { DriftReport, DriftState } from '../../drift/report.ts';
import { StoplineError } from '../../errors.ts';
import { refusals } from '../http/schemas.ts';
import { sourcePattern } from '../judge.ts';
import { countStates, type SourceSummary } from '../watch/monitors.ts';

const states = ['learning', 'ok', 'suspect', 'drifted', 'recovered', 'stale', 'frozen'] as const;
const stateSchema = Type.Enum([...states], {
  description:
    '`learning`: too little is known. `suspect`: a tenth of the evidence of an alarm. `recovered`: like the reference again, until it has been so for a while. `stale`: no images. `frozen`: the same image again and again.',
});
const timeSchema = (description: string) => Type.Number({ description: `${description}; milliseconds since 1970.` });
const movedSchema = Type.Array(
  Type.Object(
    {
      statistic: Type.String(),
      direction: Type.Enum(['high', 'low', 'spread']),
      size: Type.Number({ description: '1-Wasserstein distance in reference standard deviations.' }),
    },
    { additionalProperties: true },
  ),
  { description: 'Statistics that moved most, farthest first.' },
);

const summarySchema = Type.Object(
  {
    source: Type.String(),
    state: stateSchema,
    since: timeSchema('Since when it is in this state'),
    lastAt: timeSchema('When its last image came'),
    cause: Type.Optional(Type.String({ description: 'The likeliest cause when the state last changed.' })),
    moved: movedSchema,
  },
  { additionalProperties: true },
);

/** What is known of one source: `DriftReport`, with the name of the source. */
export const driftReportSchema = Type.Object(
  {
    source: Type.String(),
    state: stateSchema,
    since: timeSchema('Since when it is in this state'),
    reason: Type.Optional(Type.String({ description: 'Where it is learning: why.' })),
    images: Type.Integer({ description: 'Images that counted; the same picture again does not.' }),
    repeats: Type.Integer(),
    falseAlarmEvery: Type.Number({ description: 'One false alarm in so many images at most, on average.' }),
    promise: Type.String({ description: 'What is promised, in words.' }),
    evidence: Type.Object(
      {
        share: Type.Number({ description: '1 is an alarm.' }),
        by: Type.String({ description: 'The statistic that has most of it, or `score`.' }),
        alarms: Type.Integer(),
      },
      { additionalProperties: true },
    ),
    correlationTime: Type.Optional(
      Type.Object({ images: Type.Number(), from: Type.Enum(['reference', 'stream']) }, { additionalProperties: true }),
    ),
    effectiveImages: Type.Number({ description: 'As many independent images would tell as much.' }),
    window: Type.Object(
      { images: Type.Integer(), effective: Type.Integer(), from: Type.Number(), to: Type.Number() },
      { description: 'The images that the tests are about.', additionalProperties: true },
    ),
    moved: movedSchema,
    content: Type.Optional(Type.Object({ distance: Type.Number(), pValue: Type.Number() })),
    causes: Type.Array(Type.Object({ cause: Type.String(), probability: Type.Number() })),
    expectedFlipRate: Type.Optional(Type.Number()),
    frames: Type.Array(Type.Object({ id: Type.String(), at: Type.Number(), pValue: Type.Number() }), {
      description: 'Images that carried most evidence, by their sha256.',
    }),
    profile: Type.String(),
  },
  { $id: 'DriftReport', description: 'What is known of one source.', additionalProperties: true },
);

const sourceParams = Type.Object({ source: Type.String({ pattern: sourcePattern.source }) });

function unknown(source: string): StoplineError {
  return new StoplineError(
    'SOURCE_UNKNOWN',
    `Expected a source that images came from but ${source} is none. GET /drift lists them.`,
  );
}

/** What is known of sources, whoever watches them. */
export interface Sources {
  summaries(): Promise<SourceSummary[]>;
  report(source: string): Promise<DriftReport | undefined>;
  reset(source: string): Promise<boolean>;
  /** More about how they are watched. */
  status(): Record<string, unknown>;
}

/** The page of a list after a name, by name. */
function selectPage(all: readonly SourceSummary[], query: { state?: DriftState; after?: string; limit: number }) {
  const { state, after = '', limit } = query;
  const found = all
    .filter((summary) => summary.source > after && (state === undefined || summary.state === state))
    .sort((a, b) => (a.source < b.source ? -1 : 1));
  const sources = found.slice(0, limit);
  return { sources, ...(found.length > limit && { next: sources[limit - 1].source }) };
}

/** GET /drift and what is below it: what is known of every source. */
export function registerDrift(app: FastifyInstance, sources: Sources): void {
  app.addSchema(driftReportSchema);
  app.get(
    '/drift',
    {
      schema: {
        operationId: 'listDrift',
        tags: ['drift'],
        summary: 'All sources with their states.',
        querystring: Type.Object({
          state: Type.Optional(stateSchema),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'Most sources in one answer.' }),
          after: Type.Optional(
            Type.String({ pattern: sourcePattern.source, description: 'The `next` of the page before.' }),
          ),
        }),
        response: {
          200: Type.Object(
            {
              total: Type.Integer({ description: 'Sources that are known, of whatever state.' }),
              states: Type.Record(Type.String(), Type.Integer(), { description: 'Number of sources by state.' }),
              overflowed: Type.Integer({
                description:
                  'Images of new sources that were counted as `other`, because there are `maxSources` already.',
              }),
              storeDegraded: Type.Optional(Type.String({ description: 'Why nothing can be stored for now.' })),
              alone: Type.Optional(
                Type.Boolean({ description: 'Redis is set up but cannot be reached: this is what one replica saw.' }),
              ),
              sources: Type.Array(summarySchema, { description: 'By name.' }),
              next: Type.Optional(Type.String({ description: 'Where there are more: what to give as `after`.' })),
            },
            { description: 'One page.', additionalProperties: true },
          ),
          ...refusals(400, 500, 503),
        },
      },
    },
    async (request) => {
      const query = request.query as { state?: DriftState; limit: number; after?: string };
      const all = await sources.summaries();
      const states = Object.fromEntries(countStates(all));
      return { total: all.length, states, ...sources.status(), ...selectPage(all, query) };
    },
  );

  app.get(
    '/drift/:source',
    {
      schema: {
        operationId: 'drift',
        tags: ['drift'],
        summary: 'What is known of one source.',
        params: sourceParams,
        response: {
          200: {
            description: 'State, evidence, what moved.',
            content: { 'application/json': { schema: Type.Ref('DriftReport#') } },
          },
          ...refusals(400, 404, 500, 503),
        },
      },
    },
    async (request) => {
      const { source } = request.params as { source: string };
      const report = await sources.report(source);
      if (!report) throw unknown(source);
      return { source, ...report };
    },
  );

  app.post(
    '/drift/:source/reset',
    {
      schema: {
        operationId: 'resetDrift',
        tags: ['drift'],
        summary: 'Let a source learn again.',
        description:
          'After a camera was cleaned or exchanged, say. What was known of it is forgotten; its history stays.',
        params: sourceParams,
        response: {
          200: Type.Object({ source: Type.String(), state: stateSchema }, { description: 'It learns again.' }),
          ...refusals(400, 404, 500, 503),
        },
      },
    },
    async (request) => {
      const { source } = request.params as { source: string };
      if (!(await sources.reset(source))) throw unknown(source);
      return { source, state: 'learning' };
    },
  );
}
