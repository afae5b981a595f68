import { StoplineError } from '../../../errors.ts';
import {
  readAll,
  readBytes,
  readText,
  type WireMessage,
  WireReader,
  writeContent,
  writeNumber,
} from '../../bodies/protobuf.ts';

/** An HTTP request about which Envoy asks. */
export interface AskedRequest {
  method: string;
  /** Path with the query. */
  url: string;
  headers: Readonly<Record<string, string>>;
  /** The same in pairs: what stands twice stays twice where Envoy says so. */
  rawHeaders: readonly string[];
  body: Buffer;
}

/** Fields of `CheckRequest` and of what is in it. */
const check = { attributes: 1, request: 4, http: 2 };
const http = { method: 2, headers: 3, path: 4, host: 5, body: 11, rawBody: 12, headerMap: 13 };

/** Reads a `CheckRequest` of `envoy.service.auth.v3`. @throws {StoplineError} REQUEST_INVALID */
export function readCheckRequest(message: Buffer): AskedRequest {
  const reader = new WireReader();
  const open = (parent: WireMessage, number: number) => reader.read(readBytes(parent, number));
  const request = open(open(open(reader.read(message), check.attributes), check.request), check.http);
  const [method, url] = [readText(request, http.method, 50), readText(request, http.path, 16_384)];
  if (method === '' || !url.startsWith('/')) {
    throw new StoplineError('REQUEST_INVALID', 'Expected attributes.request.http of a request but received others.');
  }
  const entries = readAll(request, http.headers).map((entry) => reader.read(entry));
  const listed = readAll(open(request, http.headerMap), 1).map((entry) => reader.read(entry));
  const rawHeaders = [...entries, ...listed].flatMap((entry) => {
    const raw = readBytes(entry, 3);
    return [readText(entry, 1, 1000), raw.length > 0 ? raw.toString('latin1') : readText(entry, 2, 65_536)];
  });
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) headers[rawHeaders[i].toLowerCase()] = rawHeaders[i + 1];
  const rawBody = readBytes(request, http.rawBody);
  return { method, url, headers, rawHeaders, body: rawBody.length > 0 ? rawBody : readBytes(request, http.body) };
}

/** Fields of `CheckResponse`, and of the two answers in it. */
const response = { status: 1, denied: 2, ok: 3 };
const answer = { httpStatus: 1, headers: 2, body: 3, responseHeaders: 6 };
/** `HeaderValueOption.append_action`: what is there already is replaced. */
const overwrite = writeNumber(3, 2);

function writeHeaders(number: number, headers: Readonly<Record<string, string>>): Buffer[] {
  return Object.entries(headers).map(([name, value]) => {
    const header = Buffer.concat([writeContent(1, name), writeContent(2, value)]);
    return writeContent(number, Buffer.concat([writeContent(1, header), overwrite]));
  });
}

/** A `CheckResponse` that lets a request pass. @param headers for the upstream and for the client */
export function writeAllowed(headers: Readonly<Record<string, string>>): Buffer {
  const ok = Buffer.concat([
    ...writeHeaders(answer.headers, headers),
    ...writeHeaders(answer.responseHeaders, headers),
  ]);
  return Buffer.concat([writeContent(response.status, ''), writeContent(response.ok, ok)]);
}

/** A `CheckResponse` that refuses a request. @param code of gRPC */
export function writeDenied(
  code: number,
  told: { status: number; headers: Readonly<Record<string, string>>; body: string; message: string },
): Buffer {
  const denied = Buffer.concat([
    writeContent(answer.httpStatus, writeNumber(1, told.status)),
    ...writeHeaders(answer.headers, told.headers),
    writeContent(answer.body, told.body),
  ]);
  const status = Buffer.concat([writeNumber(1, code), writeContent(2, told.message)]);
  return Buffer.concat([writeContent(response.status, status), writeContent(response.denied, denied)]);
}
