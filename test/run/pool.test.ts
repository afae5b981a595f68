import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { createPool, isolateModels, type Pool, spreadBatch } from '../../src/run/pool.ts';
import { createWorkerLine, type WorkerLine } from '../../src/run/workers/line.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { treacherousClassifier } from '../fixtures/onnxfile.ts';
import type { ProbeTask } from '../fixtures/pool.program.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';

const filename = fileURLToPath(new URL('../fixtures/pool.program.ts', import.meta.url));
const open: { line: WorkerLine<ProbeTask>; cells: Int32Array[] }[] = [];

/** A line of real threads; `hold` occupies one until `release`. */
function start(options: { threads: number; maxWaitMs?: number; workerData?: unknown }) {
  const line = createWorkerLine<ProbeTask>({ filename, ...options });
  const cells: Int32Array[] = [];
  open.push({ line, cells });
  const hold = (signal?: AbortSignal) => {
    const cell = new Int32Array(new SharedArrayBuffer(4));
    cells.push(cell);
    return line.run<string>({ kind: 'hold', cell }, { signal });
  };
  const release = (index: number) => {
    Atomics.store(cells[index], 0, 1);
    Atomics.notify(cells[index], 0);
  };
  return { line, hold, release };
}

afterEach(async () => {
  for (const { line, cells } of open.splice(0)) {
    for (const cell of cells) {
      Atomics.store(cell, 0, 1);
      Atomics.notify(cell, 0);
    }
    await line.destroy();
  }
});

