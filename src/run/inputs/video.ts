import { spawn } from 'node:child_process';
import { endSentence, StoplineError } from '../../errors.ts';
import { brokenItem, fileVersion, type InputOptions, type Item } from './item.ts';

export function isVideoName(name: string): boolean {
  return /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g)$/i.test(name);
}

const pngSignature = Buffer.from('89504e470d0a1a0a', 'hex');

/**
 * The frames of a video at `fps` a second, as PNG, so that nothing is compressed again. `ffmpeg` decodes it in a process of
 * its own and waits when we are slow.
 * @throws {StoplineError} VIDEO_UNAVAILABLE
 */
export async function* listFrames(path: string, { fps = 1, maxBytes }: InputOptions): AsyncGenerator<Item> {
  const version = `${fileVersion(path)} ${fps}`;
  const child = spawn(
    'ffmpeg',
    [
      ...['-nostdin', '-loglevel', 'error', '-protocol_whitelist', 'file,pipe', '-i', `file:${path}`],
      ...['-map', '0:v:0', '-vf', `fps=${fps}`, '-f', 'image2pipe', '-c:v', 'png', '-compression_level', '1', '-'],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = `${complaint}${text}`.slice(0, 500);
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  ended.catch(() => undefined); // awaited below
  try {
    let frame = 0;
    for await (const bytes of splitPng(child.stdout, maxBytes)) {
      const seconds = (frame++ / fps).toFixed(3);
      yield { name: `${path}/${seconds}`, folder: path, version, size: bytes.length, read: async () => bytes };
    }
    const code = await ended.catch((cause) => {
      throw new StoplineError(
        'VIDEO_UNAVAILABLE',
        `Expected ffmpeg on the path, to read the frames of "${path}", but it cannot be started: ${cause.message}. Install it, or score extracted frames.`,
        { cause },
      );
    });
    if (code !== 0)
      throw new StoplineError(
        'INPUT_UNREADABLE',
        `Expected a video at "${path}" but ffmpeg says: ${endSentence(complaint)}`,
      );
  } catch (error) {
    if (!(error instanceof StoplineError) || error.code !== 'STOPLINE_ERR_INPUT_UNREADABLE') throw error;
    yield brokenItem(path, error);
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
  }
}

/** Cuts a stream of PNG files apart: a file is its signature and chunks (length, type, data, checksum) up to IEND. */
export async function* splitPng(stream: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let held: Buffer = Buffer.alloc(0);
  let end = pngSignature.length; // of what is known to belong to the file at the start of `held`
  for await (const chunk of stream) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (held.length >= end + 8) {
      if (end === pngSignature.length && !held.subarray(0, end).equals(pngSignature)) {
        throw new StoplineError('INPUT_UNREADABLE', 'Expected PNG frames from ffmpeg but received something else.');
      }
      const isLast = held.toString('latin1', end + 4, end + 8) === 'IEND';
      const next = end + 12 + held.readUInt32BE(end);
      if (next > maxBytes) {
        throw new StoplineError('INPUT_UNREADABLE', `Expected frames of at most ${maxBytes} bytes but one has more.`);
      }
      if (isLast && held.length < next) break;
      end = next;
      if (!isLast) continue;
      yield new Uint8Array(held.subarray(0, end));
      held = held.subarray(end);
      end = pngSignature.length;
    }
  }
}
