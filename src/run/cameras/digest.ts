import { createHash, randomBytes } from 'node:crypto';
import type { CameraLogin } from './address.ts';

/** A request as the answer to a challenge is about it. */
export interface Challenged {
  method: string;
  /** Path and query. */
  path: string;
  /** Times that this challenge was answered, with this one. */
  count: number;
  /** Default: random. */
  nonce?: string;
}

/**
 * The value of `authorization` that a server asks for with `www-authenticate`: Digest (RFC 7616, and RFC 2069 without `qop`)
 * where it is offered, of which the password is never sent, else Basic (RFC 7617).
 * @param challenges the header, or all of them
 * @returns undefined where neither is offered
 */
export function answerChallenge(
  challenges: string | readonly string[],
  login: CameraLogin,
  request: Challenged,
): string | undefined {
  const offered = [challenges].flat().flatMap(splitChallenges);
  const digests = offered
    .filter(({ scheme }) => scheme === 'digest')
    .map(({ parameters }) => ({ parameters, algorithm: findAlgorithm(parameters.algorithm) }))
    .filter(({ algorithm }) => algorithm !== undefined);
  const best = digests.find(({ algorithm }) => algorithm?.hash === 'sha256') ?? digests[0];
  if (best?.algorithm) return answerDigest(best.parameters, best.algorithm, login, request);
  if (!offered.some(({ scheme }) => scheme === 'basic')) return undefined;
  return `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}`;
}

interface Algorithm {
  hash: 'md5' | 'sha256';
  isSession: boolean;
}

function findAlgorithm(name = 'MD5'): Algorithm | undefined {
  const [, kind, session] = /^(md5|sha-256)(-sess)?$/i.exec(name) ?? [];
  if (kind === undefined) return undefined;
  return { hash: kind.toLowerCase() === 'md5' ? 'md5' : 'sha256', isSession: session !== undefined };
}

interface Challenge {
  scheme: string;
  parameters: Record<string, string | undefined>;
}

/** One header may hold several challenges, with commas between them and between their parameters. */
function splitChallenges(header: string): Challenge[] {
  const starts = [...header.matchAll(/(?:^|,)\s*([a-z]+)(?=\s+[\w-]+\s*=|\s*$|\s*,)/gi)];
  return starts.map(({ index, 0: found, 1: scheme }, i) => {
    const text = header.slice(index + found.length, starts[i + 1]?.index);
    const pairs = [...text.matchAll(/([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)];
    const parameters = pairs.map(([, name, quoted, plain]) => [name.toLowerCase(), quoted ?? plain]);
    return { scheme: scheme.toLowerCase(), parameters: Object.fromEntries(parameters) };
  });
}

function answerDigest(
  { realm = '', nonce = '', qop, opaque, algorithm: named }: Challenge['parameters'],
  { hash, isSession }: Algorithm,
  { user, password }: CameraLogin,
  { method, path, count, nonce: own = randomBytes(16).toString('hex') }: Challenged,
): string {
  const digest = (...parts: string[]) => createHash(hash).update(parts.join(':')).digest('hex');
  const known = digest(user, realm, password);
  const secret = isSession ? digest(known, nonce, own) : known;
  const asked = digest(method, path);
  const times = count.toString(16).padStart(8, '0');
  const isProtected = qop?.split(',').some((part) => part.trim().toLowerCase() === 'auth');
  const response = isProtected ? digest(secret, nonce, times, own, 'auth', asked) : digest(secret, nonce, asked);
  const quoted = { username: user, realm, nonce, uri: path, response, ...(opaque !== undefined && { opaque }) };
  const parts = Object.entries(quoted).map(([name, value]) => `${name}="${value.replaceAll(/["\\]/g, '\\$&')}"`);
  if (named !== undefined) parts.push(`algorithm=${named}`);
  if (isProtected || isSession) parts.push(`cnonce="${own}"`);
  if (isProtected) parts.push('qop=auth', `nc=${times}`);
  return `Digest ${parts.join(', ')}`;
}
