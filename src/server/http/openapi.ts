import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';
import type { Config } from '../../settings.ts';
import { version } from '../../version.ts';
import { refusals } from './schemas.ts';

/** How a key is sent, each way by itself. */
const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer', description: 'An API key, as `stopline key` prints it.' },
  header: {
    type: 'apiKey',
    in: 'header',
    name: 'x-stopline-key',
    description: 'The same, where `authorization` is an upstream’s.',
  },
  basic: { type: 'http', scheme: 'basic', description: 'The same as the password, for browsers; any user name.' },
} as const;
const anyScheme = Object.keys(securitySchemes).map((name) => ({ [name]: [] }));

/** Refusals that every route can answer with, before it is asked. */
const common = refusals(400, 401, 403, 408, 415, 421, 429, 500, 503);
/** What probes share: they are asked without a key and under any name. */
const commonOfProbes = refusals(400, 408, 415, 429, 500);

/** Describes the routes that are added after it, in OpenAPI 3.1. */
export async function registerOpenApi(app: FastifyInstance, { apiKeys }: Config): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Stopline',
        version,
        description: 'Is this image still like the ones the classifier was trained on?',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This service.' }],
      tags: [
        { name: 'images', description: 'Judging images' },
        { name: 'reference', description: 'What images are judged against' },
        { name: 'drift', description: 'Sources over time' },
        { name: 'quarantine', description: 'Images that were stopped, to be looked at' },
        { name: 'operation', description: 'Running the service' },
      ],
      components: { securitySchemes },
      // Without keys in the settings a request needs none.
      security: apiKeys === undefined ? [{}, ...anyScheme] : anyScheme,
    },
    transform: ({ schema, url, route }) => ({ schema: completeSchema(schema, route), url }),
    refResolver: { buildLocalReference: (schema, _baseUri, _fragment, i) => String(schema.$id ?? `schema-${i}`) },
  } satisfies FastifyDynamicSwaggerOptions);
}

/** The schema of a route with what holds for all: refusals, and that probes need no key. */
function completeSchema(schema: FastifySchema | undefined, { config }: RouteOptions): FastifySchema {
  if (!schema || schema.hide) return schema ?? {};
  const { kind, scope } = config ?? {};
  const response = { ...(kind === 'probe' ? commonOfProbes : common), ...(schema.response as object) };
  return { ...schema, response, ...(scope === 'public' && { security: [] }) };
}
