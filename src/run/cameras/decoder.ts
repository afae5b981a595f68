import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { confinedEnvironment } from '../../core/confine.ts';
import { pickEnvironment } from '../../core/environment.ts';
import { StoplineError } from '../../errors.ts';
import type { ExtractedFrame } from '../../image/frame.ts';
import { splitPng } from '../inputs/video.ts';
import type { CameraAddress } from './address.ts';

/** Containers that may come over HTTP. Others, such as a playlist, could make ffmpeg open what nobody named. */
const containers =
  'mpegts,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,mpeg,mpegvideo,h264,hevc,mpjpeg,mjpeg,jpeg_pipe,avi,ogg,asf';
const maxComplaint = 300;

/** What the decoder reads, as arguments of ffmpeg, and what is written to its standard input. */
interface Source {
  args: readonly string[];
  input: string | Readable;
  environment: NodeJS.ProcessEnv;
}

/** What ffmpeg decodes of a stream, and how much of it. */
export interface DecoderOptions {
  everyMs: number;
  /** Larger frames end the stream. */
  maxBytes: number;
  /** Decode only frames that stand alone: a twentieth of the work. */
  keyframes?: boolean | undefined;
  signal: AbortSignal;
}

/** A camera behind RTSP, over TCP: ffmpeg connects to it itself, and may connect to nothing else. */
export function readRtsp({ target, login }: CameraAddress, stallMs: number): Source {
  const url = new URL(target);
  if (login) {
    url.username = encodeURIComponent(login.user);
    url.password = encodeURIComponent(login.password);
  }
  // Whoever lists processes sees their arguments, so the address with the password goes through a pipe.
  const file = url.href.replaceAll("'", "'\\''");
  const input = `ffconcat version 1.0\nfile '${file}'\noption rtsp_transport tcp\noption timeout ${stallMs * 1000}\n`;
  const limits = ['-protocol_whitelist', 'pipe,rtp,tcp', '-format_whitelist', 'concat,rtsp,sdp'];
  const environment = { ...confinedEnvironment(), STOPLINE_CONFINE_PORT: url.port || '554' };
  return { args: [...limits, '-f', 'concat', '-safe', '0', '-i', 'pipe:0'], input, environment };
}

/**
 * A stream whose bytes come from elsewhere.
 * @param options.isPaced whether it is decoded no faster than it was taken: its parts come late and all at once
 */
export function readStream(input: Readable, { isPaced = false }: { isPaced?: boolean } = {}): Source {
  const limits = ['-protocol_whitelist', 'pipe', '-format_whitelist', containers];
  return { args: [...limits, ...(isPaced ? ['-re'] : []), '-i', 'pipe:0'], input, environment: confinedEnvironment() };
}

/** A camera of this machine. It is opened for writing, as its driver wants it, so the decoder keeps its rights. */
export function readDevice({ target }: CameraAddress): Source {
  const limits = ['-protocol_whitelist', 'file', '-format_whitelist', 'video4linux2,v4l2'];
  return { args: [...limits, '-f', 'v4l2', '-i', target], input: '', environment: pickEnvironment() };
}

/**
 * The frames of a stream, by ffmpeg in a process of its own, as lossless files of our own making. Ends where the stream does, and
 * where its frames change their size: ffmpeg would stretch them to the first.
 * @throws {StoplineError} VIDEO_UNAVAILABLE; CAMERA_UNREACHABLE with what ffmpeg says
 */
export async function* decodeStream(source: Source, options: DecoderOptions): AsyncGenerator<ExtractedFrame> {
  const { maxBytes, signal } = options;
  const decoder = new StreamDecoder(source, options);
  const stop = () => decoder.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    let frame = 0;
    for await (const bytes of splitPng(decoder.output, maxBytes)) {
      const size = await decoder.size(frame++);
      if (size === undefined || size !== decoder.firstSize) return;
      yield { bytes, codec: decoder.codec };
    }
    await decoder.finish();
  } finally {
    signal.removeEventListener('abort', stop);
    decoder.stop();
  }
}

class StreamDecoder {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  /** Sizes of the frames whose bytes have not been asked for, from frame number `#first` on. */
  #sizes: string[] = [];
  #first = 0;
  #isClosed = false;
  #wake: () => void = () => undefined;
  #rest = '';
  #complaint = '';
  firstSize: string | undefined;
  codec = 'unknown';

