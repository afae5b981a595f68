import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { limitNode } from '../../core/confine.ts';
import { resolveEntry } from '../../core/entry.ts';
import { pickEnvironment } from '../../core/environment.ts';
import { reviveError, StoplineError } from '../../errors.ts';
import type { Limits } from '../frame.ts';
import type { ModelCard } from './cardschema.ts';

/** What the first load of a model may use. */
export interface TrialLimits {
  /** Start of the process included. */
  seconds?: number;
  /** The data that the trial may hold beyond the size of the model; enforced where there is a POSIX shell. */
  bytes?: number;
}

export const defaultTrialLimits: Readonly<Required<TrialLimits>> = { seconds: 30, bytes: 1024 ** 3 };

/** ONNX Runtime holds the file, the graph made of it, its weights, and the weights packed for the processor. */
const copiesOfModel = 6;

/**
 * Loads a model for the first time, in a process of its own with limited time and memory, and asks it about the
 * generated frames: a crash of the runtime, a bomb or an endless run ends there.
 * @param model its bytes, which the process gets from memory and not by path, its card, and the limits it was read within
 * @returns the answers of the CPU, with which those of other providers are compared
 * @throws {StoplineError} MODEL_FAILED for a crash or a limit; any coded error of the child as it is
 */
export async function tryModel(
  { files, card, limits = {} }: { files: readonly Uint8Array[]; card: ModelCard; limits?: Limits | undefined },
  trial: TrialLimits = {},
): Promise<ModelCard['answers']> {
  const { seconds, bytes } = { ...defaultTrialLimits, ...trial };
  const size = files.reduce((sum, file) => sum + file.length, 0);
  const child = resolveEntry('./trial.entry', import.meta.url);
  const kilobytes = Math.ceil((bytes + copiesOfModel * size) / 1024);
  const limited = limitNode([child], { maxBytes: 1024 * kilobytes });
  return new Promise((resolve, reject) => {
    const running = spawn(...limited, { stdio: ['pipe', 'ignore', 'pipe', 'pipe'], env: pickEnvironment() });
    let words = '';
    let answer = '';
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      running.kill('SIGKILL');
    }, seconds * 1000);
    running.stderr?.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-4000);
    });
    const result = running.stdio[3] as NodeJS.ReadableStream;
    result.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    const failed = (what: string, cause?: unknown) =>
      new StoplineError('MODEL_FAILED', `Expected "${card.name}" to load in a process of its own but ${what}.`, {
        cause,
      });
    running.on('error', (cause) => {
      clearTimeout(timer);
      reject(failed('the process cannot be started', cause));
    });
    running.on('close', (code, signal) => {
      clearTimeout(timer);
      if (isLate) return reject(failed(`it took more than ${seconds} s`));
      if (code !== 0) {
        const last =
          words
            .trim()
            .split('\n')
            .findLast((line) => /error|memory|fatal/i.test(line)) ?? '';
        const detail = last === '' ? '' : `: ${last.trim().slice(0, 200)}`;
        const limit = `${kilobytes} kB of data were allowed`;
        return reject(failed(`it ended with ${signal ?? `code ${code}`} (${limit})${detail}`));
      }
      try {
        const { answers, error } = JSON.parse(answer);
        if (error) reject(reviveError(error));
        else resolve(answers);
      } catch (cause) {
        reject(failed('it gave no answer', cause));
      }
    });
    const input = running.stdin as Writable;
    input.on('error', () => undefined); // an early end is reported by `close`
    input.write(`${JSON.stringify({ card, limits, sizes: files.map((file) => file.length) })}\n`);
    for (const file of files) input.write(file);
    input.end();
  });
}
