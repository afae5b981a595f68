import type { StoplineError } from '../../errors.ts';
import type { ProtocolName, Route } from '../../settings.ts';
import { findImages, findKnownImages, unpack } from './find.ts';
import { openInference } from './oip.ts';
import type { Protocol } from './protocol.ts';
import { tensorflowServing } from './tfserving.ts';

const describe = (error: StoplineError) => `${error.code}: ${error.message}`;

/** A text under `error`, as the clients of KServe, Triton and TensorFlow Serving read it. */
const stringError = (error: StoplineError, id?: string) => ({
  ...(id !== undefined && { id }),
  error: describe(error),
});
const codedError = (error: StoplineError) => ({ error: error.toJSON() });
/** KServe's client reads the reason only where no charset stands behind the type. */
const bareJson = 'application/json';

export const protocols: Readonly<Record<ProtocolName, Protocol>> = {
  oip: {
    meaning:
      'Open Inference Protocol v2 (KServe, Triton, OpenVINO): JSON or binary tensors of datatype UINT8 or BYTES; floats where `tensor` says how to undo the preprocessing.',
    paths: ['/v2/models/*/infer', '/v2/models/*/versions/*/infer'],
    find: async (request, where) => openInference(await unpack(request), where),
    refusal: stringError,
    refusalType: bareJson,
  },
  tfserving: {
    meaning: 'TensorFlow Serving and KServe v1: `instances` or `inputs` with images in base64 or as numbers.',
    paths: ['/v1/models/*:predict', '/v1/models/*/versions/*:predict', '/v1/models/*/labels/*:predict'],
    find: tensorflowServing,
    refusal: stringError,
    refusalType: bareJson,
  },
  torchserve: {
    meaning: 'TorchServe: the body is the image, or a form or JSON with images.',
    paths: ['/predictions/*', '/predictions/*/*'],
    find: findKnownImages,
    refusal: (error) => ({ code: error.status, type: error.code, message: error.message }),
    refusalType: bareJson,
  },
  image: {
    meaning: 'The body is the image, or a form or JSON with images.',
    paths: [],
    find: findKnownImages,
    refusal: codedError,
  },
  find: {
    meaning: 'Whatever in the request can be an image is judged: the default for every path.',
    paths: [],
    find: findImages,
    refusal: codedError,
  },
  pass: {
    meaning: 'Forwarded without a look at it.',
    // Calls that load models, ask about them and set servers up.
    paths: [
      '/v2/repository/**',
      '/v2/models/*/load',
      '/v2/models/*/unload',
      '/v2/models/*/trace/setting',
      '/v2/trace/setting',
      '/v2/logging',
      '/v2/systemsharedmemory/**',
      '/v2/cudasharedmemory/**',
      '/v1/config/reload',
    ],
    find: async () => ({ images: [] }),
    refusal: codedError,
  },
};

/** What each protocol is spoken on. */
export const protocolRoutes: readonly Route[] = Object.entries(protocols).flatMap(([protocol, { paths }]) =>
  paths.map((path): Route => ({ path, protocol: protocol as ProtocolName })),
);

/** What a path is taken for that nobody has described. */
export const undescribed: Route = { path: '/**', protocol: 'find' };

/** Whose form a refusal has on a path that nobody has described. */
export function guessProtocol(path: string): Protocol {
  if (/^\/v2(\/|$)/i.test(path)) return protocols.oip;
  if (/^\/v1\/models(\/|$)/i.test(path)) return protocols.tfserving;
  return protocols.find;
}
