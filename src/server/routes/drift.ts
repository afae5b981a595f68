import type { FastifyInstance } from 'fastify';
import type { DriftReport, DriftState } from '../../drift/report.ts';
import { type Answer, type Known, type Trust, trusts } from '../../drift/trust.ts';
import { StoplineError } from '../../errors.ts';
import { Type } from '../../schema.ts';
import { sourcePattern } from '../../settings.ts';
import { refusals } from '../http/schemas.ts';
import { countStates, type SourceSummary } from '../watch/monitors.ts';

const states = ['learning', 'ok', 'suspect', 'drifted', 'recovered', 'stale', 'frozen'] as const;
const stateSchema = Type.Enum([...states], {
  description:
    '`learning`: too little is known. `suspect`: a tenth of the evidence of an alarm. `recovered`: like the reference again, until it has been so for a while. `stale`: no images. `frozen`: the same images again and again.',
});
const timeSchema = (description: string) => Type.Number({ description: `${description}; milliseconds since 1970.` });
const movedSchema = Type.Array(
  Type.Object(
    {
      statistic: Type.String(),
      text: Type.Optional(
        Type.String({ description: 'What a person sees of it, such as `darker than the reference`.' }),
      ),
      direction: Type.Enum(['high', 'low', 'spread']),
      size: Type.Number({ description: '1-Wasserstein distance in reference standard deviations.' }),
    },
    { additionalProperties: true },
  ),
  { description: 'Statistics that moved, by what a person sees, what explains most first.' },
);

const answerSchema = {
  trust: Type.Enum([...trusts], {
    description:
      'Whether the classifier can be trusted on the images of this source now. `yes`: enough is known, and images are like the reference. `doubtful`: signs of a change, or one has just ended. `no`: drifted, frozen, or half of the latest images blocked. `unknown`: too little is known. `old`: no image for `staleAfterMs`, so nothing is known of now.',
  }),
  text: Type.String({ description: 'Why, in one sentence.' }),
  maintenance: Type.Optional(
    Type.Object(
      { until: timeSchema('When it ends'), reason: Type.Optional(Type.String()) },
      { description: 'It is judged and nobody is told: see the setting `maintenance`. Then `trust` is never `yes`.' },
    ),
  ),
};
const learningSchema = Type.Object(
  {
    images: Type.Integer(),
    independent: Type.Optional(
      Type.Integer({ description: 'As which they count; absent while it is not known how long the stream remembers.' }),
    ),
    needed: Type.Integer({ description: 'Independent images that are needed.' }),
    more: Type.Integer({ description: 'Images that must still come, at least.' }),
    text: Type.String({ description: 'Such as `4 of 20 independent images, about 100 images more`.' }),
  },
  { description: 'Where it is learning: how far it is.' },
);
const alarmSchema = Type.Object(
  {
    at: timeSchema('When it was raised'),
    share: Type.Number({ description: 'Evidence when it was raised; 1 is an alarm.' }),
    by: Type.String({ description: 'The statistic that had most of it, or `score`.' }),
    text: Type.String(),
    ends: Type.Object(
      { more: Type.Integer({ description: 'Images that must still come.' }), text: Type.String() },
      { description: 'What ends it.' },
    ),
  },
  { description: 'The alarm that it is in, also while it is stale or frozen.' },
);
const frozenSchema = Type.Object(
  {
    pictures: Type.Integer({ description: '1: one picture; more: the last so many pictures in a loop.' }),
    images: Type.Integer({ description: 'Images in a row that show nothing else.' }),
  },
  { description: 'Where it is frozen: which of two things it is.' },
);
const recentSchema = Type.Object(
  {
    images: Type.Integer({ description: 'The latest that are counted, at most 25.' }),
    warn: Type.Integer(),
    block: Type.Integer(),
    level: Type.Enum(['calm', 'warned', 'blocked'], {
      description: '`blocked`: half of them were blocked. `warned`: half of them were warned of or blocked.',
    }),
    cause: Type.Optional(Type.String({ description: 'The cause that is likelier than all others together.' })),
  },
  { description: 'How the latest images were judged: known at once, and without the promise that the state has.' },
);
const glanceSchema = {
  state: stateSchema,
  since: timeSchema('Since when it is in this state'),
  before: Type.Optional(Type.Enum([...states], { description: 'Where it is stale or frozen: the state before.' })),
  learning: Type.Optional(learningSchema),
  alarm: Type.Optional(alarmSchema),
  frozen: Type.Optional(frozenSchema),
  recent: recentSchema,
  lastAt: timeSchema('When its last image came; 0 where none has'),
};

const summarySchema = Type.Object(
  {
    source: Type.String(),
    ...answerSchema,
    ...glanceSchema,
    cause: Type.Optional(Type.String({ description: 'The likeliest cause when the state last changed.' })),
    moved: movedSchema,
    why: Type.Optional(Type.String({ description: 'Why it came into its state.' })),
    told: Type.Optional(
      Type.Object(
        {
          state: Type.Enum([...states]),
          at: timeSchema('Since when it is in that state'),
          blocked: Type.Optional(Type.String({ description: 'That most of its latest images are blocked.' })),
          causes: Type.Array(Type.String()),
        },
        {
          description: 'What receivers of alerts know of it: other than `state` while that has not lasted long enough.',
          additionalProperties: true,
        },
      ),
    ),
  },
  { additionalProperties: true },
);

