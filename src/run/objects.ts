import { createReadStream, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { ListObjectsV2CommandOutput, S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { endSentence, StoplineError } from '../errors.ts';
import { loadPackage } from './optional.ts';

/** Objects of any store that speaks S3. The AWS SDK is loaded when the first one is touched. */
export interface ObjectStore {
  /** Loads the SDK now instead of at the first use. @throws {StoplineError} PACKAGE_MISSING */
  open(): Promise<void>;
  /** Objects whose key starts as the URL says, in the order of their keys; the next page is on its way meanwhile. */
  list(url: string): AsyncGenerator<{ url: string; size: number; version: string; modifiedAt: number }>;
  /** @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE, IMAGE_TOO_LARGE, OBJECTS_UNAVAILABLE */
  read(url: string, maxBytes: number): Promise<Uint8Array>;
  stream(url: string): Promise<Readable>;
  /** Puts a file: whoever sees the object sees all of it. @throws {StoplineError} OUTPUT_UNWRITABLE, OBJECTS_UNAVAILABLE */
  put(url: string, file: string): Promise<void>;
  /** As `put`, what is in memory. @throws {StoplineError} OUTPUT_UNWRITABLE, OBJECTS_UNAVAILABLE */
  write(url: string, bytes: Uint8Array, contentType: string): Promise<void>;
  /** One that is not there is no error. @throws {StoplineError} OUTPUT_UNWRITABLE, OBJECTS_UNAVAILABLE */
  remove(url: string): Promise<void>;
}

export function isObjectUrl(text: string): boolean {
  return text.startsWith('s3://');
}

/** Tries for one request, the first included; the SDK waits longer from one to the next. */
const attempts = 5;

export interface ObjectStoreOptions {
  /** Address of a store other than that of AWS, which then gets the bucket in the path. */
  endpoint?: string | undefined;
  /**
   * A connection on which nothing comes for that long has failed; default: never, as an archive that is read as fast as its
   * images are judged may stand still.
   */
  silenceMs?: number | undefined;
}

export function createObjectStore(options: ObjectStoreOptions = {}): ObjectStore {
  return new S3Store(options);
}

interface Opened {
  sdk: typeof import('@aws-sdk/client-s3');
  client: S3Client;
}

class S3Store implements ObjectStore {
  readonly #options: ObjectStoreOptions;
  #opened: Promise<Opened> | undefined;

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    await this.#open();
  }

  async *list(url: string) {
    const { sdk, client } = await this.#open();
    const { bucket, key } = parseObjectUrl(url);
    const page = (token?: string): Promise<ListObjectsV2CommandOutput> => {
      const command = new sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken: token });
      const answer = client.send(command).catch((cause) => Promise.reject(describeFailure(cause, url)));
      answer.catch(() => undefined); // reported when its turn comes
      return answer;
    };
    let next: Promise<ListObjectsV2CommandOutput> | undefined = page();
    while (next) {
      const { Contents = [], NextContinuationToken: token }: ListObjectsV2CommandOutput = await next;
      next = token === undefined ? undefined : page(token);
      for (const { Key: name, Size: size = 0, ETag: tag = '', LastModified } of Contents) {
        const modifiedAt = LastModified?.getTime() ?? Date.now();
        if (name) yield { url: `s3://${bucket}/${name}`, size, version: `${size} ${tag}`, modifiedAt };
      }
    }
  }

  read(url: string, maxBytes: number): Promise<Uint8Array> {
    return this.#attempt(url, 'INPUT_UNREADABLE', async ({ sdk, client }, place) => {
      const { Body, ContentLength = 0 } = await client.send(new sdk.GetObjectCommand(place));
      if (ContentLength > maxBytes) {
        (Body as Readable).destroy();
        throw new StoplineError(
          'IMAGE_TOO_LARGE',
          `Expected at most ${maxBytes} bytes but "${url}" has ${ContentLength}.`,
        );
      }
      return (await Body?.transformToByteArray()) ?? new Uint8Array();
    });
  }

  stream(url: string): Promise<Readable> {
    return this.#attempt(url, 'INPUT_UNREADABLE', async ({ sdk, client }, place) => {
      return (await client.send(new sdk.GetObjectCommand(place))).Body as Readable;
    });
  }

  put(url: string, file: string): Promise<void> {
    return this.#attempt(url, 'OUTPUT_UNWRITABLE', async ({ client }, place) => {
      const { Upload } = await loadPackage('@aws-sdk/lib-storage', () => import('@aws-sdk/lib-storage'));
      // An upload may have 10,000 parts.
      const partSize = Math.max(8 * 1024 * 1024, Math.ceil(statSync(file).size / 9000));
      await new Upload({ client, params: { ...place, Body: createReadStream(file) }, partSize }).done();
    });
  }

  write(url: string, bytes: Uint8Array, contentType: string): Promise<void> {
    return this.#attempt(url, 'OUTPUT_UNWRITABLE', async ({ sdk, client }, place) => {
      await client.send(new sdk.PutObjectCommand({ ...place, Body: bytes, ContentType: contentType }));
    });
  }

  remove(url: string): Promise<void> {
    return this.#attempt(url, 'OUTPUT_UNWRITABLE', async ({ sdk, client }, place) => {
      await client.send(new sdk.DeleteObjectCommand(place));
    });
  }

  /** Does something with one object; what goes wrong is told in our words. */
  async #attempt<Result>(
    url: string,
    code: 'INPUT_UNREADABLE' | 'OUTPUT_UNWRITABLE',
    work: (opened: Opened, place: { Bucket: string; Key: string }) => Promise<Result>,
  ): Promise<Result> {
    const opened = await this.#open();
    const { bucket: Bucket, key: Key } = parseObjectUrl(url);
    try {
      return await work(opened, { Bucket, Key });
    } catch (cause) {
      throw describeFailure(cause, url, code);
    }
  }

  #open(): Promise<Opened> {
    this.#opened ??= loadPackage('@aws-sdk/client-s3', () => import('@aws-sdk/client-s3')).then((sdk) => ({
      sdk,
      client: new sdk.S3Client(this.#configure()),
    }));
    return this.#opened;
  }

  #configure(): S3ClientConfig {
    const { endpoint, silenceMs } = this.#options;
    return {
      maxAttempts: attempts,
      ...(silenceMs !== undefined && { requestHandler: { connectionTimeout: silenceMs, socketTimeout: silenceMs } }),
      // Many stores know neither buckets in host names nor the newer checksums.
      ...(endpoint && {
        endpoint,
        forcePathStyle: true,
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
      }),
    };
  }
}

