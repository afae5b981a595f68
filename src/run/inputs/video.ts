import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { lstat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { confinedEnvironment } from '../../core/confine.ts';
import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';
import { brokenItem, fileVersion, type InputOptions, type Item } from './item.ts';

export function isVideoName(name: string): boolean {
  return /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g)$/i.test(name);
}

const pngSignature = Buffer.from('89504e470d0a1a0a', 'hex');

/** Containers that are read. Others, such as a playlist that is called .mp4, could make ffmpeg open files that nobody named. */
const demuxers = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts';

/**
 * The frames of a video at `fps` a second, as PNG, so that nothing is compressed again, with the codec of the video, since the
 * PNG is ours and no evidence. `ffmpeg` decodes it in a process of its own and waits when we are slow. Damage that it reports, also damage that it could hide, is an item with its error at the end.
 * @param shown its name in rows
 * @throws {StoplineError} VIDEO_UNAVAILABLE
 */
export async function* listFrames(
  shown: string,
  path: string,
  { fps = 1, maxBytes }: InputOptions,
): AsyncGenerator<Item> {
  const kind = await lstat(path).catch(() => undefined);
  if (!kind?.isFile()) {
    const reason = kind?.isSymbolicLink()
      ? 'it is a symbolic link'
      : kind
        ? 'it is no regular file'
        : 'it does not exist';
    const code = kind ? 'INPUT_UNREADABLE' : 'INPUT_NOT_FOUND';
    return yield brokenItem(shown, new StoplineError(code, `${quotePath(shown)} cannot be opened: ${reason}.`));
  }
  const version = `${fileVersion(path)} ${fps}`;
  const codec = await readCodec(path);
  const decoder = new VideoDecoder(path, fps);
  try {
    let frame = 0;
    for await (const bytes of splitPng(decoder.output, maxBytes)) {
      const seconds = (frame++ / fps).toFixed(3);
      yield { name: `${shown}/${seconds}`, folder: shown, codec, version, size: bytes.length, read: async () => bytes };
    }
    const problem = await decoder.finish(shown);
    if (problem) throw problem;
    if (frame === 0)
      throw new StoplineError('INPUT_UNREADABLE', `Expected frames in ${quotePath(shown)} but found none.`);
  } catch (error) {
    if (!(error instanceof StoplineError) || error.code !== 'STOPLINE_ERR_INPUT_UNREADABLE') throw error;
    yield brokenItem(shown, error);
  } finally {
    decoder.stop();
  }
}

/** Lines of ffmpeg that tell of damage: every error, and what it says at other levels of pixels that it makes up. */
const damage = /\[(error|fatal|panic)\]|conceal|corrupt|premature|truncat/i;
const maxComplaint = 300;

class VideoDecoder {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #complaint = '';
  #rest = '';

