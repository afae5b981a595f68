import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Counter, Gauge, type Registry } from '@prometheus-io/client';
import type { FastifyBaseLogger } from 'fastify';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { type CameraAddress, readCamera } from '../../run/cameras/address.ts';
import type { CameraImage } from '../../run/cameras/cameraimage.ts';
import type { CameraSetting, Config } from '../../settings.ts';
import { hidePaths } from '../http/paths.ts';
import type { Judge } from '../judge.ts';
import type { Journal } from '../watch/journal.ts';
import { Turns } from './turns.ts';

/** How soon a camera that was lost is tried again: at first, and at last. */
const retryMs = { first: 500, longest: 60_000 };

/**
 * `connecting`: no image has come yet. `live`: images come. `waiting`: it was lost and is tried again. `ended`: its clip is over.
 * `stopped`: it cannot be tried again, as a file that does not exist.
 */
type CameraState = 'connecting' | 'live' | 'waiting' | 'ended' | 'stopped';

/** What is known of one camera. */
export interface CameraStatus {
  source: string;
  /** Protocol and host, or the name of a clip or device. */
  address: string;
  state: CameraState;
  /** Since when, in milliseconds since 1970. */
  since: number;
  /** Images that were judged. */
  judged: number;
  /** Images that came faster than they could be judged. */
  skipped: number;
  /** Images that could not be judged. */
  failed: number;
  /** Times that it was lost. */
  lost: number;
  /** Why it was lost, or why its last image could not be judged. */
  problem?: { code: string; message: string };
  /** When it is tried again. */
  retryAt?: number;
}

export interface CamerasOptions {
  config: Config;
  judge: Judge;
  log: FastifyBaseLogger;
  registry: Registry;
  journal: Journal;
}

/** The cameras that a service watches by itself: their images are judged as those that clients send. */
export class Cameras {
  readonly #cameras: readonly Camera[];
  readonly #closing = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  /** @throws {StoplineError} OPTION_INVALID for an address that is none, or two cameras of one name */
  constructor(options: CamerasOptions) {
    const { config, registry } = options;
    const { cameras = [], threads } = config;
    const names = cameras.map(({ name }) => name);
    const double = names.find((name, i) => names.indexOf(name) !== i);
    if (double !== undefined) {
      throw new StoplineError('OPTION_INVALID', `Expected cameras of different names but two are called ${double}.`);
    }
    // One image of each camera waits at most, so together they never overload the pool.
    const turns = new Turns(threads);
    this.#cameras = cameras.map((setting) => new Camera(setting, { ...options, turns }));
    this.#registerSeries(registry);
  }

  get names(): string[] {
    return this.#cameras.map(({ status }) => status.source);
  }

  list(): CameraStatus[] {
    return this.#cameras.map(({ status }) => status);
  }

  /** Why no images come of a source, in one sentence; undefined where they do, or where others send them. */
  describeLost(source: string): string | undefined {
    const status = this.#cameras.find((camera) => camera.status.source === source)?.status;
    if (!status?.problem || (status.state !== 'waiting' && status.state !== 'stopped')) return undefined;
    return status.state === 'waiting' ? `It is tried again: ${status.problem.message}` : status.problem.message;
  }

  /** Connects to all of them, and goes on until `close`. */
  start(): void {
    this.#running = Promise.all(this.#cameras.map((camera) => camera.run(this.#closing.signal)));
  }

  /** Resolves when every connection and program has ended. */
  async close(): Promise<void> {
    this.#closing.abort(new StoplineError('CLOSED', 'The service is shutting down.'));
    await this.#running;
  }

  #registerSeries(registry: Registry): void {
    const list = () => this.list();
    const registers = [registry];
    new Gauge({
      name: 'stopline_camera_up',
      help: '1 while images come from a camera that the service watches by itself.',
      labelNames: ['source'],
      registers,
      collect() {
        for (const { source, state } of list()) this.set({ source }, state === 'live' ? 1 : 0);
      },
    });
    new Counter({
      name: 'stopline_camera_images_total',
      help: 'Images of cameras that the service watches by itself: judged, skipped because a newer one came, failed.',
      labelNames: ['source', 'outcome'],
      registers,
      collect() {
        this.reset();
        for (const { source, judged, skipped, failed } of list()) {
          for (const [outcome, count] of Object.entries({ judged, skipped, failed }))
            this.inc({ source, outcome }, count);
        }
      },
    });
    new Counter({
      name: 'stopline_camera_lost_total',
      help: 'Times that a camera that the service watches by itself was lost, or could not be reached.',
      labelNames: ['source'],
      registers,
      collect() {
        this.reset();
        for (const { source, lost } of list()) this.inc({ source }, lost);
      },
    });
  }
}

class Camera {
  readonly status: CameraStatus;
  readonly #address: CameraAddress;
  readonly #setting: CameraSetting;
  readonly #options: CamerasOptions & { turns: Turns };
  /** Times in a row that it was lost without a judged image in between. */
  #failures = 0;

