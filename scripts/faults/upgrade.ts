import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { startBroker } from '../../test/fixtures/broker.ts';
import { ask, isReadyWithin, type Outcome, post, root, type Stage, setStage, sleep, type Target } from './target.ts';

const saved = (name: string) => fileURLToPath(new URL(`../../test/fixtures/${name}`, import.meta.url));
const older = '63a478e';
const waitMs = 60_000;
const frameSize = { width: 320, height: 180 };
const patient = ['--max-wait-ms', '60000'];

/**
 * Commit 63a478e and this version: a service goes on with what the older one saved, and while replicas are upgraded one after the other
 * both work together. The older one is that of `--against`, else it is checked out and its packages are installed.
 */
export async function run(stage: Stage): Promise<Outcome> {
  const after = stage.checkout === root ? stage : await setStage();
  const first = await readSaved(after);
  const checkedOut = stage.checkout === root ? await checkOut() : undefined;
  if (typeof checkedOut === 'string')
    return { ...first, figures: `${first.figures}; together: not tried, ${checkedOut}` };
  const before = checkedOut ? await setStage({ checkout: checkedOut.folder }) : stage;
  try {
    const rounds = [await rollReplicas(before, after), await handOver(before, after)];
    return {
      ok: first.ok && rounds.every(({ ok }) => ok),
      figures: [first, ...rounds].map(({ figures }) => figures).join('; '),
    };
  } finally {
    if (before !== stage) before.close();
    if (after !== stage) after.close();
    await checkedOut?.remove();
  }
}

/** The older version with its packages, or why it cannot be had. */
async function checkOut(): Promise<{ folder: string; remove(): Promise<unknown> } | string> {
  const run = promisify(execFile);
  const parent = mkdtempSync(join(tmpdir(), 'stopline-older-'));
  const folder = join(parent, older);
  const remove = async () => {
    await run('git', ['worktree', 'remove', '--force', folder], { cwd: root }).catch(() => undefined);
    rmSync(parent, { recursive: true, force: true });
  };
  try {
    await run('git', ['worktree', 'add', '--detach', folder, older], { cwd: root });
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder });
    return { folder, remove };
  } catch (error) {
    await remove();
    return (error as Error).message.slice(0, 200);
  }
}

/** Two replicas by Redis: old and old, new and old, new and new. Every image counts once, for both, and no source begins anew. */
async function rollReplicas(before: Stage, after: Stage): Promise<Outcome> {
  const redis = await startBroker('redis-server');
  if (!redis) return { ok: true, figures: 'replicas: not tried, redis-server is not here' };
  const sources = ['front', 'side', 'rear', 'yard'];
  const options = { profile: before.profile, args: ['--redis', `redis://127.0.0.1:${redis.port}`, ...patient] };
  let sent = 0;
  const failures: string[] = [];
  const send = async (replicas: readonly Target[], phase: string) => {
    for (let i = 0; i < 10; i++) {
      const image = await encodeFrame(renderFrame(2000 + sent, frameSize));
      for (const [k, source] of sources.entries()) {
        const { status } = await post(replicas[(i + k) % replicas.length].url, image, { 'x-stopline-source': source });
        if (status !== 200) failures.push(`${phase}: status ${status}`);
      }
      sent++;
    }
    for (const { url } of replicas) {
      const counts = await pollCounts(url, sources, sent);
      if (counts.some((count) => count !== sent)) failures.push(`${phase}: ${counts} images in place of ${sent}`);
    }
  };
  const stop = async (replica: Target) => {
    replica.kill('SIGTERM');
    await replica.exit;
  };
  const running: Target[] = [];
  try {
    const [a, b] = [await before.start(options), await before.start(options)];
    running.push(a, b);
    await send([a, b], 'old and old');
    await stop(a);
    const c = await after.start(options);
    running.push(c);
    if (!(await isReadyWithin(c.url, waitMs))) failures.push('the new one is not ready beside the old one');
    await send([b, c], 'old and new');
    await stop(b);
    const d = await after.start(options);
    running.push(d);
    await send([c, d], 'new and new');
    // Whoever goes back finds what the new ones did.
    await stop(c);
    const e = await before.start(options);
    running.push(e);
    await send([d, e], 'new and old again');
  } finally {
    for (const replica of running) replica.kill('SIGKILL');
    await redis.stop();
  }
  const figures = `replicas old and old, old and new, new and new, new and old: ${sent} images of ${sources.length} sources, wrong: ${failures.join(', ') || 'none'}`;
  return { ok: failures.length === 0, figures };
}

