import { StoplineError } from '../../errors.ts';
import type { ReadRequest } from '../protocols.ts';
import { invalid } from './tensor.ts';

/**
 * Longest JSON that is parsed. Parsing stops everything else in the process: numbers as text cost about 10 ms a megabyte, and
 * pixels belong into the binary extension or base64.
 */
const maxJsonBytes = 16 * 1024 * 1024;

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws {StoplineError} REQUEST_INVALID, REQUEST_TOO_LARGE, REQUEST_TYPE */
export function parseObject({ body, headers }: ReadRequest, bytes = body): JsonObject {
  checkEncoding(headers['content-encoding']);
  if (!(bytes instanceof Uint8Array)) return bytes as JsonObject;
  if (bytes.length > maxJsonBytes) {
    throw new StoplineError(
      'REQUEST_TOO_LARGE',
      `Expected at most ${maxJsonBytes} bytes of JSON but received ${bytes.length}; send tensors in binary.`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse((bytes as Buffer).toString('utf8'));
  } catch (cause) {
    throw new StoplineError('REQUEST_INVALID', `Expected JSON but received ${(cause as Error).message.slice(0, 200)}.`);
  }
  if (!isObject(json)) throw invalid('a JSON object');
  return json;
}

/** A packed body cannot be looked into. @throws {StoplineError} REQUEST_TYPE */
export function checkEncoding(encoding = 'identity'): void {
  if (encoding.toLowerCase() === 'identity') return;
  throw new StoplineError(
    'REQUEST_TYPE',
    `Expected a body without Content-Encoding but received ${encoding.slice(0, 50)}.`,
  );
}