/** @throws {StoplineError} OPTION_INVALID */
export function parseObjectUrl(url: string): { bucket: string; key: string } {
  const [, bucket, key = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(url) ?? [];
  if (bucket === undefined) {
    throw new StoplineError('OPTION_INVALID', `Expected s3://bucket/prefix but received "${url}".`);
  }
  return { bucket, key };
}

/**
 * A store that answers "no such object" or "not yours" says something about that object. One that does not answer, or with a
 * fault of its own, says nothing about the next thousand, so the run stops and can be resumed.
 */
function describeFailure(
  cause: unknown,
  url: string,
  otherwise: 'INPUT_UNREADABLE' | 'OUTPUT_UNWRITABLE' = 'INPUT_UNREADABLE',
): StoplineError {
  if (cause instanceof StoplineError) return cause;
  const { name, message, $metadata } = cause as {
    name: string;
    message: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  if (name === 'NoSuchKey' || name === 'NoSuchBucket' || name === 'NotFound') {
    const code = otherwise === 'INPUT_UNREADABLE' ? 'INPUT_NOT_FOUND' : otherwise;
    return new StoplineError(code, `"${url}" does not exist (${name}).`, { cause });
  }
  if (status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429) {
    return new StoplineError(otherwise, `"${url}": the store refuses with ${status} ${name}: ${endSentence(message)}`, {
      cause,
    });
  }
  return new StoplineError(
    'OBJECTS_UNAVAILABLE',
    `The store does not answer for "${url}" after ${attempts} tries (${name}: ${message}). Check the network, the credentials and --s3-endpoint`,
    { cause },
  );
}
