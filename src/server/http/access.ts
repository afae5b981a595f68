import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { StoplineError } from '../../errors.ts';
import type { Config } from '../../settings.ts';
import { registerOrigin } from './origin.ts';
import { tooMany } from './peerrate.ts';

/** What an API key is for; `admin` includes the others. */
type Scope = 'inspect' | 'read' | 'admin';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Scope that a request to this route needs; unless given, `read` for GET and HEAD, else `admin`. */
    scope?: Scope | 'public';
    /**
     * Routes that others than clients of this service ask for: probes of a load balancer, a proxy that asks whether a request may
     * pass, and requests for the upstream.
     */
    kind?: 'probe' | 'authorization' | 'forwarded';
  }
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback(host: string): boolean {
  const version = isIP(host);
  return version === 0 ? host === 'localhost' : loopback.check(host, version === 4 ? 'ipv4' : 'ipv6');
}

/**
 * Refuses an address that others can reach while anybody may use it.
 * @throws {StoplineError} RUNTIME_UNSAFE
 */
export function checkOpenness({ host, apiKeys, allowAnonymous }: Config): void {
  if (apiKeys || allowAnonymous || isLoopback(host)) return;
  throw new StoplineError(
    'RUNTIME_UNSAFE',
    `Expected API keys for a service that listens on ${host}, which is no loopback address, but received none. ` +
      'Make one: stopline key. Behind something that lets in nobody else: --allow-anonymous',
  );
}

interface Key {
  scopes: ReadonlySet<string>;
  hash: Buffer;
}

function parseKey(text: string): Key {
  const [scopes, hash] = text.split(':');
  return { scopes: new Set(scopes.split('+')), hash: Buffer.from(hash, 'hex') };
}

/**
 * The key of a request: as a bearer token, in `x-stopline-key`, or as the password of HTTP Basic, which browsers ask for
 * by themselves.
 */
function presentedKey(headers: IncomingHttpHeaders): string | undefined {
  const own = headers['x-stopline-key'];
  if (typeof own === 'string') return own;
  const [, scheme, credentials] = /^(bearer|basic) +(\S+) *$/i.exec(headers.authorization ?? '') ?? [];
  if (scheme?.toLowerCase() !== 'basic') return credentials;
  const text = Buffer.from(credentials, 'base64').toString('utf8');
  return text.slice(text.indexOf(':') + 1);
}

/** Every key is compared, and in constant time: how long it takes says nothing about how near a guess was. */
function findScopes(presented: string, keys: readonly Key[]): ReadonlySet<string> | undefined {
  const hash = createHash('sha256').update(presented).digest();
  let found: Key | undefined;
  for (const key of keys) if (timingSafeEqual(key.hash, hash)) found = key;
  return found?.scopes;
}

/** What a browser may load for a page of ours. @param scripts where its scripts come from */
function makePolicy(scripts: string[]) {
  return {
    useDefaults: false,
    directives: {
      'default-src': ["'none'"],
      'script-src': scripts,
      'style-src': ["'self'"],
      'img-src': ["'self'", 'data:'],
      'connect-src': ["'self'"],
      'form-action': ["'self'"],
      'frame-ancestors': ["'none'"],
      'base-uri': ["'none'"],
    },
  };
}

/** The policy of the page that judges in itself: it compiles WebAssembly; no text becomes code. */
export const judgingPagePolicy = makePolicy(["'self'", "'wasm-unsafe-eval'"]);

/**
 * Who may ask for what: response headers for browsers, a bound on the requests of one address, API keys. All are decided by
 * the headers of a request, before its body is read. Routes must be added after it.
 */
export async function registerAccess(app: FastifyInstance, config: Config): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: makePolicy(["'self'"]),
    // A browser would take this for the other services of the same host name, too, if they speak HTTP.
    strictTransportSecurity: config.tlsCert !== undefined,
  });
  if (config.peerRate > 0) {
    await app.register(rateLimit, {
      max: config.peerRate,
      timeWindow: 1000,
      errorResponseBuilder: () => tooMany(config.peerRate),
    });
  }

  registerOrigin(app, config);
  const check = createKeyCheck(config);
  app.addHook('onRequest', async (request, reply) => {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const scope = request.routeOptions.config?.scope ?? (isRead ? 'read' : 'admin');
    // A browser asks whether a page may send a key (CORS) before it sends one.
    const isAsking = request.method === 'OPTIONS' && request.routeOptions.config?.kind === 'forwarded';
    if (scope === 'public' || isAsking) return;
    try {
      check(request.headers, scope);
    } catch (error) {
      if ((error as StoplineError).code === 'STOPLINE_ERR_KEY_MISSING') {
        reply.header('www-authenticate', 'Bearer realm="stopline", Basic realm="stopline"');
      }
      throw error;
    }
  });
}

/**
 * Looks at the key of a request by its headers. Without keys in the settings everybody may do everything.
 * @returns what throws KEY_MISSING or KEY_SCOPE
 */
export function createKeyCheck(config: Config): (headers: IncomingHttpHeaders, scope: Scope) => void {
  const keys = config.apiKeys?.map(parseKey);
  return (headers, scope) => {
    if (!keys) return;
    const presented = presentedKey(headers);
    const scopes = presented === undefined ? undefined : findScopes(presented, keys);
    if (!scopes) {
      const received = presented === undefined ? 'none' : 'another';
      throw new StoplineError(
        'KEY_MISSING',
        `Expected a known API key, as "Authorization: Bearer KEY" or "x-stopline-key: KEY", but received ${received}.`,
      );
    }
    if (scopes.has(scope) || scopes.has('admin')) return;
    throw new StoplineError(
      'KEY_SCOPE',
      `Expected an API key with the scope ${scope} but received one for ${[...scopes].join(' and ')}.`,
    );
  };
}
