import { fileURLToPath } from 'node:url';
import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';
import { isObjectUrl } from '../objects.ts';

/** Longest path that any system takes (PATH_MAX of Linux); what is longer would fail with a longer message. */
const maxPathBytes = 4096;

/** What other addresses are, and the way out, by their scheme. */
const schemes: readonly (readonly [pattern: RegExp, what: string, wayOut: string])[] = [
  [/^https?$/, 'an address on the web', 'Stopline fetches nothing from the web: download it first'],
  [
    /^gs$/,
    'an object of Google Cloud Storage',
    'its S3 interface is read: s3://bucket/key with --s3-endpoint https://storage.googleapis.com',
  ],
  [/^(wasbs?|abfss?|az|adl)$/, 'an object of Azure', 'mount or download it first'],
  [/^(s3a|s3n)$/, 'an object of S3 as Hadoop writes it', 'write it as s3://bucket/key'],
  [/^hdfs$/, 'a file of HDFS', 'mount or download it first'],
  [/^dbfs$/, 'a file of Databricks', 'give its path under /dbfs/'],
  [/^hf$/, 'a file of the Hugging Face hub', 'download it first'],
  [/^data$/, 'an image inside its own address', 'write it to a file, or send it to POST /inspect'],
];

/** Where an image lies: a path of this machine, or an object. */
export type Address = { path: string } | { url: string };

/**
 * Reads what a command line, a list or a queue says of the place of an image.
 * @throws {StoplineError} INPUT_UNREADABLE, which says what the text is where it is no path and no object
 */
export function readAddress(text: string): Address {
  if (isObjectUrl(text)) return { url: text };
  const [, scheme] = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text) ?? /^(data):/i.exec(text) ?? [];
  const path = scheme?.toLowerCase() === 'file' ? readFileUrl(text) : text;
  if (scheme !== undefined && path === text) throw refuseScheme(text, scheme.toLowerCase());
  if (path.includes('\0')) {
    throw new StoplineError('INPUT_UNREADABLE', `Expected a path but ${quotePath(path)} holds a NUL character.`);
  }
  if (Buffer.byteLength(path) > maxPathBytes) {
    throw new StoplineError(
      'INPUT_UNREADABLE',
      `Expected a path of at most ${maxPathBytes} bytes but ${quotePath(path)} has ${Buffer.byteLength(path)}.`,
    );
  }
  return { path };
}

function readFileUrl(text: string): string {
  try {
    return fileURLToPath(text);
  } catch (cause) {
    throw new StoplineError(
      'INPUT_UNREADABLE',
      `Expected the address of a file of this machine, such as file:///data/a.jpg, but received ${quotePath(text)}.`,
      { cause },
    );
  }
}

function refuseScheme(text: string, scheme: string): StoplineError {
  const [, what, wayOut] = schemes.find(([pattern]) => pattern.test(scheme)) ?? [
    undefined,
    `an address of the kind ${scheme}://`,
    'paths, file:// and s3:// are read',
  ];
  return new StoplineError(
    'INPUT_UNREADABLE',
    `Expected the path of an image but ${quotePath(text)} is ${what}; ${wayOut}.`,
  );
}