  constructor(setting: CameraSetting, options: CamerasOptions & { turns: Turns }) {
    this.#address = readCamera(setting.address);
    this.#setting = setting;
    this.#options = options;
    const none = { judged: 0, skipped: 0, failed: 0, lost: 0 };
    const { kind, shown } = this.#address;
    // Whoever asks need not know where clips lie on this machine; the log does.
    const address = kind === 'files' || kind === 'device' ? basename(shown) : shown;
    this.status = { source: setting.name, address, state: 'connecting', since: Date.now(), ...none };
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#watch(signal);
        return this.#change('ended');
      } catch (error) {
        if (signal.aborted) return;
        const refusal = asStoplineError(error);
        if (this.#address.kind === 'files') return this.#stop(refusal);
        await this.#lose(refusal, signal);
      }
    }
  }

  /** Judges what comes until nothing more does. */
  async #watch(signal: AbortSignal): Promise<void> {
    // ffmpeg and undici are loaded only by those who want them.
    const { openCamera } = await import('../../run/cameras/camera.ts');
    const { cameraEveryMs, cameraStallMs: stallMs, bodyLimit: maxBytes } = this.#options.config;
    const { everyMs = cameraEveryMs, keyframes } = this.#setting;
    const onSkip = () => {
      this.status.skipped += 1;
    };
    const images = openCamera(this.#address, { everyMs, stallMs, maxBytes, keyframes, signal, onSkip });
    for await (const image of images) await this.#judge(image, signal);
  }

  async #judge({ image, error }: CameraImage, signal: AbortSignal): Promise<void> {
    const { judge, turns } = this.#options;
    const { source, judged, failed } = this.status;
    const requestId = `${source}-${judged + failed + 1}`;
    try {
      if (error) throw error;
      await turns.take(() => judge.inspect(image, { source, requestId, signal }));
      this.status.judged += 1;
      this.#failures = 0;
      if (this.status.state !== 'live') this.#change('live');
    } catch (cause) {
      if (signal.aborted) throw cause;
      const refusal = asStoplineError(cause);
      // Others keep the workers busy; the next image is tried again.
      if (refusal.code === 'STOPLINE_ERR_OVERLOADED') this.status.skipped += 1;
      else this.#fail(refusal);
    }
  }

  /** An image that cannot be judged is one of a camera all the same. */
  #fail({ code, message: full }: StoplineError): void {
    const { log, journal } = this.#options;
    const message = hidePaths(full);
    const { source, problem } = this.status;
    this.status.failed += 1;
    this.status.problem = { code, message };
    journal.addCamera({ source, text: `An image could not be judged: ${code}`, isTrouble: true });
    if (problem?.code !== code) log.warn({ source, code, problem: full }, 'an image of a camera could not be judged');
  }

  async #lose({ code, message: full }: StoplineError, signal: AbortSignal): Promise<void> {
    const { log, journal } = this.#options;
    const message = hidePaths(full);
    const { source, problem } = this.status;
    const isNew = this.#failures === 0 || problem?.message !== message;
    // Jitter, so that cameras behind one switch do not come back at the same moment.
    const waitMs =
      Math.min(retryMs.longest, retryMs.first * 2 ** Math.min(this.#failures, 20)) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.status.lost += 1;
    this.#change('waiting');
    this.status.problem = { code, message };
    this.status.retryAt = Date.now() + Math.round(waitMs);
    journal.addCamera({ source, text: `The camera was lost, and is tried again: ${message}`, isTrouble: true });
    log[isNew ? 'warn' : 'debug']({ source, code, problem: full }, 'a camera was lost and is tried again');
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
    delete this.status.retryAt;
  }

  #stop({ code, message: full }: StoplineError): void {
    const { log, journal } = this.#options;
    const message = hidePaths(full);
    const { source } = this.status;
    this.#change('stopped');
    this.status.problem = { code, message };
    journal.addCamera({ source, text: `Its clip cannot be read: ${message}`, isTrouble: true });
    log.error({ source, code, problem: full }, 'a clip cannot be read');
  }

  #change(state: CameraState): void {
    const { log, journal } = this.#options;
    const { source, address, judged, failed } = this.status;
    const before = this.status.state;
    this.status.state = state;
    this.status.since = Date.now();
    if (state === 'live') {
      delete this.status.problem;
      log.info({ source, address }, 'a camera is watched');
      journal.addCamera({
        source,
        text: before === 'waiting' ? 'The camera is back.' : 'Images come.',
        isTrouble: false,
      });
    }
    if (state === 'ended') {
      log.info({ source, judged, failed }, 'a clip has ended');
      journal.addCamera({ source, text: `The clip has ended after ${judged + failed} images.`, isTrouble: false });
    }
  }
}
