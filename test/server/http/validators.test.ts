import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { Validators } from '../../../src/server/http/validators.ts';

/** A service of one route, once with Fastify's own compiler and once with ours. */
async function buildPair() {
  const validators = new Validators();
  const apps = [Fastify(), Fastify({ schemaController: validators.controller })];
  for (const app of apps) {
    app.addSchema({ $id: 'count', type: 'integer', minimum: 1 });
    const schema = {
      params: { type: 'object', properties: { name: { type: 'string', pattern: '^[a-z]+$' } } },
      querystring: {
        type: 'object',
        properties: { count: { $ref: 'count#' }, share: { type: 'number', default: 0.5 } },
        additionalProperties: false,
      },
    };
    app.get('/of/:name', { schema }, async ({ params, query }) => ({ params, query }));
    await app.ready();
  }
  return { validators, apps };
}

describe('validators that are compiled late', () => {
  it.each([
    '/of/abc',
    '/of/abc?count=3',
    '/of/abc?count=0',
    '/of/abc?count=three&share=.25',
    '/of/ABC?count=3',
    '/of/abc?other=1',
  ])('answer %s as Fastify does, also once more', async (url) => {
    const { apps } = await buildPair();
    const [ours, theirs] = await Promise.all(
      apps.toReversed().map(async (app) => {
        const answers = [await app.inject(url), await app.inject('/of/abc'), await app.inject(url)];
        return answers.map(({ statusCode, body }) => ({ statusCode, body }));
      }),
    );
    expect(ours).toEqual(theirs);
    expect(ours[2]).toEqual(ours[0]);
  });

  it('are compiled by then, each after the other', async () => {
    const { validators, apps } = await buildPair();
    await validators.compileAll();
    expect((await apps[1].inject('/of/ABC')).json().message).toMatch(/^params\/name must match pattern/);
  });

  it('tell of a schema that is wrong when all are compiled', async () => {
    const validators = new Validators();
    const app = Fastify({ schemaController: validators.controller });
    app.get('/', { schema: { querystring: { type: 'nothing' } } }, async () => '');
    await app.ready();
    await expect(validators.compileAll()).rejects.toThrow(/type must be/);
  });
});
