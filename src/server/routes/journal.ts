import type { FastifyInstance } from 'fastify';
import { Type } from '../../schema.ts';
import { refusals } from '../http/schemas.ts';
import type { Judge } from '../judge.ts';
import type { Reloader } from '../reload.ts';
import type { Store } from '../store/store.ts';
import type { Journal } from '../watch/journal.ts';
import type { Events } from './events.ts';

const journalSchema = {
  operationId: 'journal',
  tags: ['operation'],
  summary: 'What happened, newest first.',
  description:
    'Changes of state of all sources, which outlast the process, and since its start also sources whose latest images are ' +
    'blocked, Profiles that came into force or could not, and requests that were refused, by route and code.',
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
            kind: Type.Enum(['state', 'attention', 'profile', 'refusal']),
            isTrouble: Type.Boolean({ description: 'Whether somebody should look at it.' }),
            source: Type.Optional(Type.String()),
            text: Type.String(),
            times: Type.Optional(Type.Integer({ description: 'How often, within a minute each time.' })),
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
  app.addHook('onResponse', async ({ errorCode, method, routeOptions }) => {
    if (errorCode) journal.addRefusal(`${method} ${routeOptions.url ?? '(no such route)'}`, errorCode);
  });
}

/** Keeps account of what else happens to a service, and answers GET /journal. */
export function registerJournal(
  app: FastifyInstance,
  parts: { journal: Journal; store: Store; judge: Judge; events: Events; reloader: Reloader },
): void {
  const { journal, store, judge, events, reloader } = parts;
  const since = Date.now();
  judge.onReplace((profile) => journal.addProfile(profile));
  reloader.onFailure((error) => journal.addReloadFailure(error));
  events.onAttention((attention) => journal.addAttention(attention));
  app.get('/journal', { schema: journalSchema }, async (request) => {
    const { limit } = request.query as { limit: number };
    return { entries: journal.list(await store.transitions({ limit }), limit), since };
  });
}