  constructor({ args, input, environment }: Source, { everyMs, keyframes }: DecoderOptions) {
    // Half a millisecond less: time stamps are rounded.
    const seconds = ((everyMs - 0.5) / 1000).toFixed(4);
    const filters = `select='isnan(prev_selected_t)+gte(t-prev_selected_t,${seconds})+lt(t,prev_selected_t)',showinfo=checksum=0`;
    this.#child = spawn(
      'ffmpeg',
      [
        ...['-nostdin', '-hide_banner', '-nostats', '-loglevel', 'level+info', '-threads', '1'],
        ...(keyframes ? ['-skip_frame', 'nokey'] : []),
        // What a stream is, is known from its first second; five would be looked at.
        ...[
          '-analyzeduration',
          '1000000',
          '-fpsprobesize',
          '0',
          '-fflags',
          'nobuffer',
          ...args,
          '-map',
          '0:v:0',
          '-an',
          '-vf',
          filters,
          '-fps_mode',
          'passthrough',
        ],
        ...[
          '-f',
          'image2pipe',
          '-c:v',
          'png',
          '-compression_level',
          '0',
          '-pred',
          'none',
          '-flush_packets',
          '1',
          'pipe:1',
        ],
      ],
      { stdio: ['pipe', 'pipe', 'pipe'], env: environment },
    );
    const { stdin, stderr } = this.#child;
    stdin?.on('error', () => undefined); // it has ended, which is told by its end
    if (typeof input === 'string') stdin?.end(input);
    else input.on('error', () => stdin?.destroy()).pipe(stdin as NodeJS.WritableStream);
    stderr?.setEncoding('utf8').on('data', (text: string) => this.#listen(text));
    stderr?.on('close', () => this.#close());
    this.#ended = new Promise((resolve, reject) => this.#child.on('error', reject).on('close', resolve));
    this.#ended.catch(() => undefined); // awaited by `finish`
  }

  get output(): AsyncIterable<Buffer> {
    return this.#child.stdout as AsyncIterable<Buffer>;
  }

  /** The size that a frame had before it was written, such as `1920x1080`; undefined where ffmpeg has ended without a word. */
  async size(frame: number): Promise<string | undefined> {
    while (this.#first + this.#sizes.length <= frame && !this.#isClosed) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const size = this.#sizes[frame - this.#first];
    this.#sizes = this.#sizes.slice(frame + 1 - this.#first);
    this.#first = frame + 1;
    this.firstSize ??= size;
    return size;
  }

  async finish(): Promise<void> {
    const code = await this.#ended.catch((cause) => {
      throw new StoplineError(
        'VIDEO_UNAVAILABLE',
        `Expected ffmpeg 5.1 or later on the path, to read a stream, but it cannot be started: ${cause.message}. Install it.`,
        { cause },
      );
    });
    this.#listen('\n');
    if (code === 0 && this.#complaint === '') return;
    const said = this.#complaint === '' ? 'it does not say why' : this.#complaint;
    throw new StoplineError('CAMERA_UNREACHABLE', `Expected a stream but ffmpeg says: ${said}.`);
  }

  stop(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    this.#close();
  }

  #close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  #listen(text: string): void {
    const lines = `${this.#rest}${text}`.split('\n');
    this.#rest = (lines.pop() as string).slice(0, 2000);
    for (const line of lines) this.#read(line);
  }

  #read(line: string): void {
    const [, size] = /^\[Parsed_showinfo_\d+ @ \w+\] \[info\] n: *\d+ .* s:(\d+x\d+) /.exec(line) ?? [];
    if (size !== undefined) {
      this.#sizes.push(size);
      this.#wake();
      return;
    }
    const [, codec] = /^\[info\] +Stream #0:\d+.*: Video: (\w{1,32})/.exec(line) ?? [];
    if (codec !== undefined && this.codec === 'unknown') this.codec = codec;
    if (!/\[(error|fatal|panic)\]/.test(line) || this.#sizes.length + this.#first > 0) return;
    // The last words before the first frame say what is wrong; those before them often only that something is.
    const words = line.replaceAll(/ @ 0x[0-9a-f]+/g, '').replaceAll(/\[(error|fatal|panic)\] /g, '');
    this.#complaint = `${this.#complaint === '' ? '' : `${this.#complaint}; `}${words.trim().replace(/\.$/, '')}`.slice(
      -maxComplaint,
    );
  }
}
