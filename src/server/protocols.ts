import type { IncomingHttpHeaders } from 'node:http';
import type { Frame } from '../decode.ts';
import type { StoplineError } from '../errors.ts';
import type { ProtocolName, Route } from '../route.ts';
import { imageBody } from './protocols/image.ts';
import { openInference } from './protocols/oip.ts';
import { tensorflowServing } from './protocols/tfserving.ts';

/** The images of one request, in order. */
export interface FoundImages {
  images: (Uint8Array | Frame)[];
  /** What the client calls the request, where the protocol has a field for it. */
  id?: string;
  /** The request without some of its images, where that can be had. */
  without?(positions: ReadonlySet<number>): { body: Buffer; headers?: Record<string, string> };
}

/** A request whose body has been read: as bytes, or as what somebody has parsed from JSON. */
export interface ReadRequest {
  body: Buffer | object;
  headers: IncomingHttpHeaders;
}

/** How one kind of model server is spoken to. */
export interface Protocol {
  meaning: string;
  /** Paths on which it is spoken unless the configuration says otherwise. */
  paths: readonly string[];
  /**
   * @throws {StoplineError} UNINSPECTED where the request holds no image that can be looked at, REQUEST_INVALID where it is
   * not what the protocol says, REQUEST_TOO_LARGE
   */
  find(request: ReadRequest, route: Pick<Route, 'input' | 'tensor'>): FoundImages | Promise<FoundImages>;
  /** The body of a refusal, in the shape that clients of the protocol know. */
  refusal(error: StoplineError, id?: string): unknown;
}

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
