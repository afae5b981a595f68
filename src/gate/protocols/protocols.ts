import type { StoplineError } from '../../errors.ts';
import type { ProtocolName, Route } from '../../settings.ts';
import { imageBody } from './image.ts';
import { openInference } from './oip.ts';
import type { Protocol } from './protocol.ts';
import { tensorflowServing } from './tfserving.ts';

const stringError = (error: StoplineError, id?: string) => ({
  ...(id !== undefined && { id }),
  error: `${error.code}: ${error.message}`,
});

export const protocols: Readonly<Record<ProtocolName, Protocol>> = {
  oip: {
    meaning:
      'Open Inference Protocol v2 (KServe, Triton, OpenVINO): JSON or binary tensors of datatype UINT8 or BYTES; FP32 where `tensor` says how to undo the preprocessing.',
    paths: ['/v2/models/*/infer', '/v2/models/*/versions/*/infer'],
    find: openInference,
    refusal: stringError,
  },
  tfserving: {
    meaning: 'TensorFlow Serving and KServe v1: `{"instances": [{"b64": ...}]}` or `{"inputs": ...}`, one image each.',
    paths: ['/v1/models/*:predict', '/v1/models/*/versions/*:predict', '/v1/models/*/labels/*:predict'],
    find: tensorflowServing,
    refusal: stringError,
  },
  image: {
    meaning:
      'The body is the image, or a multipart form with image files, or JSON with the image in base64 in one field.',
    paths: [],
    find: imageBody,
    refusal: (error) => ({ error: error.toJSON() }),
  },
  pass: {
    meaning: 'Forwarded without a look at it.',
    paths: [],
    find: () => ({ images: [] }),
    refusal: (error) => ({ error: error.toJSON() }),
  },
};

/** What each protocol is spoken on. */
export const protocolRoutes: readonly Route[] = Object.entries(protocols).flatMap(([protocol, { paths }]) =>
  paths.map((path): Route => ({ path, protocol: protocol as ProtocolName })),
);
