import { Agent, type Dispatcher, request } from 'undici';
import { StoplineError } from '../../errors.ts';
import { version } from '../../version.ts';
import type { CameraAddress } from './address.ts';
import type { CameraOptions } from './cameraimage.ts';
import { answerChallenge } from './digest.ts';

const maxRedirects = 3;

/** What came for one request. */
export interface Answer {
  url: string;
  type: string;
  /** Undefined where it has no end that is known, as a stream has none. */
  length: number | undefined;
  body: AsyncIterable<Buffer>;
}

/** One camera or site that is asked over HTTP, time and again. It knows the password, and tells it to that host alone. */
export class HttpCamera {
  readonly #address: CameraAddress;
  readonly #signal: AbortSignal;
  readonly #agent: Agent;
  #challenge: string | readonly string[] | undefined;
  #count = 0;

  constructor(address: CameraAddress, { stallMs, signal }: CameraOptions) {
    this.#address = address;
    this.#signal = signal;
    // What is silent in the midst of a stream is seen by whoever waits for its frames.
    this.#agent = new Agent({ connectTimeout: stallMs, headersTimeout: stallMs, bodyTimeout: stallMs });
  }

  /**
   * Follows redirects within the host.
   * @throws {StoplineError} CAMERA_UNREACHABLE, without what is secret
   */
  async get(target = this.#address.target): Promise<Answer> {
    let url = new URL(target);
    for (let redirects = 0; ; redirects++) {
      const response = await this.#ask(url);
      const { statusCode: status, headers, body } = response;
      if (status >= 200 && status < 300) {
        const length = headers['content-length'];
        const type = String(headers['content-type'] ?? '').toLowerCase();
        return { url: url.href, type, length: length === undefined ? undefined : Number(length), body };
      }
      await body.dump().catch(() => undefined);
      const { location } = headers;
      if (status < 300 || status >= 400 || location === undefined)
        throw this.refuse(`it answered with status ${status}`);
      if (redirects === maxRedirects) throw this.refuse(`it redirected ${maxRedirects + 1} times`);
      const next = URL.canParse(String(location), url.href) ? new URL(String(location), url.href) : undefined;
      if (next?.hostname !== url.hostname || !/^https?:$/.test(next.protocol)) {
        throw this.refuse('it redirected to another host; name that one where it is meant');
      }
      url = next;
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** Once as it is, and again where the camera then asks for the password. */
  async #ask(url: URL): Promise<Dispatcher.ResponseData> {
    const first = await this.#send(url);
    const challenge = first.headers['www-authenticate'];
    if (first.statusCode !== 401 || challenge === undefined) return first;
    await first.body.dump().catch(() => undefined);
    const { login } = this.#address;
    if (!login) throw this.refuse('it asks for a user and a password: write them as http://user:password@host/path');
    this.#challenge = challenge;
    this.#count = 0;
    const second = await this.#send(url);
    if (second.statusCode !== 401) return second;
    await second.body.dump().catch(() => undefined);
    throw this.refuse('it refuses the user or the password');
  }

  async #send(url: URL): Promise<Dispatcher.ResponseData> {
    const { login, target } = this.#address;
    const isOwn = url.host === new URL(target).host;
    this.#count += 1;
    const answered =
      login && isOwn && this.#challenge !== undefined
        ? answerChallenge(this.#challenge, login, {
            method: 'GET',
            path: url.pathname + url.search,
            count: this.#count,
          })
        : undefined;
    const headers = {
      'user-agent': `stopline/${version}`,
      accept: '*/*',
      ...(answered && { authorization: answered }),
    };
    return await request(url, { headers, signal: this.#signal, dispatcher: this.#agent }).catch((cause) => {
      if (this.#signal.aborted) throw this.#signal.reason;
      const { code, message } = cause as NodeJS.ErrnoException;
      throw this.refuse(this.#address.hide(code === undefined ? message : `${code}: ${message}`));
    });
  }

  /** Why the camera is lost, without what is secret. */
  refuse(why: string): StoplineError {
    return new StoplineError('CAMERA_UNREACHABLE', `Expected images from ${this.#address.shown} but ${why}.`);
  }
}

/** @throws {StoplineError} IMAGE_TOO_LARGE */
export async function readWhole(body: AsyncIterable<Buffer>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new StoplineError('IMAGE_TOO_LARGE', `Expected an image of at most ${maxBytes} bytes but it has more.`);
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks, length));
}
