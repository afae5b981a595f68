import { type Static, Type } from 'typebox';
import { StoplineError } from './errors.ts';

/** How a request is wrapped; `server/protocols.ts` has what each means. */
export const protocolNames = ['oip', 'tfserving', 'image', 'pass'] as const;
export type ProtocolName = (typeof protocolNames)[number];

/** How the numbers of a tensor became of pixels: (pixel * scale - mean) / deviation. */
export const tensorSchema = Type.Object(
  {
    layout: Type.Optional(Type.Enum(['NHWC', 'NCHW'], { description: 'Default: where a side of 1, 3 or 4 stands.' })),
    order: Type.Optional(Type.Enum(['RGB', 'BGR'], { description: 'Of the colours; default RGB.' })),
    scale: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'Default 1/255.' })),
    mean: Type.Optional(Type.Array(Type.Number(), { minItems: 1, maxItems: 4, description: 'One, or one a channel.' })),
    deviation: Type.Optional(Type.Array(Type.Number({ exclusiveMinimum: 0 }), { minItems: 1, maxItems: 4 })),
  },
  { additionalProperties: false },
);

export type TensorOptions = Static<typeof tensorSchema>;

/** One path of the upstream and how requests to it are judged. */
export const routeSchema = Type.Object(
  {
    path: Type.String({
      minLength: 1,
      maxLength: 1000,
      pattern: '^/',
      description: 'Path of the upstream; `*` stands for any text without a slash.',
    }),
    protocol: Type.Enum([...protocolNames]),
    input: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Name of the tensor or field that holds the image.' }),
    ),
    tensor: Type.Optional(tensorSchema),
    mode: Type.Optional(Type.Enum(['observe', 'enforce'])),
    onError: Type.Optional(Type.Enum(['open', 'closed'])),
    share: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    partial: Type.Optional(Type.Boolean()),
    verdictTimeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 600_000 })),
    source: Type.Optional(
      Type.String({ pattern: '^[\\w.:-]{1,128}$', description: 'Camera of requests that name none.' }),
    ),
  },
  { additionalProperties: false },
);

export type Route = Static<typeof routeSchema>;

/** The first of the rules that fits a path. */
export function matcherOf(routes: readonly Route[]): (path: string) => Route | undefined {
  const rules = routes.map((route) => ({ route, pattern: patternOf(route.path) }));
  return (path) => rules.find(({ pattern }) => pattern.test(path))?.route;
}

/** Upstreams differ in whether they mind case or a slash at the end; what might be the same path is judged. */
function patternOf(path: string): RegExp {
  const literal = path
    .replace(/\/$/, '')
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literal.join('[^/]*')}/?$`, 'i');
}

/**
 * The path of a request, provided that every upstream must read it as this gate does: `/v2//models`, `/%76%32/` or `/a/../v2`
 * could lead an upstream to a model that the gate has not recognised.
 * @throws {StoplineError} REQUEST_INVALID
 */
export function plainPath(url: string): string {
  const [path] = url.split('?', 1);
  const isPlain =
    path.startsWith('/') &&
    // A space or letters that are not ASCII may be encoded; the rest stands for itself, or is in no path of a model server.
    !/\/\/|[\\;#]|[^\x21-\x7e]|%(?!20|[89a-f][0-9a-f])/i.test(path) &&
    !path.split('/').some((segment) => segment === '.' || segment === '..');
  if (isPlain) return path;
  throw new StoplineError(
    'REQUEST_INVALID',
    `Expected a path in its plain form but received ${JSON.stringify(path.slice(0, 200))}.`,
  );
}
