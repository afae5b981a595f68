/**
 * Kills a run of `score` with SIGKILL at random moments, goes on with --resume, and compares what comes out with the file of
 * a run that nobody disturbed.
 *
 *     npm run faults:batch -- --kills 100 --images 500
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { fit } from '../../src/fit/fit.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { saveProfile } from '../../src/profile/file.ts';
import { readArguments } from '../arguments.ts';

const main = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));

export interface KillReport {
  kills: number;
  /** Whole files that were compared with the undisturbed one. */
  files: number;
  /** How many of those are not equal byte for byte. */
  different: number;
  /** Kills after rows were seen to be saved. */
  atWork: number;
  /** Kills while the rows were being written as the final file, and right after it had its name. */
  atTheEnd: number;
}

/** Distinct small frames, few of them broken, and a Profile of others. */
export async function renderCamera(folder: string, images: number): Promise<{ incoming: string; profile: string }> {
  const size = { width: 160, height: 90 };
  const incoming = join(folder, 'incoming');
  const reference = join(folder, 'reference');
  for (const path of [incoming, reference]) mkdirSync(path);
  for (let i = 0; i < 60; i++) writeFileSync(join(reference, `${i}.jpg`), await encodeFrame(renderFrame(i, size)));
  // Copies under other names cost as much to judge as distinct frames, and a hundred are rendered sooner than thousands.
  const bytes: Uint8Array[] = [];
  for (let i = 0; i < Math.min(images, 100); i++) bytes.push(await encodeFrame(renderFrame(1000 + i, size)));
  for (let i = 0; i < images; i++) {
    const whole = bytes[i % bytes.length];
    writeFileSync(join(incoming, `frame${i}.jpg`), i % 17 === 3 ? whole.subarray(0, 1200) : whole);
  }
  const { profile } = await fit({ paths: [reference], simulations: 0, power: 0, model: 'none' });
  await saveProfile(profile, join(folder, 'camera.stopline'));
  return { incoming, profile: join(folder, 'camera.stopline') };
}

/** @param options.onProgress called after every run */
export async function killAndResume(options: {
  kills: number;
  images: number;
  seed: number;
  ending?: string;
  onProgress?(report: KillReport): void;
}): Promise<KillReport> {
  const { kills, images, seed, ending = 'jsonl', onProgress } = options;
  const folder = mkdtempSync(join(tmpdir(), 'stopline-kill-'));
  const draws = new Random(seed);
  const random = () => draws.uniform();
  try {
    const { incoming, profile } = await renderCamera(folder, images);
    const start = (out: string) =>
      spawn(process.execPath, [main, 'score', incoming, '--profile', profile, '--out', out, '--resume', '--json'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    const end = (child: ReturnType<typeof start>) => {
      let stderr = '';
      child.stderr.on('data', (text) => {
        stderr += text;
      });
      return new Promise<void>((resolve, reject) =>
        child.on('close', (code, signal) =>
          code === 0 || signal === 'SIGKILL' ? resolve() : reject(new Error(`ended with ${code ?? signal}: ${stderr}`)),
        ),
      );
    };
    const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
    const undisturbed = join(folder, `undisturbed.${ending}`);
    // Kills come while there is something to kill: later ones would each cost a run, and kill nothing.
    const startedAt = performance.now();
    let workFrom = startedAt;
    const watched = watch(folder, (_, name) => {
      if (workFrom === startedAt && name === `${basename(undisturbed)}.job-wal`) workFrom = performance.now();
    });
    await end(start(undisturbed));
    watched.close();
    const [startMs, workMs] = [workFrom - startedAt, performance.now() - workFrom];
    const expected = digest(undisturbed);

    const out = join(folder, `killed.${ending}`);
    const report: KillReport = { kills: 0, files: 0, different: 0, atWork: 0, atTheEnd: 0 };
    for (;;) {
      const isLast = report.kills >= kills;
      const child = start(out);
      const ended = end(child);
      // Half of them come while rows are saved, however long the start takes; some while the rows become the final file.
      const draw = random();
      const awaited = draw < 0.5 ? `${out}.job-wal` : draw < 0.65 ? `${out}.partial` : draw < 0.8 ? out : undefined;
      // A job that was killed before has less left to do.
      const latestMs = awaited === undefined ? startMs + workMs / 2 : awaited === `${out}.job-wal` ? workMs / 2 : 0;
      const delay = random() * latestMs;
      let timer: NodeJS.Timeout | undefined;
      const kill = () => {
        if (child.exitCode !== null || child.signalCode !== null || !child.kill('SIGKILL')) return;
        report.kills++;
        if (awaited) report[awaited === `${out}.job-wal` ? 'atWork' : 'atTheEnd']++;
      };
      const watcher = watch(folder, (_, name) => {
        if (isLast || !awaited || timer || name !== basename(awaited) || !existsSync(awaited)) return;
        if (delay === 0) kill();
        else timer = setTimeout(kill, delay);
      });
      if (!isLast && !awaited) timer = setTimeout(kill, delay);
      await ended;
      clearTimeout(timer);
      watcher.close();
      if (existsSync(out)) {
        report.files++;
        if (digest(out) !== expected) report.different++;
      }
      onProgress?.(report);
      const isWhole = existsSync(out) && !existsSync(`${out}.job`);
      if (isWhole) {
        rmSync(out);
        const left = readdirSync(folder).filter((name) => name.startsWith('killed'));
        if (left.length > 0) throw new Error(`expected nothing but the output but there is ${left.join(', ')}`);
        if (isLast) return report;
      } else if (isLast) throw new Error('the last run was not killed but is not whole');
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = readArguments({
    command: 'npm run faults:batch --',
    about: 'Kills a batch again and again: its output must be that of a run that nobody killed.',
    options: {
      kills: { default: 100, says: 'times' },
      images: { default: 500, says: 'in the batch' },
      seed: { default: 1, says: 'of when it is killed' },
      format: { default: 'jsonl', says: 'of the output' },
    },
  });
  const { kills, images, seed } = values;
  const startedAt = performance.now();
  const seconds = () => Math.round((performance.now() - startedAt) / 1000);
  let told = 0;
  const onProgress = ({ kills: done, files, different }: KillReport) => {
    if (done < told + 10) return;
    told = done;
    console.log(`${done} of ${kills} kills after ${seconds()} s: ${files} whole files, ${different} different`);
  };
  const report = await killAndResume({ kills, images, seed, ending: values.format, onProgress });
  const { files, different, atWork, atTheEnd } = report;
  const isGood = different === 0 && files > 0;
  console.log(
    `${isGood ? 'pass' : 'FAIL'} batch: ${report.kills} kills in ${seconds()} s, ${atWork} while rows were saved, ${atTheEnd} while they became the file; ${different} of ${files} files differ from that of a run that nobody disturbed`,
  );
  if (!isGood) process.exitCode = 1;
}