describe('createWorkerLine', () => {
  it('runs tasks on the worker with the data it was started with', async () => {
    const { line } = start({ threads: 2, workerData: { colour: 'red' } });
    await expect(line.run({ kind: 'echo', value: 5 })).resolves.toEqual({ task: 5, workerData: { colour: 'red' } });
    expect([line.threads, line.queued, line.running, line.expectedWaitMs]).toEqual([2, 0, 0, 0]);
  });

  it('starts tasks first in, first out', async () => {
    const { line, hold, release } = start({ threads: 1 });
    const first = hold();
    const order: number[] = [];
    const rest = [1, 2, 3, 4, 5].map((value) =>
      line.run({ kind: 'echo', value }, { signal: new AbortController().signal }).then(() => order.push(value)),
    );
    expect([line.running, line.queued]).toEqual([1, 5]);
    release(0);
    await Promise.all([first, ...rest]);
    expect(order).toEqual([1, 2, 3, 4, 5]);
    expect([line.running, line.queued]).toEqual([0, 0]);
  });

  it('uses all threads at the same time', async () => {
    const { line, hold, release } = start({ threads: 3 });
    const tasks = [hold(), hold(), hold()];
    expect([line.running, line.queued]).toEqual([3, 0]);
    release(2);
    await expect(tasks[2]).resolves.toBe('held'); // while the other two still hold their threads
    release(0);
    release(1);
    await Promise.all(tasks);
  });

  it('refuses at once what would wait longer than the bound, and takes tasks again afterwards', async () => {
    // One thread and 25 ms assumed for each task: behind 1, 2, 3 tasks the wait is 25, 50, 75 ms.
    const { line, hold, release } = start({ threads: 1, maxWaitMs: 60 });
    const accepted = [hold(), line.run({ kind: 'echo', value: 1 }), line.run({ kind: 'echo', value: 2 })];
    expect(line.expectedWaitMs).toBe(75);
    await expect(line.run({ kind: 'echo', value: 3 })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OVERLOADED',
      status: 503,
      message: 'Expected a wait of at most 60 ms but 3 images come first and take about 75 ms.',
    });
    expect(line.queued).toBe(2);
    release(0);
    await Promise.all(accepted);
    await expect(line.run({ kind: 'echo', value: 4 })).resolves.toMatchObject({ task: 4 });
  });

  it('with a bound of 0 takes a task only when a thread is free', async () => {
    const { hold, release } = start({ threads: 2, maxWaitMs: 0 });
    const accepted = [hold(), hold()];
    await expect(hold()).rejects.toMatchObject({ code: 'STOPLINE_ERR_OVERLOADED' });
    release(0);
    release(1);
    await Promise.all(accepted);
  });

  it('learns the service time', async () => {
    const { line, hold, release } = start({ threads: 1 });
    await line.run({ kind: 'echo', value: 0 }); // the first waits for the thread to start
    const trips: number[] = [];
    for (let i = 0; i < 200; i++) {
      const startedAt = performance.now();
      await line.run({ kind: 'echo', value: i });
      trips.push(performance.now() - startedAt);
    }
    const held = hold();
    // No more than what the slowest took there and back, however busy the machine is.
    expect(line.expectedWaitMs).toBeLessThan(Math.max(...trips));
    expect(line.expectedWaitMs).toBeGreaterThan(0);
    release(0);
    await held;
  });

  it('drops a task aborted while it waits', async () => {
    const { line, hold, release } = start({ threads: 1 });
    const first = hold();
    const controller = new AbortController();
    const aborted = line.run({ kind: 'echo', value: 1 }, { signal: controller.signal });
    const last = line.run({ kind: 'echo', value: 2 });
    controller.abort(new Error('client is gone'));
    await expect(aborted).rejects.toThrow('client is gone');
    expect(line.queued).toBe(1);
    release(0);
    await expect(last).resolves.toMatchObject({ task: 2 });
    await first;
  });

  it('rejects a task aborted while it runs, keeps its thread and counts it until it ends', async () => {
    const { line, hold, release } = start({ threads: 1, workerData: 'same thread' });
    const controller = new AbortController();
    const aborted = hold(controller.signal);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
    expect(line.running).toBe(1);
    release(0);
    await line.run({ kind: 'echo', value: 1 });
    expect(line.running).toBe(0);
  });

  it('does not start a task whose signal has aborted', async () => {
    const { line } = start({ threads: 1 });
    await expect(line.run({ kind: 'echo', value: 1 }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect([line.running, line.queued]).toEqual([0, 0]);
  });

  it('keeps code, message and status of an error that crosses the thread border', async () => {
    const { line } = start({ threads: 1 });
    const refusal = { kind: 'refuse', code: 'STOPLINE_ERR_IMAGE_TRUNCATED', message: 'cut at 50 %' } as const;
    await expect(line.run(refusal)).rejects.toMatchObject({
      name: 'StoplineError',
      code: 'STOPLINE_ERR_IMAGE_TRUNCATED',
      message: 'cut at 50 %',
      status: 422,
      exit: 65,
    });
  });

  it.each(['throw', 'exit', 'uncaught'] as const)('survives a worker that does "%s"', async (kind) => {
    const { line } = start({ threads: 1 });
    const victim = line.run({ kind });
    const next = line.run({ kind: 'echo', value: 1 });
    await expect(victim).rejects.toMatchObject({ code: 'STOPLINE_ERR_INTERNAL', status: 500 });
    await expect(next).resolves.toMatchObject({ task: 1 });
    for (let i = 0; i < 3; i++) {
      await expect(line.run({ kind })).rejects.toMatchObject({ code: 'STOPLINE_ERR_INTERNAL' });
    }
    await expect(line.run({ kind: 'echo', value: 2 })).resolves.toMatchObject({ task: 2 });
  });

  it('says so when its workers cannot start, instead of waiting for ever', async () => {
    const absent = fileURLToPath(new URL('./absent.worker.ts', import.meta.url));
    const line = createWorkerLine<ProbeTask>({ filename: absent, threads: 2 });
    const tasks = [1, 2, 3, 4, 5, 6].map((value) => line.run({ kind: 'echo', value }));
    for (const result of await Promise.allSettled(tasks)) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STOPLINE_ERR_INTERNAL' } });
    }
    await expect(line.run({ kind: 'echo', value: 7 })).rejects.toMatchObject({ code: 'STOPLINE_ERR_INTERNAL' });
    await line.close();
  });

  it('close finishes what was accepted and takes nothing more', async () => {
    const { line, hold, release } = start({ threads: 1 });
    const running = hold();
    const waiting = line.run({ kind: 'echo', value: 1 });
    let isClosed = false;
    const closing = line.close().then(() => (isClosed = true));
    await expect(line.run({ kind: 'echo', value: 2 })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_CLOSED',
      status: 503,
    });
    expect(isClosed).toBe(false);
    release(0);
    await expect(running).resolves.toBe('held');
    await expect(waiting).resolves.toMatchObject({ task: 1 });
    await closing;
  });

  it('destroy rejects everything at once', async () => {
    const { line } = start({ threads: 1 });
    const running = line.run({ kind: 'uncaught' }).catch((error) => error);
    const waiting = line.run({ kind: 'echo', value: 1 }).catch((error) => error);
    await line.destroy();
    expect(await running).toMatchObject({ code: 'STOPLINE_ERR_CLOSED' });
    expect(await waiting).toMatchObject({ code: 'STOPLINE_ERR_CLOSED' });
  });
});

