import type { IncomingHttpHeaders } from 'node:http';
import type { StoplineError } from '../../errors.ts';
import type { Frame } from '../../image/frame.ts';
import type { Route } from '../../settings.ts';

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
