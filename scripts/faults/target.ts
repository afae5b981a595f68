import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { fit } from '../../src/fit/fit.ts';
import type { FitOptions } from '../../src/fit/options.ts';
import { saveProfile } from '../../src/profile/file.ts';

/** The folder of this version. */
export const root = fileURLToPath(new URL('../..', import.meta.url));
const careless = fileURLToPath(new URL('./careless.ts', import.meta.url));

/** What one fault came to: whether the service stood it, and the figures that say so. */
export interface Outcome {
  ok: boolean;
  figures: string;
  /** It could not be tried here: the figures say what is missing. */
  isSkipped?: boolean;
}

/** How a command ended. */
export interface Ended {
  /** The exit status; that of a shell for a signal; undefined where it had to be ended because it hung. */
  code: number | undefined;
  stdout: string;
  stderr: string;
  /** Most memory at any time, of it and of those it started, in MB; looked at twenty times a second. */
  megabytes: number;
}

/** A fit without networks and simulated causes, in words that every version takes. */
export const quickFit = ['--exposures', '0', '--power', '0', '--model', 'none'];

/** What faults are done to: the service in a process of its own, or one that takes no care and must fail. */
export interface Target {
  url: string;
  pid: number;
  exit: Promise<{ code: number | null; signal: string | null }>;
  /** Everything written so far. */
  readonly log: string;
  kill(signal: NodeJS.Signals): void;
}

export interface Stage {
  /** A JPEG like the reference. */
  frame: Uint8Array;
  profile: string;
  folder: string;
  /** The folder of the checkout that faults are done to. */
  checkout: string;
  isCareless: boolean;
  /** Most memory that any service had, in MB; looked at ten times a second. */
  readonly peaks: Readonly<Peaks>;
  /** Number of repetitions or seconds, where the command line asks for another than the usual one. */
  count?: number | undefined;
  start(options?: StartOptions): Promise<Target>;
  /** Runs another command of the same program to its end, or ends it when the signal aborts, or after five minutes. */
  command(
    args: string[],
    options?: Omit<StartOptions, 'args'> & { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<Ended>;
  close(): void;
}

/** Most memory of single processes, in MB. */
export interface Peaks {
  /** The process that answers, where others decode. */
  answering: number;
  /** The process that answers and decodes (`--isolation thread`). */
  threaded: number;
  /** One that decodes. */
  worker: number;
}

interface StartOptions {
  args?: string[];
  env?: Record<string, string>;
  /** What the shell does before it starts the program. */
  shell?: string;
  /** The Profile, in place of that of the stage. */
  profile?: string;
}

/** A folder of images like the reference. */
async function drawReference(folder: string): Promise<string> {
  const images = join(folder, 'reference');
  mkdirSync(images);
  for (let i = 0; i < 60; i++) writeFileSync(join(images, `${i}.jpg`), await encodeFrame(renderFrame(i, size)));
  return images;
}
const size = { width: 320, height: 180 };

/**
 * Fits a small Profile in a temporary folder, unless told otherwise without a network and without causes.
 * @param options.checkout the folder of another version, to do the same to it: it fits its own Profile
 */
export async function setStage(
  options: { isCareless?: boolean; count?: number; fitted?: Partial<FitOptions>; checkout?: string } = {},
): Promise<Stage> {
  const { isCareless = false, count, fitted, checkout = root } = options;
  const main = ['bin.js', 'main.ts'].map((name) => join(checkout, 'src/cli', name)).find(existsSync) as string;
  const folder = mkdtempSync(join(tmpdir(), 'stopline-faults-'));
  const images = await drawReference(folder);
  const path = join(folder, 'camera.stopline');
  const frame = await encodeFrame(renderFrame(1000, size));
  const running = new Set<ChildProcess>();
  // With a time limit of its own for every image, so that a busy machine is not taken for a hanging decoder.
  const always = { NODE_COMPILE_CACHE: join(tmpdir(), 'stopline-compile-cache'), STOPLINE_MAX_IMAGE_MS: '20000' };
  const launch = (program: string[], { env = {}, shell = '' }: StartOptions) => {
    const child = spawn('/bin/sh', ['-c', `${shell} exec "$0" "$@"`, process.execPath, ...program], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...always, ...env },
    });
    running.add(child);
    child.on('close', () => running.delete(child));
    return child;
  };
  const command: Stage['command'] = async (args, { timeoutMs = 300_000, signal: stop, ...options } = {}) => {
    const child = launch([main, ...args], options);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    stop?.addEventListener('abort', () => child.kill('SIGKILL'));
    const texts = Promise.all([readText(child.stdout), readText(child.stderr)]);
    let megabytes = 0;
    const watch = setInterval(() => {
      megabytes = Math.max(megabytes, Math.round(readMemory(child.pid as number)));
    }, 50);
    const [status, signal] = await once(child, 'close');
    clearTimeout(timer);
    clearInterval(watch);
    const [stdout, stderr] = await texts;
    const code =
      signal === null ? status : signal === 'SIGKILL' ? undefined : 128 + constants.signals[signal as 'SIGINT'];
    return { code, stdout, stderr, megabytes };
  };
  if (checkout === root) {
    const { profile } = await fit({ paths: [images], simulations: 0, power: 0, model: 'none', ...fitted });
    await saveProfile(profile, path);
  } else {
    const { code, stderr } = await command(['fit', images, '--out', path, ...quickFit]);
    if (code !== 0)
      throw new Error(`Expected ${checkout} to fit a Profile but received ${code}: ${stderr.slice(-500)}`);
  }