  constructor(path: string, fps: number) {
    this.#child = spawn(
      'ffmpeg',
      [
        ...['-nostdin', '-hide_banner', '-nostats', '-loglevel', 'level+info', '-threads', '1'],
        ...['-protocol_whitelist', 'file,pipe', '-format_whitelist', demuxers, '-i', `file:${path}`],
        ...['-map', '0:v:0', '-vf', `fps=${fps}`, '-f', 'image2pipe', '-c:v', 'png', '-compression_level', '1', '-'],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: confinedEnvironment() },
    );
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#listen(text));
    this.#ended = new Promise((resolve, reject) => this.#child.on('error', reject).on('close', resolve));
    this.#ended.catch(() => undefined); // awaited by `finish`
  }

  get output(): AsyncIterable<Buffer> {
    return this.#child.stdout as AsyncIterable<Buffer>;
  }

  /**
   * @returns what was wrong with the video, if anything was
   * @throws {StoplineError} VIDEO_UNAVAILABLE
   */
  async finish(shown: string): Promise<StoplineError | undefined> {
    const code = await this.#ended.catch((cause) => {
      throw new StoplineError(
        'VIDEO_UNAVAILABLE',
        `Expected ffmpeg on the path, to read the frames of ${quotePath(shown)}, but it cannot be started: ${cause.message}. Install it, or score extracted frames.`,
        { cause },
      );
    });
    this.#listen('\n');
    const said = this.#complaint === '' ? 'it does not say why' : this.#complaint;
    if (code !== 0)
      return new StoplineError('INPUT_UNREADABLE', `Expected a video at ${quotePath(shown)} but ffmpeg says: ${said}.`);
    if (this.#complaint === '') return undefined;
    return new StoplineError(
      'INPUT_UNREADABLE',
      `Expected an intact video at ${quotePath(shown)} but ffmpeg reports damage, so frames may be missing or made up: ${said}.`,
    );
  }

  stop(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
  }

  /** Keeps the first words on damage, without the addresses in memory that ffmpeg prints, which differ from run to run. */
  #listen(text: string): void {
    const lines = `${this.#rest}${text}`.split('\n');
    this.#rest = (lines.pop() as string).slice(0, maxComplaint);
    for (const line of lines) {
      if (this.#complaint !== '' || !damage.test(line)) continue;
      const words = line.replaceAll(/ @ 0x[0-9a-f]+/g, '').replaceAll(/\[(error|fatal|panic|warning|info)\] /g, '');
      this.#complaint = words.trim().replace(/\.$/, '').slice(0, maxComplaint);
    }
  }
}

/** The codec of a video as ffprobe names it; `unknown` where it does not tell, which then is for ffmpeg to complain about. */
async function readCodec(path: string): Promise<string> {
  const limits = ['-loglevel', 'error', '-protocol_whitelist', 'file,pipe', '-format_whitelist', demuxers];
  const wanted = ['-select_streams', 'v:0', '-show_entries', 'stream=codec_name'];
  const format = ['-of', 'default=noprint_wrappers=1:nokey=1', `file:${path}`];
  const { stdout } = await promisify(execFile)('ffprobe', [...limits, ...wanted, ...format], { timeout: 10_000 }).catch(
    () => ({ stdout: '' }),
  );
  const [name = ''] = stdout.split('\n');
  return /^\w{1,32}$/.test(name) ? name : 'unknown';
}

/** Cuts a stream of PNG files apart: a file is its signature and chunks (length, type, data, checksum) up to IEND. */
export async function* splitPng(stream: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let room: Buffer = Buffer.alloc(0);
  let length = 0;
  let end = pngSignature.length; // of what is known to belong to the file at the start of `room`
  for await (const chunk of stream) {
    room = makeRoom(room, length, chunk.length);
    length += chunk.copy(room, length);
    while (length >= end + 8) {
      if (end === pngSignature.length && !room.subarray(0, end).equals(pngSignature)) {
        throw new StoplineError('INPUT_UNREADABLE', 'Expected PNG frames from ffmpeg but received something else.');
      }
      const isLast = room.toString('latin1', end + 4, end + 8) === 'IEND';
      const next = end + 12 + room.readUInt32BE(end);
      if (next > maxBytes) {
        throw new StoplineError('INPUT_UNREADABLE', `Expected frames of at most ${maxBytes} bytes but one has more.`);
      }
      if (isLast && length < next) break;
      end = next;
      if (!isLast) continue;
      yield new Uint8Array(room.subarray(0, end));
      room.copy(room, 0, end, length);
      length -= end;
      end = pngSignature.length;
    }
  }
}

/** A buffer with what `held` has and place for more: twice as large where it has to grow, so that a frame is copied but twice. */
function makeRoom(held: Buffer, length: number, more: number): Buffer {
  if (held.length >= length + more) return held;
  const room = Buffer.allocUnsafe(Math.max(length + more, 2 * held.length));
  held.copy(room, 0, 0, length);
  return room;
}
