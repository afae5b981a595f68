import { writeFile } from 'node:fs/promises';
import { corrupt, type Severity } from '../../image/corruptions/corruptions.ts';
import { answerWith } from '../../run/workers/answer.ts';
import { encodeFrame, renderFrame } from './camera/camera.ts';

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
async function render(task: RenderTask): Promise<Uint8Array[]> {
  const frame = renderFrame(task.index, { seed: task.seed, ...size });
  const clean = await encodeFrame(frame);
  if ('path' in task) {
    await writeFile(task.path, clean);
    return [];
  }
  const encoded = [clean];
  for (const { cause, severity } of task.conditions) {
    encoded.push(await encodeFrame(await corrupt(frame, cause, severity, task.index)));
  }
  return encoded;
}

/** Entry of a rendering thread. */
export function openWorker() {
  return (task: RenderTask) => answerWith(() => render(task));
}
