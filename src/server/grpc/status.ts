import type { OutgoingHttpHeaders } from 'node:http2';
import { StoplineError } from '../../errors.ts';
import { writeContent, writeNumber } from '../../gate/bodies/protobuf.ts';

/** The status codes of gRPC that this service gives. */
export const grpcCodes = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

type GrpcCodeName = keyof typeof grpcCodes;

const byHttpStatus: Readonly<Record<number, GrpcCodeName>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'UNIMPLEMENTED',
  408: 'DEADLINE_EXCEEDED',
  413: 'RESOURCE_EXHAUSTED',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/**
 * The status that a client is told for an error. An image that is refused is FAILED_PRECONDITION, which nobody tries again and
 * nobody takes for a mistake in the request; what is wrong with a request is INVALID_ARGUMENT, as model servers say it.
 */
function chooseGrpcCode(error: StoplineError): GrpcCodeName {
  if (error.code === 'STOPLINE_ERR_IMAGE_REFUSED') return 'FAILED_PRECONDITION';
  return byHttpStatus[error.status] ?? 'INVALID_ARGUMENT';
}

/** The number of the status that a client is told for an error. */
export function readGrpcCode(error: StoplineError): number {
  return grpcCodes[chooseGrpcCode(error)];
}

/** `google.rpc.Status` with an `ErrorInfo`, by which programs find the code without reading the message. */
function describeDetails(code: number, message: string, error: StoplineError): string {
  const info = Buffer.concat([writeContent(1, error.code.replace('STOPLINE_ERR_', '')), writeContent(2, 'stopline')]);
  const detail = Buffer.concat([writeContent(1, 'type.googleapis.com/google.rpc.ErrorInfo'), writeContent(2, info)]);
  const status = Buffer.concat([writeNumber(1, code), writeContent(2, message), writeContent(3, detail)]);
  return status.toString('base64').replace(/=+$/, '');
}

/**
 * What ends a call that is refused.
 * @param retryAfterSeconds told where trying again makes sense
 */
export function writeTrailers(error: StoplineError, retryAfterSeconds: number): OutgoingHttpHeaders {
  const name = chooseGrpcCode(error);
  const message = `${error.code}: ${error.message}`;
  return {
    'grpc-status': String(grpcCodes[name]),
    'grpc-message': encodeMessage(message),
    'grpc-status-details-bin': describeDetails(grpcCodes[name], message, error),
    ...(name === 'UNAVAILABLE' && { 'grpc-retry-pushback-ms': String(retryAfterSeconds * 1000) }),
  };
}

/** A text for `grpc-message`: everything but plain ASCII, and the percent sign, by its bytes in UTF-8. */
function encodeMessage(message: string): string {
  return [...Buffer.from(message.slice(0, 2000))]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** The milliseconds of `grpc-timeout`; undefined where it says nothing. @throws {StoplineError} REQUEST_INVALID */
export function readTimeout(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  if (digits !== undefined) return Number(digits) * units[unit];
  throw new StoplineError(
    'REQUEST_INVALID',
    `Expected a grpc-timeout such as 500m but received ${JSON.stringify(header.slice(0, 50))}.`,
  );
}
