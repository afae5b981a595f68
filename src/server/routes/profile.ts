import type { FastifyInstance } from 'fastify';
import { StoplineError } from '../../errors.ts';
import type { Statistic } from '../../image/statistics/statistic.ts';
import { statistics } from '../../image/statistics/statistics.ts';
import { describeProfile, type Profile } from '../../profile/description.ts';
import { encodeProfile } from '../../profile/file.ts';
import type { JudgingOptions } from '../../profile/judging.ts';
import { explainUnit, labelStatistic } from '../../profile/labels.ts';
import { PValues } from '../../profile/maths/pvalues.ts';
import { findQuantile } from '../../profile/maths/ranks.ts';
import { readMeaning } from '../../profile/sights.ts';
import type { DecideBy } from '../../profile/verdict.ts';
import { Type } from '../../schema.ts';
import { refusals } from '../http/schemas.ts';
import type { Judge } from '../judge.ts';
import { hideInFailed } from './metadata.ts';

const profileSchema = {
  operationId: 'profile',
  tags: ['reference'],
  summary: 'What the reference population was.',
  response: {
    200: Type.Object(
      { name: Type.String(), sha256: Type.String() },
      { description: 'The Profile without its tensors.', additionalProperties: true },
    ),
    ...refusals(500),
  },
};
const referenceSchema = {
  operationId: 'profileReference',
  tags: ['reference'],
  summary: 'What is normal: quantiles of every scored statistic, and what reference images show.',
  response: {
    200: Type.Object(
      {
        statistics: Type.Array(
          Type.Object({ name: Type.String(), p01: Type.Number(), p50: Type.Number(), p99: Type.Number() }),
        ),
        cloud: Type.Array(Type.Array(Type.Number(), { minItems: 2, maxItems: 2 }), {
          description: 'First two coordinates of the projection of reference images; empty without a model.',
        }),
        scoreLimits: Type.Object(
          { warn: Type.Number(), block: Type.Number() },
          { description: 'Scores above which images are warned about and blocked.' },
        ),
        hasExample: Type.Boolean({ description: 'Whether GET /profile/example answers.' }),
      },
      { description: 'What pages draw images against.', additionalProperties: true },
    ),
    ...refusals(500),
  },
};
const exampleSchema = {
  operationId: 'profileExample',
  tags: ['reference'],
  summary: 'A small picture of a typical reference image, where the Profile keeps one.',
  response: {
    200: { description: 'A JPEG.', content: { 'image/jpeg': { schema: { type: 'string', format: 'binary' } } } },
    ...refusals(404, 500),
  },
};
const fileSchema = {
  operationId: 'profileFile',
  tags: ['reference'],
  summary: 'The Profile as a file, for a judge elsewhere: `stopline/frame`, another service.',
  response: {
    200: {
      description:
        'The header `x-stopline-judging` has how this service decides, as JSON: `decideBy`, `blockWhen`, `ignore`.',
      content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
    },
    ...refusals(500),
  },
};
const statisticsSchema = {
  operationId: 'statistics',
  tags: ['reference'],
  summary: 'Every measured number: name, unit and what it means.',
  response: {
    200: {
      description: 'In the order in which they are measured.',
      content: { 'application/json': { schema: Type.Array(Type.Ref('Statistic#')) } },
    },
    ...refusals(500),
  },
};

/** A row of the table with what people call it, and its unit. */
export type LabelledStatistic = Statistic & { label: string; unitMeaning: string; isPercent: boolean };

const labelled = statistics.map(
  (row): LabelledStatistic => ({
    ...row,
    label: labelStatistic(row.name),
    unitMeaning: explainUnit(row.unit),
    isPercent: readMeaning(row.name).legible?.isPercent ?? false,
  }),
);

/** Registers what images are judged against: the Profile without its numbers, and the table of statistics. */
export function registerReference(app: FastifyInstance, judge: Judge, judging: JudgingOptions): void {
  const { decideBy = 'combined', blockWhen, ignore } = judging;
  app.get(
    '/profile',
    {
      schema: profileSchema,
    },
    async () => {
      const { model, ...about } = describeProfile(judge.profile);
      const { runtime, provider, failed = [] } = judge.pool.info.embedder ?? {};
      return model ? { ...about, model: { ...model, runtime, provider, failed: hideInFailed(failed) } } : about;
    },
  );
  app.get(
    '/profile/reference',
    {
      schema: referenceSchema,
    },
    async () => describeReference(judge.profile, decideBy),
  );
  app.get(
    '/profile/example',
    {
      schema: exampleSchema,
    },
    async (_request, reply) => {
      const { example } = judge.profile;
      if (!example) throw new StoplineError('ROUTE_UNKNOWN', 'Expected a Profile that keeps an example image.');
      return reply.type('image/jpeg').send(Buffer.from(example.jpeg, 'base64'));
    },
  );
  app.get('/profile/file', { schema: fileSchema }, async (_request, reply) =>
    reply
      .type('application/octet-stream')
      .header('x-stopline-judging', JSON.stringify({ decideBy, blockWhen, ignore }))
      .send(Buffer.from(encodeProfile(judge.profile))),
  );
  app.get(
    '/statistics',
    {
      schema: statisticsSchema,
    },
    async () => labelled,
  );
}

function describeReference(profile: Profile, decideBy: DecideBy) {
  const { statistics: scored, tensors, example, falseAlarmRate } = profile;
  const { shape, data } = tensors.calibrationValues;
  const images = shape[1];
  const { embeddingCloud } = tensors;
  const across = embeddingCloud?.shape[1] ?? 0;
  const pValues = new PValues(tensors[`${decideBy}Scores`].data, falseAlarmRate.threshold);
  return {
    images,
    statistics: scored.map(({ name, logFloor }, i) => {
      const sorted = data.slice(i * images, (i + 1) * images).sort();
      const at = (share: number) => Number(findQuantile(sorted, share).toPrecision(5));
      return { name, logFloor, p01: at(0.01), p50: at(0.5), p99: at(0.99) };
    }),
    cloud: Array.from({ length: across >= 2 ? embeddingCloud.shape[0] : 0 }, (_, row) =>
      [0, 1].map((axis) => Number(embeddingCloud.data[row * across + axis].toFixed(3))),
    ),
    scoreLimits: {
      warn: Number(pValues.limit(falseAlarmRate.promised.warn).toPrecision(5)),
      block: Number(pValues.limit(falseAlarmRate.promised.block).toPrecision(5)),
    },
    hasExample: example !== undefined,
  };
}