/** What is known of one source: `DriftReport`, with the name of the source. */
export const driftReportSchema = Type.Object(
  {
    source: Type.String(),
    ...answerSchema,
    ...glanceSchema,
    reason: Type.Optional(Type.String({ description: 'Where it is learning: why.' })),
    images: Type.Integer({ description: 'Images that counted; the same picture again does not.' }),
    repeats: Type.Integer(),
    falseAlarmEvery: Type.Number({ description: 'One false alarm in so many images at most, on average.' }),
    promise: Type.String({ description: 'What is promised, in words.' }),
    evidence: Type.Object(
      {
        share: Type.Number({ description: '1 is an alarm. While it is drifted: that of the alarm.' }),
        now: Type.Number({
          description: 'While it is drifted: what has come together since the alarm; else the same.',
        }),
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
    movedCount: Type.Object(
      { moved: Type.Integer(), compared: Type.Integer() },
      { description: 'How many statistics moved, of how many.' },
    ),
    places: Type.Optional(
      Type.Object(
        {
          images: Type.Integer({ description: 'Images of late that this is the mean of.' }),
          parts: Type.Array(Type.Object({ text: Type.String(), share: Type.Number() }, { additionalProperties: true })),
          map: Type.String({
            description:
              'For every one of 16 x 12 tiles, row by row, how much more it is hidden than in the reference, in ninths.',
          }),
        },
        { description: 'What hides or blurs the same places in image after image; where the Profile tells places.' },
      ),
    ),
    uncheckable: Type.Optional(
      Type.Array(
        Type.Object({ question: Type.Enum(['standsStill', 'view', 'colour', 'places']), why: Type.String() }),
        {
          description:
            'What cannot be told of the source now, and why, as at night, in infrared or of a camera that moves.',
        },
      ),
    ),
    sight: Type.Optional(
      Type.Object(
        {
          kind: Type.Enum([
            ...(['frozen', 'loop', 'part', 'moved', 'turned', 'zoomed', 'shaken'] as const),
            ...(['mirrored', 'upsideDown', 'rotated'] as const),
          ]),
          by: Type.Number({
            description:
              'Share of the picture that stands still, share of the width of a shift, degrees, share of the size.',
          }),
          text: Type.String(),
        },
        { description: 'What stands still although its bytes differ, or how a standing camera looks elsewhere.' },
      ),
    ),
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

const listSchema = {
  operationId: 'listDrift',
  tags: ['drift'],
  summary: 'All sources with their states.',
  querystring: Type.Object({
    state: Type.Optional(stateSchema),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'Most sources in one answer.' }),
    ),
    after: Type.Optional(Type.String({ pattern: sourcePattern.source, description: 'The `next` of the page before.' })),
  }),
  response: {
    200: Type.Object(
      {
        total: Type.Integer({ description: 'Sources that are known, of whatever state.' }),
        states: Type.Record(Type.String(), Type.Integer(), { description: 'Number of sources by state.' }),
        trust: Type.Record(Type.String(), Type.Integer(), {
          description: 'Number of sources by whether they can be trusted now: yes, doubtful, no, unknown, old.',
        }),
        now: timeSchema('The clock of the service'),
        staleAfterMs: Type.Integer({ description: 'Without an image for so long a source is old.' }),
        overflowed: Type.Integer({
          description: 'Images of new sources that were counted as `other`, because there are `maxSources` already.',
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
};
const reportSchema = {
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
};
const resetSchema = {
  operationId: 'resetDrift',
  tags: ['drift'],
  summary: 'Let a source learn again.',
  description: 'After a camera was cleaned or exchanged, say. What was known of it is forgotten; its history stays.',
  params: sourceParams,
  response: {
    200: Type.Object({ source: Type.String(), state: stateSchema }, { description: 'It learns again.' }),
    ...refusals(400, 404, 500, 503),
  },
};

function unknown(source: string): StoplineError {
  return new StoplineError(
    'SOURCE_UNKNOWN',
    `Expected a source that images came from but ${source} is none. GET /drift lists them.`,
  );
}

/** All that is known of a source, and what that means. */
export type SourceReport = DriftReport & Answer & { lastAt: number };

/** What is known of sources, whoever watches them. */
export interface Sources {
  summaries(): Promise<SourceSummary[]>;
  report(source: string): Promise<SourceReport | undefined>;
  assess(known: Known & { source: string }): Answer;
  reset(source: string): Promise<boolean>;
  /** More about how they are watched. */
  status(): Record<string, unknown>;
}

function countTrust(answers: readonly Trust[]): Record<Trust, number> {
  const counts = { yes: 0, doubtful: 0, no: 0, unknown: 0, old: 0 };
  for (const answer of answers) counts[answer]++;
  return counts;
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
  app.get(
    '/drift',
    {
      schema: listSchema,
    },
    async (request) => {
      const query = request.query as { state?: DriftState; limit: number; after?: string };
      const all = await sources.summaries();
      const { sources: shown, next } = selectPage(all, query);
      return {
        total: all.length,
        states: Object.fromEntries(countStates(all)),
        trust: countTrust(all.map((summary) => sources.assess(summary).trust)),
        ...sources.status(),
        sources: shown.map((summary) => ({ ...summary, ...sources.assess(summary) })),
        ...(next !== undefined && { next }),
      };
    },
  );

  app.get(
    '/drift/:source',
    {
      schema: reportSchema,
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
      schema: resetSchema,
    },
    async (request) => {
      const { source } = request.params as { source: string };
      if (!(await sources.reset(source))) throw unknown(source);
      return { source, state: 'learning' };
    },
  );
}
