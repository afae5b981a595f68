import { writeFile } from 'node:fs/promises';
import { corrupt, type Severity } from '../corruptions.ts';
import { asStoplineError } from '../errors.ts';
import type { WorkerAnswer } from '../pool.ts';
import { encodeFrame, renderFrame } from './camera.ts';

/** What happens to a frame before the camera's encoder sees it. */
export interface Condition {
  cause: string;
  severity: Severity;
}

/** Three quarters of what the camera gives: half the time, and causes are as visible. */
const size = { width: 480, height: 270 };

/** One frame of the demo's camera: written to a file as it is, or returned clean and under each condition. */
export type RenderTask = { index: number; seed: number } & ({ path: string } | { conditions: readonly Condition[] });

/** The encoded frame, then one for each condition. */
async function render(task: RenderTask): Promise<WorkerAnswer<Uint8Array[]>> {
  try {
    const frame = renderFrame(task.index, { seed: task.seed, ...size });
    const clean = await encodeFrame(frame);
    if ('path' in task) {
      await writeFile(task.path, clean);
      return { value: [] };
    }
    const encoded = [clean];
    for (const { cause, severity } of task.conditions) {
      encoded.push(await encodeFrame(await corrupt(frame, cause, severity, task.index)));
    }
    return { value: encoded };
  } catch (error) {
    return { error: asStoplineError(error).toJSON() };
  }
}

/** Entry of a rendering thread. */
export function openWorker(): typeof render {
  return render;
}