/** The new one is started on the store and the quarantine of the old one, which still runs and then ends. */
async function handOver(before: Stage, after: Stage): Promise<Outcome> {
  const [state, quarantine] = [join(after.folder, 'handed-state'), join(after.folder, 'handed-kept')];
  mkdirSync(state);
  mkdirSync(quarantine);
  const options = { profile: before.profile, args: ['--state-dir', state, '--quarantine', quarantine, ...patient] };
  const black = (size: number) =>
    encodeFrame({ data: new Uint8Array(3 * size * size), width: size, height: size, channels: 3 });
  const old = await before.start(options);
  for (let i = 0; i < 5; i++)
    await post(old.url, await encodeFrame(renderFrame(3000 + i, frameSize)), { 'x-stopline-source': 'front' });
  await post(old.url, await black(64), { 'x-stopline-source': 'front' });
  const starting = after.start(options);
  // It waits for the store, which the old one holds.
  await sleep(3000);
  old.kill('SIGTERM');
  const renewed = await starting;
  const isReady = await isReadyWithin(renewed.url, waitMs);
  await post(renewed.url, await black(80), { 'x-stopline-source': 'front' });
  const [images] = await pollCounts(renewed.url, ['front'], 7);
  const kept = await pollKept(renewed.url, 2);
  renewed.kill('SIGKILL');
  const figures = `handed over while the old one ran: ${images} of 7 images of a source, ${kept} of 2 stopped images`;
  return { ok: isReady && images === 7 && kept === 2, figures };
}

/** Images of each source as a replica tells them, as soon as there are so many. */
async function pollCounts(url: string, sources: readonly string[], wanted: number): Promise<number[]> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const replies = await Promise.all(sources.map((source) => ask(url, { method: 'GET', path: `/drift/${source}` })));
    const counts = replies.map(({ body }) => Number(/"images":(\d+)/.exec(body)?.[1] ?? 0));
    if (counts.every((count) => count >= wanted) || performance.now() > deadline) return counts;
    await sleep(200);
  }
}

/** Images in quarantine, as soon as there are so many: they are written after the answer. */
async function pollKept(url: string, wanted: number): Promise<number> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const { body } = await ask(url, { method: 'GET', path: '/quarantine' });
    const kept = Number(/"count":(\d+)/.exec(body)?.[1]);
    if (kept >= wanted || performance.now() > deadline) return kept;
    await sleep(200);
  }
}

/** A Profile, a store and a quarantine that commit 63a478e wrote: a service goes on with all of them. */
async function readSaved(stage: Stage): Promise<Outcome> {
  const state = join(stage.folder, 'state');
  const quarantine = join(stage.folder, 'kept');
  mkdirSync(state);
  writeFileSync(join(state, 'stopline.db'), gunzipSync(readFileSync(saved('saved/store-63a478e.db.gz'))));
  cpSync(saved('saved/service-63a478e/quarantine'), quarantine, { recursive: true });
  const kept = readdirSync(quarantine).filter((name) => name.endsWith('.json')).length;
  const target = await stage.start({
    profile: saved('profiles/63a478e.stopline'),
    args: ['--state-dir', state, '--quarantine', quarantine, '--quarantine-days', '3650', '--max-wait-ms', '60000'],
  });
  const { status, body } = await post(target.url, stage.frame);
  const read = async (path: string) => (await ask(target.url, { method: 'GET', path })).body;
  const verdict = /"verdict":"(\w+)"/.exec(body)?.[1];
  const sources = (await read('/drift')).split('"source":').length - 1;
  const images = Number(/"count":(\d+)/.exec(await read('/quarantine'))?.[1]);
  target.kill('SIGKILL');
  return {
    ok: status === 200 && verdict !== undefined && sources > 1 && images >= kept,
    figures: `of commit 63a478e: the Profile judges (${verdict}), ${sources} sources go on, ${images} of ${kept} stopped images are there`,
  };
}
