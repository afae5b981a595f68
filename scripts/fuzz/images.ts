/**
 * Mutated images end to end. Each must get exactly one verdict or one coded refusal of the image, within the time limit; and
 * over HTTP, on the command line and at the gate the same as in this process. What the core reads of a JPEG has the pixels of sharp.
 *
 *     npm run fuzz -- --files 1000000 --seed 7
 *     npm run fuzz -- --files 3000 --ways http,cli,gate
 *     npm run fuzz -- --files 1000000 --seed 7 --from 250000        goes on where an earlier run was
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { loadConfig } from '../../src/config.ts';
import type { Core } from '../../src/core/core.ts';
import { loadNative, nativeVariants } from '../../src/core/native.ts';
import { loadWasm } from '../../src/core/wasm.ts';
import { asStoplineError } from '../../src/errors.ts';
import { fit } from '../../src/fit/fit.ts';
import { createGate } from '../../src/gate/gate.ts';
import { saveProfile } from '../../src/profile/file.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { serve } from '../../src/server/serve.ts';
import { readArguments } from '../arguments.ts';
import { mutatedImage, seedImages } from './mutate.ts';
import { comparePixels } from './pixels.ts';

const main = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));

export type Way = 'http' | 'cli' | 'gate';

export interface Fuzzing {
  files: number;
  /** How many were judged, and refused with each code. */
  outcomes: Record<string, number>;
  /** JPEGs that the core read. */
  read: number;
  slowestMs: number;
  /** What went wrong, with the number of the file; at most twenty. */
  faults: string[];
}

/** Longest time that one small file may take. Of the clock it gets ten times that, because a busy machine is no fault of it. */
const limitMs = 2000;

/** A verdict with its p-value, or the code of a refusal: what must not depend on the way. */
type Outcome = string;
export const rightOutcome = /^(pass|warn|block) [\d.e-]+$|^STOPLINE_ERR_IMAGE_/;

const judged = ({ verdict, pValue }: { verdict: string; pValue: number }): Outcome => `${verdict} ${pValue}`;

/** Every build of the native core, where there is one. */
function findNative(): Core[] {
  try {
    return nativeVariants().map((simd) => loadNative(simd));
  } catch {
    return [];
  }
}

/** Makes the Profile that files are judged by, in a folder of the caller. */
export async function fuzzProfile(folder: string): Promise<string> {
  const size = { width: 96, height: 64 };
  const images = join(folder, 'reference');
  mkdirSync(images);
  for (let i = 0; i < 60; i++) writeFileSync(join(images, `${i}.jpg`), await encodeFrame(renderFrame(i, size)));
  const { profile } = await fit({ paths: [images], simulations: 0, power: 0, model: 'none', threads: 1 });
  const path = join(folder, 'fuzz.stopline');
  await saveProfile(profile, path);
  return path;
}

export async function fuzzImages(options: {
  files: number;
  seed: number;
  from?: number;
  profile: string;
  ways?: readonly Way[];
  /** Called after every thousand files. */
  onProgress?(done: number, fuzzing: Fuzzing): void;
}): Promise<Fuzzing> {
  const { files, seed, from = 0, profile, ways = [], onProgress } = options;
  const seeds = await seedImages();
  const inspector = await createInspector({ profile });
  const cores = [...findNative(), loadWasm()];
  const fuzzing: Fuzzing = { files: 0, outcomes: {}, read: 0, slowestMs: 0, faults: [] };
  const fault = (index: number, text: string) => {
    if (fuzzing.faults.length < 20) fuzzing.faults.push(`file ${index} of seed ${seed}: ${text}`);
  };
  const others = await Promise.all(ways.map((way) => openWay(way, profile)));
  const expected: Outcome[] = [];
  const images: Buffer[] = [];
  try {
    for (let index = from; index < from + files; index++) {
      const bytes = mutatedImage(seeds, seed, index);
      const startedAt = performance.now();
      const usedBefore = process.cpuUsage();
      const outcome = await inspector.inspect(bytes).then(judged, (error) => asStoplineError(error).code);
      const used = process.cpuUsage(usedBefore);
      const ms = Math.max((used.user + used.system) / 1000, (performance.now() - startedAt) / 10);
      fuzzing.files += 1;
      fuzzing.slowestMs = Math.max(fuzzing.slowestMs, ms);
      const kind = outcome.split(' ')[0];
      fuzzing.outcomes[kind] = (fuzzing.outcomes[kind] ?? 0) + 1;
      if (!rightOutcome.test(outcome)) fault(index, `gave ${outcome}`);
      if (ms > limitMs) fault(index, `took ${Math.round(ms)} ms`);
      const compared = await comparePixels(bytes, cores);
      if (compared.isRead) fuzzing.read += 1;
      if (compared.fault !== undefined) fault(index, compared.fault);
      if (ways.length > 0) {
        expected.push(outcome);
        images.push(bytes);
      }
      if (fuzzing.files % 1000 === 0) onProgress?.(index + 1, fuzzing);
    }
    for (const { way, judgeAll } of others) {
      (await judgeAll(images)).forEach((outcome, i) => {
        if (outcome !== expected[i]) fault(from + i, `gave ${expected[i]}, but ${outcome} by ${way}`);
      });
    }
  } finally {
    for (const { close } of others) await close();
  }
  return fuzzing;
}

