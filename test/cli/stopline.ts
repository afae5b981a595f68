import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { encodeFrame, renderFrame } from '../../src/cli/camera.ts';

export const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** Enough for a Profile, small enough for a test: the core and the decoder do not care about the size. */
const size = { width: 160, height: 90 };

export interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  uid?: number;
  /** Called with the process once it runs. */
  onSpawn?: (child: ReturnType<typeof spawn>) => void;
}

/** Environment of every run: nothing of ours, no colours from the terminal that runs the tests. */
function cleanEnvironment(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('STOPLINE_') && !['FORCE_COLOR', 'NO_COLOR', 'NODE_OPTIONS'].includes(name),
  );
  return Object.fromEntries(kept);
}

/** Runs the real command line in a process of its own. */
export function stopline(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const { env, cwd, uid, onSpawn } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { cwd, uid, env: { ...cleanEnvironment(), ...env } });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    child.on('error', reject).on('close', (code) => resolve({ code, ...output }));
    onSpawn?.(child);
  });
}

/** A folder that is gone after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'stopline-cli-'));
  chmodSync(folder, 0o755);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** JPEG frames `first` to `first + count - 1` of the simulated camera, as files. */
export async function renderFolder(folder: string, count: number, first = 0): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const paths: string[] = [];
  for (let index = first; index < first + count; index++) {
    const path = join(folder, `frame${index}.jpg`);
    writeFileSync(path, await jpegFrame(index));
    paths.push(path);
  }
  return paths;
}

export async function jpegFrame(index: number, quality?: number): Promise<Uint8Array> {
  return encodeFrame(renderFrame(index, size), { quality });
}

/** The error that `--json` prints. */
export function errorOf(run: Run): { code: string; message: string } {
  return JSON.parse(run.stdout).error;
}

/** A service in a process of its own, on a free port. */
export async function startService(args: readonly string[]) {
  let child: ReturnType<typeof spawn> | undefined;
  let seen = '';
  let ready: (url: string) => void;
  const listening = new Promise<string>((resolve) => {
    ready = resolve;
  });
  const ended = stopline(['serve', '--port', '0', ...args], {
    onSpawn(spawned) {
      child = spawned;
      spawned.stderr?.on('data', (text: string) => {
        seen += text;
        const [url] = /http:\/\/[\w.:]+/.exec(seen) ?? [];
        if (url) ready(url);
      });
    },
  });
  const failed = ended.then((run) => {
    throw new Error(`the service ended with ${run.code}: ${run.stderr}`);
  });
  const url = await Promise.race([listening, failed]);
  failed.catch(() => undefined); // the end of a service that has listened is what `stop` waits for
  return {
    url,
    post: (bytes: Uint8Array, type = 'application/octet-stream') =>
      fetch(`${url}/inspect`, { method: 'POST', headers: { 'content-type': type }, body: new Uint8Array(bytes) }),
    stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM') {
      child?.kill(signal);
      return ended;
    },
  };
}
