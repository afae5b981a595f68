import type { IncomingMessage } from 'node:http';
import { StoplineError } from '../../errors.ts';
import { uninspected } from '../protocols/tensor.ts';

/** Bodies that were looked at, so that a second gate need not read them again. */
const seen = new WeakMap<IncomingMessage, Buffer>();

/**
 * Reads the body of a request and puts it back into its stream, so that whoever comes next reads it as if nobody had.
 *
 * @param limit most bytes that are read; of a larger body all stays readable, too
 * @throws {StoplineError} REQUEST_TOO_LARGE, REQUEST_INVALID where the client breaks off, UNINSPECTED where somebody else has
 *   read it
 */
export async function peekBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const known = seen.get(request);
  if (known) return known;
  if (request.readableDidRead) {
    throw uninspected('the body was read before the gate came: register the gate before what parses bodies');
  }
  const announced = Number(request.headers['content-length'] ?? Number.NaN);
  if (announced > limit) throw tooLarge(limit, String(announced));
  const isEmpty = Number.isNaN(announced) && request.headers['transfer-encoding'] === undefined;
  if (announced === 0 || (isEmpty && request.httpVersionMajor < 2)) return Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (settle: () => void) => {
      request.off('readable', look).off('close', stop).off('error', stop);
      settle();
    };
    const stop = () => {
      end(() => reject(new StoplineError('REQUEST_INVALID', 'Expected the whole body but the client broke off.')));
    };
    const look = () => {
      for (let chunk = request.read(); chunk !== null && length <= limit; chunk = request.read()) {
        chunks.push(chunk);
        length += chunk.length;
      }
      const isTooLarge = length > limit;
      // A body of HTTP/2 counts as complete only when its end was read, which would be too late.
      if (!isTooLarge && !request.complete && length !== announced) return;
      const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length);
      // In the same turn as the last piece was read: a stream that is found empty in the next turn has ended.
      end(() => request.unshift(body));
      if (isTooLarge) return reject(tooLarge(limit, `more than ${limit}`));
      seen.set(request, body);
      resolve(body);
    };
    request.on('readable', look).once('close', stop).once('error', stop);
  });
}

export function tooLarge(limit: number, received: string): StoplineError {
  return new StoplineError('REQUEST_TOO_LARGE', `Expected at most ${limit} bytes but received ${received}.`);
}