describe('createPool', () => {
  let reference: Reference;
  let pool: Pool;
  let path: string;

  beforeAll(async () => {
    reference = await fitReference();
    path = `${reference.profilePath}.jpg`;
    await writeFile(path, reference.frame);
    pool = await createPool({ profile: reference.profilePath, threads: 2 });
    await pool.ready();
  });
  afterAll(async () => {
    await pool.close();
    await reference.remove();
  });

  it('says which core its workers run', () => {
    expect(pool.info).toEqual({ threads: 2, core: expect.objectContaining({ build: expect.any(String) }) });
  });

  it('judges bytes and files alike, on every thread', async () => {
    const { timingMs: _, ...fromFile } = await pool.inspectFile(path);
    const verdicts = await Promise.all(Array.from({ length: 6 }, () => pool.inspect(reference.frame)));
    for (const { timingMs, ...verdict } of verdicts) expect(verdict).toEqual(fromFile);
    expect(fromFile.profile.sha256).toBe(reference.profile.sha256);
  });

  it('leaves the bytes to the caller unless they are handed over', async () => {
    const kept = Uint8Array.from(reference.frame);
    await pool.inspect(kept);
    expect(kept).toEqual(Uint8Array.from(reference.frame));

    const given = Uint8Array.from(reference.frame);
    const verdict = pool.inspect(given, { transfer: true });
    expect(given.byteLength).toBe(0);
    expect((await verdict).image.bytes).toBe(reference.frame.length);

    // A view into a larger buffer is copied: its neighbours must neither be lost nor travel along.
    const shared = new Uint8Array(reference.frame.length + 100);
    shared.set(reference.frame, 50);
    const view = shared.subarray(50, 50 + reference.frame.length);
    expect((await pool.inspect(view, { transfer: true })).image.bytes).toBe(reference.frame.length);
    expect(view).toEqual(Uint8Array.from(reference.frame));
  });

  it('measures a file without judging it', async () => {
    const image = await pool.measure(path);
    expect(image.statistics).toBeInstanceOf(Float64Array);
    expect(image.statistics).toHaveLength(statistics.length);
    expect(image).toMatchObject({ width: 320, height: 180, bytes: reference.frame.length });
    expect(image.container?.format).toBe('jpeg');
    expect(image.sha256).toBe((await pool.inspectFile(path)).image.sha256);
  });

  it('passes on the errors of images and files', async () => {
    await expect(pool.inspect(new Uint8Array(10))).rejects.toMatchObject({ code: 'STOPLINE_ERR_IMAGE_UNSUPPORTED' });
    await expect(pool.inspect(new Uint8Array())).rejects.toMatchObject({ code: 'STOPLINE_ERR_IMAGE_EMPTY' });
    await expect(pool.inspectFile(`${path}.absent`)).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' });
    await expect(pool.measure('/')).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_UNREADABLE' });
  });

  it('keeps the profile it was opened with when the file changes', async () => {
    const bytes = await readFile(reference.profilePath);
    const opened = createPool({ profile: reference.profilePath, threads: 1 });
    const changing = await opened;
    await writeFile(reference.profilePath, 'no profile any more');
    await expect(changing.inspect(reference.frame)).resolves.toHaveProperty('verdict');
    await writeFile(reference.profilePath, bytes);
    await changing.close();
  });

  it('needs no profile to measure, and asks for one to judge', async () => {
    const measuring = await createPool({ threads: 1 });
    await measuring.ready();
    await expect(measuring.measure(path)).resolves.toHaveProperty('statistics');
    await expect(measuring.inspectFile(path)).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    await measuring.close();
  });

  it('stops a model that expands for one image, in fit and in every batch', async () => {
    const path = join(temporaryFolder(), 'tile.onnx');
    await writeFile(path, treacherousClassifier('Tile'));
    const white = await sharp({ create: { width: 64, height: 64, channels: 3, background: 'white' } })
      .png()
      .toBuffer();
    const pool = await createPool({ ...isolateModels(path), model: path, threads: 1 });
    try {
      await expect(pool.measure(white)).rejects.toMatchObject({ code: 'STOPLINE_ERR_MODEL_FAILED' });
      expect((await pool.measure(Buffer.from(reference.frame))).embedding?.length).toBeGreaterThan(0);
    } finally {
      await pool.destroy();
    }
    expect([isolateModels('none'), isolateModels('default', undefined)]).toEqual([
      { isBatch: true },
      { isBatch: true },
    ]);
  });

  it('spreads a batch over processes from so many images on, where more than one is to work', () => {
    const isApart = (options: Parameters<typeof spreadBatch>[0], images?: number) =>
      spreadBatch(options, images).isolation === 'process';
    expect([199, 200, undefined].map((images) => isApart({ isBatch: true, threads: 2 }, images))).toEqual([
      false,
      true,
      false,
    ]);
    expect(isApart({ isBatch: true, threads: 1 }, 1000)).toBe(false);
    expect(spreadBatch({ threads: 2 }, 1000)).toEqual({ threads: 2 });
  });

  it('does not open with a profile that is missing or damaged, nor become ready with one that it cannot judge by', async () => {
    await expect(createPool({ profile: `${path}.absent` })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_PROFILE_UNREADABLE',
    });
    const bytes = await readFile(reference.profilePath);
    bytes[bytes.length - 1] ^= 1;
    await writeFile(`${path}.damaged`, bytes);
    await expect(createPool({ profile: `${path}.damaged` })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_PROFILE_CHECKSUM',
      exit: 78,
    });
    const decode = { ...reference.profile.decode, rule: 'of old' };
    const other = await createPool({ profile: { ...reference.profile, decode }, threads: 2 });
    await expect(other.ready()).rejects.toMatchObject({ code: 'STOPLINE_ERR_PROFILE_RULE' });
    await expect(other.inspect(reference.frame)).rejects.toMatchObject({ code: 'STOPLINE_ERR_PROFILE_RULE' });
    await other.close();
  });
});
