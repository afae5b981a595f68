import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, getPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { limitNode } from '../../../src/core/confine.ts';
import { readCpuList } from '../../../src/run/workers/affinity.ts';
import { shortArray } from '../../../src/run/workers/arrays.ts';
import { createWorkerLine, type WorkerLine } from '../../../src/run/workers/line.ts';
import type { ProbeTask } from '../../fixtures/pool.program.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';

const resolvePath = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const filename = resolvePath('../../fixtures/pool.program.ts');
const lines: WorkerLine<ProbeTask>[] = [];

function start(
  threads: number,
  {
    limitMs = 60_000,
    crashLimit,
    file = filename,
    isBehind,
  }: { limitMs?: number; crashLimit?: number; file?: string; isBehind?: boolean } = {},
): WorkerLine<ProbeTask> {
  const line = createWorkerLine<ProbeTask>({
    filename: file,
    workerData: { colour: 'red' },
    threads,
    processes: { limitMs, crashLimit, isBehind, warmUp: { kind: 'echo', value: 'warm' } },
  });
  lines.push(line);
  return line;
}

afterEach(async () => {
  for (const line of lines.splice(0)) await line.destroy();
});

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a fault in native code', () => {
  it('in a thread ends the process: why a service has processes', async () => {
    const program = `
      const { createWorkerLine } = await import(${JSON.stringify(resolvePath('../../../src/run/workers/line.ts'))});
      const line = createWorkerLine({ filename: ${JSON.stringify(filename)}, threads: 2 });
      await line.run({ kind: 'echo', value: 1 });
      await line.run({ kind: 'segfault' }).catch(() => undefined);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
    expect(await once(child, 'exit')).toEqual([null, 'SIGSEGV']);
  });

  it('in a process costs the one task, and the process is replaced', async () => {
    const line = start(2);
    await expect(line.run({ kind: 'echo', value: 5 })).resolves.toEqual({ task: 5, workerData: { colour: 'red' } });
    const outcomes = await Promise.allSettled([
      line.run({ kind: 'segfault' }),
      ...[1, 2, 3, 4].map((value) => line.run<{ task: number }>({ kind: 'echo', value })),
    ]);
    expect(outcomes[0]).toMatchObject({ reason: { code: 'STOPLINE_ERR_IMAGE_CRASHED', status: 422 } });
    expect(outcomes.slice(1).map((outcome) => outcome.status)).toEqual(Array(4).fill('fulfilled'));
    expect([line.crashes, line.isFailing]).toEqual([1, false]);
    const pids = () => Promise.all([line.run<number>({ kind: 'pid' }), line.run<number>({ kind: 'pid' })]);
    await expect.poll(async () => new Set([...(await pids()), process.pid]).size).toBe(3);
  });

  it('loses nothing of arrays, of which long ones cross beside the message', async () => {
    const line = start(1);
    const long = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
    const around = long(3_000_005);
    const value = {
      one: long(shortArray),
      among: { others: { view: around.subarray(3), short: long(shortArray - 1) }, text: 'x', nothing: null },
      whole: Buffer.from(long(2_000_000)),
    };
    for (const asked of [value, long(1_000_007), value]) {
      const { task } = await line.run<{ task: unknown }>({ kind: 'echo', value: asked });
      // Far cheaper than comparing millions of numbers one by one.
      expect(isDeepStrictEqual(structuredClone(task), structuredClone(asked))).toBe(true);
    }
  });

  it('in a process leaves its work to one that was ready before', async () => {
    const line = start(1, { crashLimit: 100 });
    // The spare one starts when the first is ready; without one, whoever answers has started after the crash.
    const wasReady = async () => {
      const crashedAt = Date.now();
      await line.run({ kind: 'segfault' }).catch(() => undefined);
      return (await line.run<number>({ kind: 'startedAt' })) < crashedAt;
    };
    await expect.poll(wasReady, { interval: 1000 }).toBe(true);
  });

  it('again and again holds new processes back, and they come all the same; it fails only while none is ready', async () => {
    const line = start(2, { crashLimit: 3 });
    let wasFailing = false;
    for (let i = 0; i < 8; i++) {
      await line.run({ kind: 'exit' }).catch(() => undefined);
      if (i < 2) expect(line.isFailing).toBe(false);
      wasFailing ||= line.isFailing;
    }
    expect([line.crashes, wasFailing]).toEqual([8, true]);
    await expect(line.run({ kind: 'echo', value: 1 })).resolves.toMatchObject({ task: 1 });
    expect(line.isFailing).toBe(false);
  });
});

describe('a process', () => {
  it('is given other data while the others go on, also where one ends meanwhile', async () => {
    const line = start(2);
    const colour = async () => {
      const { workerData } = await line.run<{ workerData: { colour: string } }>({ kind: 'echo', value: 1 });
      return workerData.colour;
    };
    expect(await colour()).toBe('red');
    const seen: string[] = [];
    let isOver = false;
    const asking = (async () => {
      while (!isOver) seen.push(await colour());
    })();
    const crash = line.run({ kind: 'segfault' }).catch(() => undefined);
    await line.renew?.({ colour: 'green' }, (answer) =>
      expect(answer).toEqual({ value: { task: 'warm', workerData: { colour: 'green' } } }),
    );
    isOver = true;
    await Promise.all([asking, crash]);
    expect(seen.length).toBeGreaterThan(0);
    expect([...new Set(seen)].filter((name) => name !== 'red' && name !== 'green')).toEqual([]);
    // Those at work, the spare one, and those that replace any.
    for (let i = 0; i < 4; i++) {
      expect(await Promise.all([colour(), colour()])).toEqual(['green', 'green']);
      await line.run({ kind: 'exit' }).catch(() => undefined);
    }
  });

  it('keeps its data where the other is refused', async () => {
    const line = start(2);
    const refuse = () => {
      throw new RangeError('not this one');
    };
    await expect(line.renew?.({ colour: 'green' }, refuse)).rejects.toThrow('not this one');
    for (let i = 0; i < 3; i++) {
      const both = await Promise.all([line.run({ kind: 'echo', value: 1 }), line.run({ kind: 'echo', value: 1 })]);
      expect(both).toEqual(Array(2).fill({ task: 1, workerData: { colour: 'red' } }));
      await line.run({ kind: 'exit' }).catch(() => undefined);
    }
  });

  it('that works on a task for too long is ended', async () => {
    const line = start(1, { limitMs: 2000 });
    await line.run({ kind: 'echo', value: 0 });
    const startedAt = performance.now();
    await expect(line.run({ kind: 'hang' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_IMAGE_TOO_COMPLEX',
      message: 'Expected an image that is judged within 2000 ms; it took longer.',
    });
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1990);
    expect([line.crashes, line.slow]).toEqual([0, 1]);
    await expect(line.run({ kind: 'echo', value: 1 })).resolves.toMatchObject({ task: 1 });
  });

  it.skipIf(process.platform !== 'linux')('has a bounded memory', async () => {
    const line = start(1);
    await expect(line.run({ kind: 'eat', bytes: 400e6 })).resolves.toBe(400e6);
    await expect(line.run({ kind: 'eat', bytes: 1.2e9 })).rejects.toMatchObject({ status: expect.any(Number) });
    await expect(line.run({ kind: 'echo', value: 1 })).resolves.toMatchObject({ task: 1 });
  });

  it('that cannot start is reported, instead of waited for for ever', async () => {
    const line = start(2, { file: resolvePath('./absent.worker.ts') });
    await expect(line.run({ kind: 'echo', value: 1 })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_INTERNAL',
      message: expect.stringContaining('The workers cannot start'),
    });
    await expect(line.run({ kind: 'echo', value: 2 })).rejects.toMatchObject({ code: 'STOPLINE_ERR_INTERNAL' });
  });

  it('comes a little behind a service, and not so far that it is late on a busy machine', async () => {
    const line = start(1, { isBehind: true });
    expect(await line.run<number>({ kind: 'priority' })).toBe(Math.max(getPriority(), 2));
  });

  it('of a batch, which has no answers to give first, has the priority of whoever began it', async () => {
    expect(await start(1).run<number>({ kind: 'priority' })).toBe(getPriority());
  });

  it('starts where the service has a lower priority than workers take, which they cannot raise', () => {
    const entry = resolvePath('../../../src/run/workers/process.entry.ts');
    const program = [entry, resolvePath('../../../src/run/worker.ts'), 'behind'];
    const [command, args] = limitNode(program, { maxBytes: 2 ** 31 });
    const { status, stderr } = spawnSync('nice', ['-n', '10', command, ...args], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('has answered in time where the service was held up itself, and only reads the answer late', async () => {
    const line = start(1, { limitMs: 500 });
    await line.run({ kind: 'echo', value: 0 });
    const answers = [1, 2].map((value) => line.run({ kind: 'echo', value }));
    await new Promise(setImmediate); // the first is sent
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    expect(await Promise.all(answers)).toMatchObject([{ task: 1 }, { task: 2 }]);
    expect([line.slow, line.crashes]).toEqual([0, 0]);
  });

  it('of a batch has its next task at hand, and shares with the others alike', async () => {
    const line = createWorkerLine<ProbeTask>({ filename, threads: 2, ahead: 1, processes: {} });
    lines.push(line);
    const askAll = () => Promise.all(Array.from({ length: 4 }, () => line.run<number>({ kind: 'pid' })));
    // Until both have started one may be given all.
    await expect.poll(async () => new Set(await askAll()).size).toBe(2);
    const [first, second, third, fourth] = await askAll();
    expect([third, fourth]).toEqual([first, second]);
    const crashed = [line.run({ kind: 'segfault' }), line.run({ kind: 'pid' }), line.run({ kind: 'pid' })];
    const outcomes = await Promise.allSettled(crashed);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
    expect(typeof (await line.run({ kind: 'pid' }))).toBe('number');
  });

  it('keeps to a processor of its own where there is one for each', async (context) => {
    const processors = availableParallelism();
    const isKnown = process.platform === 'linux' && spawnSync('taskset', ['-p', String(process.pid)]).status === 0;
    if (!isKnown || processors < 2) context.skip('needs Linux, taskset (util-linux) and two processors');
    for (const [threads, own] of [
      [processors, 1],
      [1, processors],
    ]) {
      const line = createWorkerLine<ProbeTask>({ filename, threads, ahead: 1, processes: { isPinned: true } });
      lines.push(line);
      const askAll = () =>
        Promise.all(Array.from({ length: 2 * threads }, () => line.run<string>({ kind: 'processors' })));
      await expect.poll(async () => new Set(await askAll()).size).toBe(threads);
      expect((await askAll()).map((list) => readCpuList(list).length)).toEqual(Array(2 * threads).fill(own));
    }
  });

  it('ends with its line, and with its parent however that ends', async () => {
    const line = start(1);
    const pid = await line.run<number>({ kind: 'pid' });
    await line.destroy();
    expect(isAlive(pid)).toBe(false);

    const program = `
      const { createWorkerLine } = await import(${JSON.stringify(resolvePath('../../../src/run/workers/line.ts'))});
      const line = createWorkerLine({ filename: ${JSON.stringify(filename)}, threads: 1, processes: { limitMs: 1000 } });
      console.log(await line.run({ kind: 'pid' }));`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [text] = await once(parent.stdout, 'data');
    expect(isAlive(Number(text))).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(Number(text))).toBe(false);
  });
});

describe('a service with processes', () => {
  let reference: Reference;
  let child: ChildProcess | undefined;
  beforeAll(async () => {
    reference = await fitReference();
  });
  afterAll(() => {
    child?.kill('SIGKILL');
    return reference.remove();
  });

  it('answers 422 for the image that crashes or hangs a decoder, and judges all others', async () => {
    child = fork(resolvePath('../../fixtures/serve.program.ts'), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: {
        PATH: process.env.PATH,
        STOPLINE_PROFILE: reference.profilePath,
        STOPLINE_PORT: '0',
        STOPLINE_THREADS: '2',
        STOPLINE_MAX_IMAGE_MS: '6000',
        NODE_OPTIONS: `--import=${resolvePath('../../fixtures/crash.hook.ts')}`,
      },
    });
    const [{ url }] = (await once(child, 'message')) as [{ url: string }];
    const post = async (end: string) => {
      const body = Buffer.concat([reference.frame, Buffer.from(end)]);
      const response = await fetch(`${url}/inspect`, {
        method: 'POST',
        headers: { 'content-type': 'image/jpeg' },
        body,
      });
      const { error } = (await response.json()) as { error?: { code: string } };
      return `${response.status} ${error?.code ?? 'judged'}`;
    };
    const answers = await Promise.all(['SEGFAULT', '', 'HANGHERE', '', '', 'SEGFAULT', ''].map(post));
    expect(answers).toEqual([
      '422 STOPLINE_ERR_IMAGE_CRASHED',
      '200 judged',
      '422 STOPLINE_ERR_IMAGE_TOO_COMPLEX',
      '200 judged',
      '200 judged',
      '422 STOPLINE_ERR_IMAGE_CRASHED',
      '200 judged',
    ]);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^stopline_pool_crashes_total 2$/m);
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
