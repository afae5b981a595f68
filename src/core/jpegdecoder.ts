import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { StoplineError } from '../errors.ts';
import { findPrebuilt } from './prebuilt.ts';

/**
 * Decodes a JPEG of three channels into memory of the caller: `width * height * 3` bytes of what libvips reads from it, without the
 * stored orientation and without colour management. Works in a thread of libvips; neither array may change until the promise settles.
 * @param seconds after which it gives up; 0 for no limit
 * @returns whether it is done; else libvips has refused or warned of something, or it was too slow, and the pixels mean nothing
 */
export type JpegDecoder = (
  bytes: Uint8Array,
  pixels: Uint8Array,
  width: number,
  height: number,
  seconds: number,
) => Promise<boolean>;

const require = createRequire(import.meta.url);

/**
 * Opens the libvips that this process has loaded (`decode.c`); load sharp before.
 * @param version of libvips, as sharp names it: another one, which the process may have loaded too, is not taken
 * @throws {StoplineError} CORE_UNAVAILABLE with the reason
 */
export function openJpegDecoder(version: string): JpegDecoder {
  const path = findPrebuilt('decode.node');
  if (!existsSync(path)) throw unavailable(`there is no decode.node for ${process.platform}-${process.arch}`);
  let decoder: JpegDecoder | undefined;
  try {
    decoder = (require(path) as { open(version: string): JpegDecoder | undefined }).open(version);
  } catch (cause) {
    throw unavailable(`decode.node does not load (${(cause as Error).message.split('\n')[0]})`, cause);
  }
  if (!decoder) throw unavailable(`this process has not loaded libvips ${version} with the functions that are needed`);
  return decoder;
}

function unavailable(reason: string, cause?: unknown): StoplineError {
  return new StoplineError('CORE_UNAVAILABLE', `JPEGs are decoded by sharp alone: ${reason}.`, { cause });
}
