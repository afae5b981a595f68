import { isAbsolute, resolve } from 'node:path';
import { StoplineError } from '../../errors.ts';

/** Where a camera is, and how it is asked. */
export interface CameraAddress {
  /** `files`: a clip, a folder or anything else that `score` reads, which comes to an end. */
  kind: 'rtsp' | 'http' | 'device' | 'files';
  /** A URL without user and password, or a path. It may still hold a secret, so it is for whoever asks the camera. */
  target: string;
  login?: CameraLogin;
  /** What may be shown: protocol and host of a URL, or the path. */
  shown: string;
  /** The address with what a message says of it made showable. */
  hide(message: string): string;
}

export interface CameraLogin {
  user: string;
  password: string;
}

const expected =
  'rtsp://host/path, http://host/path or https://host/path (a motion JPEG, a video stream or a snapshot), /dev/video0, or a path of a clip';

/**
 * Reads what a user names as a camera. Nothing of it is looked up.
 * @throws {StoplineError} OPTION_INVALID, which does not repeat the address
 */
export function readCamera(address: string): CameraAddress {
  const [, scheme] = /^([a-z][a-z0-9+.-]+):\/\//i.exec(address) ?? [];
  if (scheme === undefined) return readPath(address);
  if (!URL.canParse(address)) {
    throw invalid(
      `an address that starts with ${scheme}:// and is no URL; signs such as @ in a password are written %40`,
    );
  }
  const url = new URL(address);
  const kinds: Record<string, CameraAddress['kind'] | undefined> = {
    'rtsp:': 'rtsp',
    'http:': 'http',
    'https:': 'http',
  };
  const kind = kinds[url.protocol];
  if (kind === undefined) throw invalid(`one that starts with ${scheme}://`);
  if (url.hostname === '') throw invalid(`an address that starts with ${scheme}:// and names no host`);
  const login = url.username === '' && url.password === '' ? undefined : readLogin(url);
  const secrets = [address, url.href, url.href.slice(url.href.indexOf('@') + 1), url.username, url.password];
  url.username = '';
  url.password = '';
  url.hash = '';
  const shown = `${url.protocol}//${url.host}`;
  const more = [login?.user, login?.password, `${url.pathname}${url.search}`].flatMap((text) => text ?? []);
  const hide = (message: string) => hideSecrets(message, shown, [...secrets, ...more]);
  return { kind, target: url.href, ...(login && { login }), shown, hide };
}

function readPath(address: string): CameraAddress {
  if (address === '') throw invalid('nothing');
  const isDevice = /^\/dev\/[\w/.-]+$/.test(address);
  const shown = address;
  const target = isDevice || isAbsolute(address) ? address : resolve(address);
  return { kind: isDevice ? 'device' : 'files', target, shown, hide: (message) => message };
}

function readLogin({ username, password }: URL): CameraLogin {
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
}

function invalid(received: string): StoplineError {
  return new StoplineError('OPTION_INVALID', `Expected a camera as ${expected}, but received ${received}.`);
}

/** Shorter than this a text is no secret worth the words that it would be taken out of. */
const leastSecret = 3;

/** Every address becomes its protocol and host, and what else is known to be secret becomes stars. */
function hideSecrets(message: string, shown: string, secrets: readonly string[]): string {
  const [host] = shown.split('//').slice(1);
  const plain = message.replaceAll(/([a-z][a-z0-9+.-]*):\/\/[^\s'"]+/gi, (found, scheme: string) =>
    found.includes(host) ? `${scheme}://${host}` : `${scheme}://***`,
  );
  return secrets
    .filter((secret) => secret.length >= leastSecret && !shown.includes(secret))
    .sort((a, b) => b.length - a.length)
    .reduce((text, secret) => text.replaceAll(secret, '***'), plain);
}

/** A name for a camera that was given none: its host, or its file without folder and ending. */
export function nameCamera({ kind, target }: CameraAddress): string {
  const text = kind === 'files' || kind === 'device' ? (target.split(/[/\\]/).at(-1) ?? '') : new URL(target).hostname;
  const name = kind === 'files' ? text.replace(/\.\w{1,5}$/, '') : text;
  return (
    name
      .replaceAll(/[^\w.:-]+/g, '-')
      .replaceAll(/^-+|-+$/g, '')
      .slice(0, 100) || 'camera'
  );
}
