import { asStoplineError, reviveError, StoplineError } from '../../errors.ts';
import { readImage } from '../../image/file.ts';
import { chooseFile, type Item } from '../inputs/item.ts';
import { openItems } from '../inputs/items.ts';
import { createObjectStore } from '../objects.ts';
import type { CameraAddress } from './address.ts';
import type { CameraImage, CameraOptions } from './cameraimage.ts';
import { decodeStream, readDevice, readRtsp } from './decoder.ts';
import { watchHttp } from './http.ts';
import { takeNewest } from './newest.ts';

/**
 * Connects to a camera and takes an image now and then; the newest there is, whenever one is asked for, but every one of a clip.
 *
 * @returns ends where a clip does
 * @throws {StoplineError} CAMERA_UNREACHABLE where a live camera is not there, ends or is silent; VIDEO_UNAVAILABLE, INPUT_*.
 *   What they say holds no password and no path of a URL.
 */
export async function* openCamera(address: CameraAddress, options: CameraOptions): AsyncGenerator<CameraImage> {
  const { everyMs, stallMs, signal, onSkip } = options;
  if (address.kind === 'files') return yield* readFiles(address, options);
  const silence = () => unreachable(address, `it sent no image for ${Math.round(stallMs / 100) / 10} s`);
  const silentMs = stallMs + everyMs;
  // What waits for a silent camera ends with it.
  const gone = new AbortController();
  const live = openLive(address, { ...options, signal: AbortSignal.any([signal, gone.signal]) });
  try {
    yield* takeNewest(live, { everyMs, silentMs, silence, signal, onSkip });
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof StoplineError) throw reviveError({ code: error.code, message: address.hide(error.message) });
    throw unreachable(address, `the connection broke: ${address.hide((error as Error).message)}`);
  } finally {
    gone.abort();
  }
  throw unreachable(address, 'the stream ended');
}

async function* openLive(address: CameraAddress, options: CameraOptions): AsyncGenerator<CameraImage> {
  if (address.kind === 'http') return yield* watchHttp(address, options);
  const source = address.kind === 'rtsp' ? readRtsp(address, options.stallMs) : readDevice(address);
  for await (const image of decodeStream(source, options)) yield { image };
}

async function* readFiles(
  { target }: CameraAddress,
  { everyMs, maxBytes, signal }: CameraOptions,
): AsyncGenerator<CameraImage> {
  const items = await openItems([target], { fps: 1000 / everyMs, maxBytes, store: createObjectStore() });
  for await (const item of items) {
    signal.throwIfAborted();
    yield await readItem(item, maxBytes).catch((cause) => ({ error: asStoplineError(cause) }));
  }
}

async function readItem(item: Item, maxBytes: number): Promise<CameraImage> {
  const { codec, read, error } = item;
  if (error) return { error };
  const bytes = read ? await read() : readImage(chooseFile(item) as string, maxBytes);
  return { image: codec === undefined ? bytes : { bytes, codec } };
}

function unreachable({ shown }: CameraAddress, why: string): StoplineError {
  return new StoplineError('CAMERA_UNREACHABLE', `Expected images from ${shown} but ${why}.`);
}