/** A way that images are judged, open until it is closed. */
export interface Open {
  way: Way;
  judgeAll(images: readonly Buffer[]): Promise<Outcome[]>;
  close(): Promise<unknown>;
}

export async function openWay(way: Way, profile: string): Promise<Open> {
  switch (way) {
    case 'http': {
      // With a time limit that only a file that hangs can meet, however busy the machine is.
      const flags = { profile, port: 0, logLevel: 'silent', maxImageMs: 30_000, maxWaitMs: 60_000 } as const;
      const service = await serve(loadConfig({ env: {}, flags }).config);
      const ask = async (bytes: Buffer) => {
        const headers = { 'content-type': 'image/jpeg' };
        const response = await fetch(`${service.url}/inspect`, {
          method: 'POST',
          headers,
          body: new Uint8Array(bytes),
        });
        const answer = (await response.json()) as Verdict & { error: { code: string } };
        if (response.status >= 500) return `status ${response.status}`; // the service is to blame, whatever the code
        return response.status === 200 ? judged(answer) : answer.error.code;
      };
      return { way, judgeAll: (images) => inTurn(images, ask), close: () => service.close() };
    }
    case 'gate': {
      const gate = await createGate({
        profile,
        mode: 'enforce',
        onError: 'closed',
        threads: 2,
        verdictTimeoutMs: 60_000,
      });
      const ask = async (bytes: Buffer) => {
        const result = await gate.guard(bytes, () => 'classified');
        if (result.outcome === 'forwarded') return judged(result.verdict);
        if (result.outcome !== 'refused') return result.outcome;
        return result.verdict ? judged(result.verdict) : result.error.code;
      };
      return { way, judgeAll: (images) => inTurn(images, ask), close: () => gate.close() };
    }
    case 'cli': {
      const folder = mkdtempSync(join(tmpdir(), 'stopline-fuzz-'));
      const judgeAll = async (images: readonly Buffer[]) => {
        // Everything is tried whatever its name: one name for all.
        images.forEach((bytes, i) => void writeFileSync(join(folder, `${i}.jpg`), bytes));
        const rows = `${folder}.jsonl`;
        await promisify(execFile)(process.execPath, [main, 'score', folder, '--profile', profile, '--out', rows]);
        const outcomes: Outcome[] = [];
        for (const line of readFileSync(rows, 'utf8').trim().split('\n')) {
          const row = JSON.parse(line);
          outcomes[Number(/(\d+)\.jpg$/.exec(row.path)?.[1])] = row.error ? row.error.code : judged(row);
        }
        rmSync(rows);
        return outcomes;
      };
      return { way, judgeAll, close: async () => rmSync(folder, { recursive: true }) };
    }
  }
}

/** A few at a time: as many as are worked on at once. */
async function inTurn(images: readonly Buffer[], ask: (bytes: Buffer) => Promise<Outcome>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0;
  const lane = async () => {
    while (next < images.length) {
      const i = next++;
      outcomes[i] = await ask(images[i]);
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return outcomes;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = readArguments({
    command: 'npm run fuzz --',
    about: 'Mutates images and judges them every way: one verdict or one coded refusal, the same everywhere.',
    options: {
      files: { default: 20_000, says: 'images' },
      seed: { default: 1, says: 'of the mutations' },
      from: { default: 0, says: 'the first one, to go on with a run' },
      ways: { default: '', says: 'beside this process: http, cli and gate, with commas between them' },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'stopline-fuzz-'));
  try {
    const startedAt = performance.now();
    const fuzzing = await fuzzImages({
      files: values.files,
      seed: values.seed,
      from: values.from,
      profile: await fuzzProfile(folder),
      ways: values.ways.split(',').filter(Boolean) as Way[],
      onProgress: (done, { faults }) => {
        if (done % 10_000 === 0)
          console.log(
            `seed ${values.seed} at ${done}: ${faults.length} faults, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB`,
          );
      },
    });
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    for (const text of fuzzing.faults) console.log(text);
    console.log(JSON.stringify(fuzzing.outcomes), `${fuzzing.read} JPEGs read by the core`);
    const isGood = fuzzing.faults.length === 0 && fuzzing.files === values.files;
    console.log(
      `${isGood ? 'pass' : 'FAIL'} fuzz ${fuzzing.files} files from ${values.from} in ${seconds} s, seed ${values.seed}, slowest ${Math.round(fuzzing.slowestMs)} ms`,
    );
    process.exitCode = isGood ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
