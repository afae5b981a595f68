import type { IncomingHttpHeaders } from 'node:http';
import type { StoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';
import type { Route } from '../../settings.ts';

/** The images of one request, in order. */
export interface FoundImages {
  images: (Uint8Array | Frame)[];
  /** Why not all that could be an image is among them, or another reader could see others. */
  unjudged?: StoplineError;
  /** What the client calls the request, where the protocol has a field for it. */
  id?: string;
  /** The request without some of its images, where that can be had. */
  without?(positions: ReadonlySet<number>): { body: Buffer; headers?: Record<string, string> };
}

/** A request whose body has been read. */
export interface ReadRequest {
  body: Buffer;
  headers: IncomingHttpHeaders;
  /** Most bytes of the body when unpacked; default: 32 MiB. */
  bodyLimit?: number;
  /** Called with the bytes that unpacking took; throws where there is no room for them. */
  hold?(bytes: number): void;
}

/** What a route says about where its images are. */
export type Where = Pick<Route, 'input' | 'tensor'>;

/** How one kind of model server is spoken to. */
export interface Protocol {
  meaning: string;
  /** Paths on which it is spoken unless the configuration says otherwise. */
  paths: readonly string[];
  /**
   * @throws {StoplineError} UNINSPECTED where the request holds no image that can be looked at, REQUEST_INVALID where it is
   * not what the protocol says, REQUEST_TOO_LARGE, REQUEST_TYPE
   */
  find(request: ReadRequest, where: Where): Promise<FoundImages>;
  /** The body of a refusal, in the shape that clients of the protocol know. */
  refusal(error: StoplineError, id?: string): unknown;
  /** Content type of a refusal; default: JSON with its charset. */
  refusalType?: string;
}
