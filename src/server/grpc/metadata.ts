import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { Config } from '../../settings.ts';
import { isOwn } from '../http/headers.ts';

/** Headers as they came, in pairs, so that what stands twice stays twice. */
export type RawHeaders = readonly string[];

/** What HTTP/2 needs of each connection by itself, or what a length would be wrong of. */
const ofConnection = /^(:.*|te|content-length|grpc-timeout)$/;

function collect(raw: RawHeaders, isKept: (name: string) => boolean): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  for (let i = 0; i < raw.length; i += 2) {
    const [name, value] = [raw[i], raw[i + 1]];
    if (!isKept(name)) continue;
    const before = headers[name];
    headers[name] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

/** The metadata of a call as the upstream gets it. */
export function passCallHeaders(
  raw: RawHeaders,
  {
    headers,
    config,
    requestId,
    peer,
  }: { headers: IncomingHttpHeaders; config: Config; requestId: string; peer: string },
): OutgoingHttpHeaders {
  // Where the key of this service came in the header that is meant for it, the other is the upstream's.
  const isKeyOurs = config.apiKeys !== undefined && headers['x-stopline-key'] === undefined;
  const kept = collect(raw, (name) => {
    if (ofConnection.test(name) || !isOwn(name)) return false;
    return name !== 'authorization' || !isKeyOurs;
  });
  return {
    ...kept,
    ':method': 'POST',
    ':path': headers[':path'],
    te: 'trailers',
    'x-request-id': requestId,
    'x-forwarded-for': peer,
    'x-forwarded-proto': headers[':scheme'],
    ...(headers[':authority'] !== undefined && { 'x-forwarded-host': headers[':authority'] }),
  };
}

/** Headers or trailers of the upstream as the client gets them. */
export function passAnswerHeaders(raw: RawHeaders): OutgoingHttpHeaders {
  return collect(raw, (name) => !ofConnection.test(name) && !/^x-stopline-|^x-request-id$|^connection$/.test(name));
}
