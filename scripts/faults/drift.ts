/** kill -9 for monitors: `npm run faults:drift` kills a hundred times, then measures ten thousand sources. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { fit } from '../../src/fit/fit.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { saveProfile } from '../../src/profile/file.ts';
import { readArguments } from '../arguments.ts';

const program = fileURLToPath(new URL('./drift.program.ts', import.meta.url));

type Message = { restored?: number[]; observed?: number; at?: number };

export interface KillResult {
  kills: number;
  /** Images that were observed, over all runs. */
  images: number;
  /** How far the state of a source ever was behind what had been observed, in milliseconds before the kill. */
  worstLossMs: number;
  /** Sources whose state did not load, over all runs. */
  lost: number;
}

/**
 * Runs monitors under load, kills them at random moments, starts them again on the same folder, and compares what they
 * know with what they had been told.
 */
export async function killMonitors(options: {
  profilePath: string;
  kills: number;
  seed: number;
  sources?: number;
  perSecond?: number;
}): Promise<KillResult> {
  const { profilePath, kills, seed, sources = 100, perSecond = 1000 } = options;
  const folder = mkdtempSync(join(tmpdir(), 'stopline-kill-'));
  const random = new Random(seed);
  let child: ChildProcess | undefined;
  const result: KillResult = { kills, images: 0, worstLossMs: 0, lost: 0 };
  /** What the run before left: images of each source at its start, what was observed when, and when it was killed. */
  let past: { base: number[]; log: { observed: number; at: number }[]; killedAt: number } | undefined;
  try {
    for (let run = 0; run <= kills; run++) {
      child = fork(program, [profilePath, folder, String(sources), String(perSecond)], { stdio: 'inherit' });
      const log: { observed: number; at: number }[] = [];
      const restored = await new Promise<number[]>((resolve, reject) => {
        child?.on('message', ({ restored: counts, observed, at }: Message) => {
          if (counts) resolve(counts);
          else if (observed !== undefined && at !== undefined) log.push({ observed, at });
        });
        child?.once('exit', (code) => reject(new Error(`the program ended with ${code} in run ${run}`)));
      });
      if (past) compare(past, restored, result);
      if (run === kills) break;
      await sleep(300 + 1200 * random.uniform());
      const killedAt = Date.now();
      child.kill('SIGKILL');
      await once(child, 'close');
      past = { base: restored, log, killedAt };
      result.images += log.at(-1)?.observed ?? 0;
    }
  } finally {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
  return result;
}

function compare(
  { base, log, killedAt }: { base: number[]; log: { observed: number; at: number }[]; killedAt: number },
  restored: number[],
  result: KillResult,
): void {
  const sources = base.length;
  for (const [source, images] of restored.entries()) {
    if (images === 0 && base[source] > 0) result.lost += 1;
    const known = images - base[source];
    // The first moment at which the source had got more images than are known now: that one, and all after it, is lost.
    const missed = log.find(({ observed }) => Math.floor((observed - source + sources - 1) / sources) > known);
    if (missed) result.worstLossMs = Math.max(result.worstLossMs, killedAt - missed.at);
  }
}

/** RSS and time of one observation with so many sources, each with a few images. */
export async function measureSources(profilePath: string, sources: number, rounds: number) {
  const folder = mkdtempSync(join(tmpdir(), 'stopline-sources-'));
  try {
    const child = fork(program, [profilePath, folder, String(sources), '0', String(rounds)], { stdio: 'inherit' });
    const [measured] = await once(child, 'message');
    await once(child, 'close');
    return measured as { rssMiB: number; grownMiB: number; observeMicroseconds: number };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fitSmall(folder: string): Promise<string> {
  for (let index = 0; index < 120; index++) {
    const frame = renderFrame(index, { width: 320, height: 180 });
    writeFileSync(join(folder, `${index}.jpg`), await encodeFrame(frame));
  }
  const { profile } = await fit({ simulations: 0, power: 0, model: 'none', paths: [folder], groupBy: 'none' });
  const path = join(folder, 'small.stopline');
  await saveProfile(profile, path);
  return path;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = readArguments({
    command: 'npm run faults:drift --',
    about: 'Kills a process that watches sources: it goes on where it was, and 10,000 sources fit.',
    options: { kills: { default: 100, says: 'times' } },
  });
  const { kills } = values;
  const folder = mkdtempSync(join(tmpdir(), 'stopline-faults-'));
  try {
    const profilePath = await fitSmall(folder);
    // In rounds, so that one sees how far it is.
    for (let done = 0; done < kills; done += 10) {
      const killed = await killMonitors({ profilePath, kills: Math.min(10, kills - done), seed: 1 + done });
      console.log(JSON.stringify(killed));
      if (killed.lost > 0 || killed.worstLossMs > 1000) process.exitCode = 1;
    }
    const measured = await measureSources(profilePath, 10_000, 3);
    console.log(JSON.stringify({ sources: 10_000, ...measured }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
