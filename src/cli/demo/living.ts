import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Severity } from '../../image/corruptions/corruptions.ts';
import type { WorkerLine } from '../../run/workers/line.ts';
import { serve } from '../../server/serve.ts';
import type { Config } from '../../settings.ts';
import { Interruption, interruptible } from '../interrupt.ts';
import { print, table } from '../terminal.ts';
import type { Condition, RenderTask } from './render.entry.ts';

/** A camera of the living page: what happens to it, and from which of its images on. */
interface DemoCamera {
  name: string;
  cause?: string;
  /** The severity of each image from here on. */
  from: readonly { image: number; severity: Severity }[];
  story: string;
}

export const cameras: readonly DemoCamera[] = [
  { name: 'bridge', from: [], story: 'stays as it is' },
  {
    name: 'harbour',
    cause: 'fog',
    from: [
      { image: 40, severity: 1 },
      { image: 60, severity: 2 },
      { image: 80, severity: 3 },
    ],
    story: 'fog comes up slowly',
  },
  { name: 'tunnel', cause: 'defocusBlur', from: [{ image: 60, severity: 3 }], story: 'loses its focus at once' },
];
/** A camera sends no faster than this, in milliseconds. */
const paceMs = 250;

/**
 * Starts a service whose dashboard lives: cameras send frames, and two of them drift. Ends when the user asks for it.
 * @param first index of the first frame that nobody has seen
 */
export async function showLiving(
  config: Config,
  { renderers, seed, first }: { renderers: WorkerLine<RenderTask>; seed: number; first: number },
): Promise<void> {
  const service = await serve({ ...config, staleAfterMs: 60_000 });
  try {
    const rows = cameras.map(({ name, story }) => [`  ${name}`, story]);
    print(`\nThe page lives at ${service.url}/ until you press Ctrl-C. Its cameras:\n${table(rows)}`);
    openBrowser(`${service.url}/`);
    await interruptible(async (signal) => {
      const send = async (camera: DemoCamera, place: number) => {
        for (let image = 0; ; image++) {
          signal.throwIfAborted();
          const startedAt = performance.now();
          // No two cameras see the same street at the same time.
          const index = first + image * cameras.length + place;
          await sendFrame(service.url, camera, { index, image, seed, renderers, signal });
          await delay(Math.max(0, paceMs - (performance.now() - startedAt)), undefined, { signal });
        }
      };
      await Promise.all(cameras.map(send));
    }).catch((error) => {
      // Ctrl-C is how this ends, and no failure.
      if (!(error instanceof Interruption)) throw error;
    });
  } finally {
    await service.close();
  }
}

/** What a camera sends as its image of this number: clean, or under its cause at the severity of the time. */
export function chooseCondition({ cause, from }: DemoCamera, image: number): Condition[] {
  const severity = from.filter((step) => image >= step.image).at(-1)?.severity;
  return cause === undefined || severity === undefined ? [] : [{ cause, severity }];
}

async function sendFrame(
  url: string,
  camera: DemoCamera,
  frame: { index: number; image: number; seed: number; renderers: WorkerLine<RenderTask>; signal: AbortSignal },
): Promise<void> {
  const { index, image, seed, renderers, signal } = frame;
  const task = { index, seed, conditions: chooseCondition(camera, image) };
  const images = await renderers.run<Uint8Array[]>(task, { signal });
  const response = await fetch(`${url}/inspect`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg', 'x-stopline-source': camera.name },
    body: new Uint8Array(images.at(-1) as Uint8Array),
    signal,
  });
  await response.arrayBuffer();
}

/** Where there is no browser, the address was printed. */
function openBrowser(url: string): void {
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['open', url]
      : process.platform === 'win32'
        ? ['cmd', '/c', 'start', '', url]
        : ['xdg-open', url];
  spawn(command, args, { stdio: 'ignore', detached: true })
    .on('error', () => undefined)
    .unref();
}
