import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../../settings.ts';

/** Between two neighbours only (RFC 9110, 7.6.1), and what would let a client speak in our name or in that of a proxy. */
const hopByHop = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|http2-settings|expect)$/;
const forged = /^(x-stopline-.*|x-forwarded-.*|forwarded|x-real-ip)$/;
/** By which some frameworks take another path or method than that of the request line, which is what was judged. */
const redirecting = /^(x-original-(url|uri|path|host)|x-rewrite-(url|uri|path)|x-(http-)?method(-override)?)$/;
/** What the body is, which must not be said a second time in another spelling. */
const ofTheBody = /^(content-.*|host|inference-header-content-length|authorization|cookie|x-request-id)$/;

/**
 * Whether a header may be passed on. Servers that put headers into environment variables (CGI, WSGI) read `x_real_ip` as
 * `x-real-ip`, so a name is judged by what it could be read as.
 */
export function isOwn(name: string): boolean {
  // What HTTP/2 says of a request beside its headers (`:path`) is said otherwise over HTTP/1.1.
  if (name.startsWith(':')) return false;
  const read = name.replace(/[^a-z0-9]/g, '-');
  if (hopByHop.test(read) || forged.test(read) || redirecting.test(read)) return false;
  return read === name || !ofTheBody.test(read);
}

/** The headers of a request as the upstream gets them. */
export function passRequestHeaders(
  headers: IncomingHttpHeaders,
  request: FastifyRequest,
  config: Config,
): IncomingHttpHeaders {
  const result: IncomingHttpHeaders = Object.fromEntries(Object.entries(headers).filter(([name]) => isOwn(name)));
  // Where the key of this service came in the header that is meant for it, this one is the upstream's.
  if (config.apiKeys && request.headers['x-stopline-key'] === undefined) delete result.authorization;
  if (isWithoutBody(request.method)) delete result['content-length'];
  result['x-request-id'] = request.id;
  result['x-forwarded-for'] = request.ip;
  result['x-forwarded-proto'] = request.protocol;
  if (request.headers.host !== undefined) result['x-forwarded-host'] = request.headers.host;
  return result;
}

/**
 * A header that two servers could read differently: one about the body that stands twice, or in another spelling; undefined
 * where there is none. Where requests are passed on by somebody else, it cannot be taken away.
 */
export function findUnclearHeader(rawHeaders: readonly string[]): string | undefined {
  const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  return names.find((name, i) => {
    const read = name.replace(/[^a-z0-9]/g, '-');
    if (read !== name) return ofTheBody.test(read) || /^x-stopline-/.test(read);
    return /^content-|^inference-/.test(name) && names.indexOf(name) < i;
  });
}

/** The headers of an answer as the client gets them. */
export function passResponseHeaders(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set(
    String(headers.connection ?? '')
      .toLowerCase()
      .split(/\s*,\s*/),
  );
  const kept = Object.entries(headers).filter(
    ([name]) => !hopByHop.test(name) && !named.has(name) && !/^x-stopline-|^x-request-id$/.test(name),
  );
  return Object.fromEntries(kept);
}

/** Requests of these methods are passed on without a body, and so without a look at them. */
export function isWithoutBody(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
}

/** Whether Envoy says that it has sent a part of the body; a client may have said something beside it. */
export function isPartial(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return /true/i.test(String(headers['x-envoy-auth-partial-body'] ?? ''));
}
