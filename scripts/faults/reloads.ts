/** A Profile that is replaced again and again while images are judged; for the tests and for `npm run faults -- reload`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { loadConfig } from '../../src/config.ts';
import { fit } from '../../src/fit/fit.ts';
import { encodeProfile } from '../../src/profile/file.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { serve } from '../../src/server/serve.ts';

const size = { width: 160, height: 90 };

async function fitFrames(first: number) {
  const folder = await mkdtemp(join(tmpdir(), 'stopline-reload-'));
  for (let i = 0; i < 60; i++)
    await writeFile(join(folder, `${i}.jpg`), await encodeFrame(renderFrame(first + i, size)));
  const plain = { simulations: 0, power: 0, model: 'none', groupBy: 'none', threads: 1 };
  const { profile } = await fit({ ...plain, paths: [folder], name: `from ${first}` });
  await rm(folder, { recursive: true });
  return profile;
}

export interface ReloadReport {
  reloads: number;
  /** Reloads of a corrupt file; all have to be refused. */
  corrupt: number;
  /** Reloads that ended otherwise than they had to. */
  wrongReloads: string[];
  requests: number;
  /** Answers that are no verdict, or not the one of exactly one of the Profiles. */
  wrongAnswers: string[];
  /** Resident memory after a tenth of the reloads and at the end, in MiB. */
  memory: [early: number, late: number];
  seconds: number;
}

/** Replaces the Profile `reloads` times, one in `corruptEvery` corrupt, while `rate` images a second are judged. */
export async function reloadUnderLoad(options: {
  reloads: number;
  rate: number;
  corruptEvery: number;
  threads: number;
}): Promise<ReloadReport> {
  const { reloads, rate, corruptEvery, threads } = options;
  const started = performance.now();
  const profiles = [await fitFrames(0), await fitFrames(60)];
  const image = Buffer.from(await encodeFrame(renderFrame(1000, size)));
  const expected = new Map<string, string>();
  const makeKey = ({ verdict, pValue, score }: Verdict) => `${verdict} ${pValue} ${score}`;
  for (const profile of profiles) {
    const inspector = await createInspector({ profile });
    expected.set(profile.sha256, makeKey(await inspector.inspect(image)));
  }
  if (new Set(expected.values()).size < 2) throw new Error('Expected Profiles that judge the image differently.');
  const folder = await mkdtemp(join(tmpdir(), 'stopline-reload-'));
  const path = join(folder, 'camera.stopline');
  await writeFile(path, encodeProfile(profiles[0]));
  const flags = { profile: path, port: 0, threads, logLevel: 'silent', maxWaitMs: 60_000, watchProfile: false };
  const service = await serve(loadConfig({ env: {}, flags }).config);

  const wrongAnswers: string[] = [];
  let requests = 0;
  let isOver = false;
  const ask = async () => {
    const response = await request(`${service.url}/inspect`, { method: 'POST', body: image });
    const answer = (await response.body.json()) as Verdict;
    const isRight = response.statusCode === 200 && expected.get(answer.profile.sha256) === makeKey(answer);
    if (!isRight) wrongAnswers.push(`${response.statusCode} ${JSON.stringify(answer).slice(0, 200)}`);
  };
  const load = async () => {
    const asked: Promise<unknown>[] = [];
    const begun = performance.now();
    while (!isOver) {
      asked.push(ask().catch((error) => wrongAnswers.push(String(error))));
      requests += 1;
      await delay(Math.max(0, begun + (requests * 1000) / rate - performance.now()));
    }
    await Promise.all(asked);
  };
  const loading = load();

  const wrongReloads: string[] = [];
  let corrupt = 0;
  let early = 0;
  for (let i = 1; i <= reloads; i++) {
    const next = profiles[i % 2];
    const bytes = Buffer.from(encodeProfile(next));
    const isCorrupt = i % corruptEvery === 0;
    if (isCorrupt) bytes[(i * 7919) % bytes.length] ^= 0xff;
    await writeFile(path, bytes);
    // However slow the machine is, an image is on its way while the Profile is replaced.
    for (const asked = requests; requests === asked; ) await delay(1);
    const before = service.pool;
    const response = await request(`${service.url}/profile/reload`, { method: 'POST' });
    const answer = (await response.body.json()) as { sha256?: string; error?: { code: string } };
    if (isCorrupt) {
      corrupt += 1;
      const isRefused = response.statusCode === 500 && answer.error?.code.startsWith('STOPLINE_ERR_PROFILE_');
      if (!isRefused || service.pool !== before) wrongReloads.push(`corrupt ${i}: ${JSON.stringify(answer)}`);
    } else if (answer.sha256 !== next.sha256) wrongReloads.push(`${i}: ${JSON.stringify(answer)}`);
    if (i === Math.ceil(reloads / 10)) early = process.memoryUsage.rss() / 2 ** 20;
  }
  isOver = true;
  await loading;
  const late = process.memoryUsage.rss() / 2 ** 20;
  await service.close();
  await rm(folder, { recursive: true });
  const seconds = (performance.now() - started) / 1000;
  return { reloads, corrupt, wrongReloads, requests, wrongAnswers, memory: [early, late], seconds };
}