  const services = new Map<number, keyof Peaks>();
  const peaks: Peaks = { answering: 0, threaded: 0, worker: 0 };
  const watch = setInterval(() => {
    for (const [pid, kind] of services) {
      peaks[kind] = Math.max(peaks[kind], readPeak(pid));
      for (const child of listChildren(pid)) peaks.worker = Math.max(peaks.worker, readPeak(child));
    }
  }, 100);
  watch.unref();

  return {
    checkout,
    isCareless,
    command,
    peaks,
    count,
    frame,
    profile: path,
    folder,
    async start({ args = [], profile = path, ...options } = {}) {
      const program = isCareless ? [careless] : [main, 'serve', '--profile', profile, '--port', '0', ...args];
      const child = launch(program, options);
      const pid = child.pid as number;
      services.set(pid, args.includes('thread') ? 'threaded' : 'answering');
      let log = '';
      const exit = once(child, 'close').then(([code, signal]) => {
        services.delete(pid);
        return { code, signal };
      });
      const url = await new Promise<string>((resolve, reject) => {
        for (const stream of [child.stdout, child.stderr]) {
          stream.setEncoding('utf8').on('data', (text: string) => {
            log += text;
            const [found] = /https?:\/\/127\.0\.0\.1:\d+/.exec(log) ?? [];
            if (found) resolve(found);
          });
        }
        void exit.then(({ code }) => reject(new Error(`the service ended with ${code}: ${log.slice(-500)}`)));
      });
      return {
        url,
        pid,
        exit,
        get log() {
          return log;
        },
        kill: (signal) => void child.kill(signal),
      };
    },
    close() {
      clearInterval(watch);
      for (const child of running) child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Memory of a process and of those it started, in MB.
 * @param what `Pss` counts once what they share, the code of Node and of libraries above all, and so depends on who else runs Node;
 * `Rss` once for each; `Anonymous` is what they have written, and nobody else's
 */
export function readMemory(pid: number, what: 'Pss' | 'Rss' | 'Anonymous' = 'Pss'): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const own = Number(new RegExp(`^${what}: +(\\d+)`, 'm').exec(text)?.[1] ?? 0) / 1024;
    return listChildren(pid).reduce((sum, child) => sum + readMemory(child, what), own);
  } catch {
    return 0; // it has just ended
  }
}

/** Most memory that a process had at any time, without those it started, in MB. */
export function readPeak(pid: number): number {
  try {
    return Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024);
  } catch {
    return 0; // it has just ended
  }
}

/** Those that any thread of a process has started. */
export function listChildren(pid: number): number[] {
  try {
    const lists = globSync(`/proc/${pid}/task/*/children`).map((path) => readFileSync(path, 'utf8'));
    return lists.flatMap((text) => text.trim().split(' ').filter(Boolean).map(Number));
  } catch {
    return []; // it has just ended
  }
}

/** Time on the processor of a process so far. */
export function readCpuMs(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10; // in ticks of 10 ms
  } catch {
    return 0; // it has just ended
  }
}

/**
 * How many times longer things take here because others work on this machine, too: time of the clock over that on the processor, for
 * a tenth of a second of work. Bounds of time are held against it, so that no verdict depends on what else runs; 1 on a machine that
 * does nothing else.
 */
export function measureSlowness(): number {
  const [startedAt, before] = [performance.now(), process.cpuUsage()];
  for (;;) {
    const { user, system } = process.cpuUsage(before);
    const usedMs = (user + system) / 1000;
    if (usedMs >= 100) return Math.max(1, (performance.now() - startedAt) / usedMs);
  }
}

export const countDescriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** How one request ended: the status of its answer, or the code of the error. */
export interface Reply {
  status: number;
  error?: string;
  body: string;
  ms: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

export const post = (url: string, body: Uint8Array, headers: Record<string, string> = {}, path = '/inspect') =>
  ask(url, { path, body, headers: { 'content-type': 'image/jpeg', ...headers } });

/** Any request, on a connection that is kept, with headers as they are given: `host` and those of browsers among them. */
export function ask(
  url: string,
  options: { method?: string; path: string; headers?: Record<string, string>; body?: Uint8Array },
): Promise<Reply> {
  const { method = 'POST', path, headers = {}, body } = options;
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const end = (reply: Partial<Reply>) =>
      resolve({ status: 0, body: '', ...reply, ms: performance.now() - startedAt });
    const message = request(url + path, { method, agent, headers });
    message.on('error', (error: NodeJS.ErrnoException) => end({ error: error.code ?? error.message }));
    message.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => end({ status: response.statusCode as number, body: text }));
      response.on('error', (error: NodeJS.ErrnoException) => end({ error: error.code ?? error.message }));
    });
    message.end(body);
  });
}

/** Whether the service says that it is ready, within a time. */
export async function isReadyWithin(url: string, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (performance.now() < deadline) {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
    if (response?.ok) return true;
    await sleep(20);
  }
  return false;
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

export interface Raw {
  socket: Socket;
  readonly received: string;
  /** Milliseconds from the start until the other side closed; undefined while it has not. */
  readonly closedAfterMs: number | undefined;
}

/** A connection on which every byte is up to the caller. */
export async function openRaw(url: string, options: { allowHalfOpen?: boolean } = {}): Promise<Raw> {
  const { hostname, port } = new URL(url);
  const startedAt = performance.now();
  const socket = connect({ host: hostname, port: Number(port), ...options });
  let received = '';
  let closedAfterMs: number | undefined;
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    closedAfterMs = performance.now() - startedAt;
  });
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined);
  return {
    socket,
    get received() {
      return received;
    },
    get closedAfterMs() {
      return closedAfterMs;
    },
  };
}
