import { StoplineError } from '../../errors.ts';
import { unpackBody } from './encoding.ts';

/** Bytes before each message of gRPC: whether it is packed, and its length. */
export const frameHead = 5;

/** One message of gRPC in its frame. */
export interface GrpcFrame {
  isPacked: boolean;
  /** What stands behind the head, packed or not. */
  content: Buffer;
}

/** What a frame says of itself. @throws {StoplineError} REQUEST_INVALID */
export function readFrameHead(head: Buffer): { isPacked: boolean; length: number } {
  if (head[0] > 1) {
    throw new StoplineError('REQUEST_INVALID', `Expected a gRPC frame but received one that begins with ${head[0]}.`);
  }
  return { isPacked: head[0] === 1, length: head.readUInt32BE(1) };
}

/** The frames of a body that is whole. @throws {StoplineError} REQUEST_INVALID, REQUEST_TOO_LARGE */
export function readFrames(body: Buffer): GrpcFrame[] {
  const frames: GrpcFrame[] = [];
  for (let at = 0; at < body.length; ) {
    if (frames.length === 256) throw new StoplineError('REQUEST_TOO_LARGE', 'Expected at most 256 messages at once.');
    if (at + frameHead > body.length) throw cut();
    const { isPacked, length } = readFrameHead(body.subarray(at, at + frameHead));
    const start = at + frameHead;
    if (start + length > body.length) throw cut();
    frames.push({ isPacked, content: body.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}

function cut(): StoplineError {
  return new StoplineError('REQUEST_INVALID', 'Expected whole gRPC messages but received a part of one.');
}

/**
 * The message in a frame.
 * @param encoding by the header `grpc-encoding`
 * @param most bytes that it may have
 * @throws {StoplineError} REQUEST_TYPE for an encoding that is not read, REQUEST_INVALID, REQUEST_TOO_LARGE
 */
export async function unpackFrame(frame: GrpcFrame, encoding: string | undefined, most: number): Promise<Buffer> {
  const { isPacked, content } = frame;
  if (!isPacked) return content;
  if (encoding === undefined || encoding === 'identity') {
    throw new StoplineError(
      'REQUEST_INVALID',
      'Expected grpc-encoding to name how messages are packed but it does not.',
    );
  }
  return unpackBody(content, encoding, most);
}

/** A message in its frame, not packed. */
export function writeFrame(message: Buffer): Buffer {
  const head = Buffer.alloc(frameHead);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
