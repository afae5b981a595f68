import { randomBytes, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../../errors.ts';
import type { Config } from '../../settings.ts';
import { ownPrefix } from './prefix.ts';

/** The cookie that pages of ours echo in a header when they change something; no page of another site can do either. */
const tokenCookie = 'stopline-token';
const tokenHeader = 'x-stopline-token';

/** Names that nobody can buy, so that a page of another site cannot be served under them. */
const reserved = /^[^.]+$|\.(localhost|internal|svc|cluster\.local)$/;

/** A host name or address without its port, brackets and final dot, in lower case; undefined where it is none. */
export function readHostName(host: string): string | undefined {
  const [, address, name] = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(host) ?? [];
  return (address ?? name)?.toLowerCase().replace(/\.$/, '');
}

/** Which hosts a service answers for. */
export class HostList {
  readonly #names: ReadonlySet<string>;
  readonly #own: string;
  readonly #isOpen: boolean;

  constructor({ host, allowedHost, apiKeys }: Pick<Config, 'host' | 'allowedHost' | 'apiKeys'>) {
    this.#names = new Set((allowedHost ?? []).map((name) => readHostName(name) ?? name));
    this.#own = readHostName(host) ?? host;
    // A page that comes under a foreign name has no key: a browser sends one only to the name that it was given for.
    this.#isOpen = allowedHost === undefined ? apiKeys !== undefined : allowedHost.includes('*');
  }

  /**
   * Whether a request for this host is meant for the service. Under a name that points here but belongs to somebody else, a page
   * of theirs would count as one of ours (DNS rebinding). An address cannot belong to somebody else.
   */
  includes(host: string): boolean {
    if (this.#isOpen) return true;
    const name = readHostName(host);
    return (
      name !== undefined && (isIP(name) !== 0 || name === this.#own || this.#names.has(name) || reserved.test(name))
    );
  }

  /** Whether pages of an origin may ask, although it is another one. */
  trusts(origin: string): boolean {
    const name = readHostName(origin.replace(/^https?:\/\//, ''));
    return name !== undefined && this.#names.has(name);
  }
}

/** Refuses requests under foreign names, those that pages of other sites send, and changes that no page of ours asks for. */
export function registerOrigin(app: FastifyInstance, config: Config): void {
  const hosts = new HostList(config);
  app.addHook('onRequest', async (request, reply) => {
    const { kind } = request.routeOptions.config ?? {};
    if (kind === 'probe') return;
    if (kind !== 'authorization') checkHost(request, hosts);
    // Which pages may ask an upstream is its own to say (CORS), but none may use a key that the browser adds by itself.
    if (kind === 'forwarded') {
      if (config.apiKeys && isBasic(request)) checkSite(request, hosts);
      return;
    }
    checkSite(request, hosts);
    checkToken(request, hosts);
    giveToken(request, reply, config);
  });
}

function checkHost({ headers, raw }: FastifyRequest, hosts: HostList): void {
  // A target with a host of its own counts (RFC 9112, 3.2.2).
  const [, named] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(raw.url ?? '') ?? [];
  const host = named !== undefined && hosts.includes(named) ? headers.host : (named ?? headers.host);
  if (host === undefined || hosts.includes(host)) return;
  throw new StoplineError(
    'HOST_UNKNOWN',
    `Expected a host that this service answers for but received ${JSON.stringify(host.slice(0, 100))}. ` +
      'Name it in the settings: --allowed-host NAME',
  );
}

/** What a browser says of where a request comes from: programs say nothing of the kind. */
function readSite({ headers }: FastifyRequest, hosts: HostList): 'program' | 'own' | 'foreign' {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  if (origin === undefined && site === undefined) return 'program';
  if (origin !== undefined && hosts.trusts(origin)) return 'own';
  if (site === 'cross-site' || site === 'same-site') return 'foreign';
  const isOwn = origin === undefined || origin.replace(/^https?:\/\//, '') === host;
  return isOwn ? 'own' : 'foreign';
}

function isChange({ method }: FastifyRequest): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/** Browsers ask for such a key once and send it with every request from then on, whichever page makes it. */
function isBasic({ headers }: FastifyRequest): boolean {
  return /^basic /i.test(headers.authorization ?? '');
}

/** A link to one of our pages may stand anywhere; nothing else is for pages of other sites. */
function checkSite(request: FastifyRequest, hosts: HostList): void {
  if (readSite(request, hosts) !== 'foreign') return;
  const isLink = !isChange(request) && request.headers['sec-fetch-mode'] === 'navigate';
  if (isLink) return;
  throw new StoplineError(
    'SITE_FOREIGN',
    'Expected a request of this service or of a program but a page of another site sent it. ' +
      'Name the host of that site in the settings: --allowed-host NAME',
  );
}

/** Images are judged for any page of ours; whatever else changes something asks for the token. */
function checkToken(request: FastifyRequest, hosts: HostList): void {
  const scope = request.routeOptions.config?.scope ?? 'admin';
  if (!isChange(request) || scope !== 'admin' || readSite(request, hosts) === 'program') return;
  const given = request.headers[tokenHeader];
  const expected = readToken(request);
  if (typeof given === 'string' && expected !== undefined && isEqual(given, expected)) return;
  throw new StoplineError(
    'SITE_FOREIGN',
    `Expected the token of the page in the header ${tokenHeader}, as in the cookie ${tokenCookie}. Load the page again.`,
  );
}

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function readToken({ headers }: FastifyRequest): string | undefined {
  const pattern = new RegExp(`(?:^|;\\s*)${tokenCookie}=([\\w-]{20,100})(?:;|$)`);
  return pattern.exec(headers.cookie ?? '')?.[1];
}

/** Gives a browser that opens a page a token of its own. It is in no list, so that all replicas take it. */
function giveToken(request: FastifyRequest, reply: FastifyReply, config: Config): void {
  const path = `${ownPrefix(config)}/`;
  const isPage = request.headers['sec-fetch-dest'] === 'document' || request.url.split('?', 1)[0] === path;
  if (isChange(request) || !isPage || readToken(request) !== undefined) return;
  const attributes = `Path=${path}; SameSite=Strict${config.tlsCert === undefined ? '' : '; Secure'}`;
  reply.header('set-cookie', `${tokenCookie}=${randomBytes(24).toString('base64url')}; ${attributes}`);
}
