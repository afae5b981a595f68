import { StoplineError } from '../../errors.ts';
import type { ReadRequest } from './protocol.ts';
import { invalid } from './tensor.ts';

/** Undefined for text that is not base64; white space in it is fine. */
export function decodeBase64(text: string): Buffer | undefined {
  const dense = /\s/.test(text) ? text.replace(/\s+/g, '') : text;
  const bytes = Buffer.from(dense, 'base64');
  // Buffer skips what is not base64, so text that holds anything else gives fewer bytes than its length promises.
  const padding = dense.endsWith('==') ? 2 : dense.endsWith('=') ? 1 : 0;
  return bytes.length === Math.floor(((dense.length - padding) * 3) / 4) ? bytes : undefined;
}

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
