import type { FastifyInstance } from 'fastify';
import { Type } from '../../schema.ts';
import { refusals } from '../http/schemas.ts';
import type { Judge } from '../judge.ts';
import type { Reloader } from '../reload.ts';
import type { Store } from '../store/store.ts';
import type { Journal } from '../watch/journal.ts';

const journalSchema = {
  operationId: 'journal',
  tags: ['operation'],
  summary: 'What happened, newest first.',
  description:
    'Changes of state of all sources, which outlast the process, and since its start also sources whose latest images are ' +
    'blocked, every alert and what became of it, Profiles that came into force or could not, what a gate let through ' +
    'unjudged, requests that were refused, by route and code, and cameras that came, were lost or sent what is no image.',
  querystring: Type.Object({
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, default: 200, description: 'Most entries in one answer.' }),
    ),
  }),
  response: {
    200: Type.Object(
      {
        entries: Type.Array(
          Type.Object({
            at: Type.Number({ description: 'Milliseconds since 1970.' }),
            kind: Type.Enum(['state', 'attention', 'alert', 'profile', 'unjudged', 'refusal', 'camera']),
            isTrouble: Type.Boolean({ description: 'Whether somebody should look at it.' }),
            source: Type.Optional(Type.String()),
            text: Type.String(),
            times: Type.Optional(
              Type.Integer({ description: 'How often; the same again soon is counted and not told anew.' }),
            ),
          }),
        ),
        since: Type.Number({ description: 'When the process started, before which only changes of state are known.' }),
      },
      { description: 'What happened.' },
    ),
    ...refusals(400, 500, 503),
  },
};

/** Keeps account of refusals: of routes that are added after it. */
export function journalRefusals(app: FastifyInstance, journal: Journal): void {
  app.addHook('onResponse', async ({ errorCode, method, routeOptions }, reply) => {
    // Pages ask for what may not be there: that nothing was found is nothing that happened.
    const isLookup = method === 'GET' && reply.statusCode === 404;
    if (errorCode && !isLookup) journal.addRefusal(`${method} ${routeOptions.url ?? '(no such route)'}`, errorCode);
  });
}

/** Writes down what happens to Profiles beside what others write into the journal, and answers GET /journal. */
export function registerJournal(
  app: FastifyInstance,
  parts: { journal: Journal; store: Store; judge: Judge; reloader: Reloader },
): void {
  const { journal, store, judge, reloader } = parts;
  const since = Date.now();
  judge.onReplace((profile) => journal.addProfile(profile));
  reloader.onFailure((error) => journal.addReloadFailure(error));
  app.get('/journal', { schema: journalSchema }, async (request) => {
    const { limit } = request.query as { limit: number };
    return { entries: journal.list(await store.transitions({ limit }), limit), since };
  });
}
