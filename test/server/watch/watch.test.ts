import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import Value from 'typebox/value';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import type { DriftReport } from '../../../src/drift/report.ts';
import { driftReportSchema } from '../../../src/server/routes/drift.ts';
import { type Service, serve } from '../../../src/server/serve.ts';
import type { Config } from '../../../src/settings.ts';
import { jpegFrame } from '../../fixtures/camera.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';

let reference: Reference;
let root: string;
let service: Service | undefined;

beforeAll(async () => {
  reference = await fitReference();
  root = await mkdtemp(join(tmpdir(), 'stopline-watch-'));
});
afterEach(async () => {
  await service?.close();
  service = undefined;
});
afterAll(async () => {
  await reference.remove();
  await rm(root, { recursive: true });
});

async function start(flags: Partial<Config> = {}): Promise<Service> {
  const profile = reference.profilePath;
  const { config } = loadConfig({
    env: {},
    flags: { profile, port: 0, threads: 1, isolation: 'thread', logLevel: 'silent', ...flags },
  });
  service = await serve(config);
  return service;
}

const size = { width: 320, height: 180 };
/** An image of the camera of the reference. */
const makeFrame = (index: number) => jpegFrame(index, undefined, size);

async function send({ url }: Service, source: string, frame: Uint8Array): Promise<void> {
  const response = await fetch(`${url}/inspect?source=${source}`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg' },
    body: new Uint8Array(frame),
  });
  expect(response.status).toBe(200);
}

/** What any of the routes answers. */
interface Answer {
  sources: { source: string; state: string }[];
  total: number;
  overflowed: number;
  next?: string;
  state: string;
  images: number;
  uncheckable?: unknown[];
}

async function json(url: string, init?: RequestInit): Promise<Answer> {
  return (await fetch(url, init)).json() as Promise<Answer>;
}

describe('GET /drift', () => {
  it('lists all sources, page by page, and tells of each what is known; a reset makes it learn again', async () => {
    const to = await start({ freezeAfter: 3 });
    expect(await json(`${to.url}/drift`)).toEqual({
      total: 0,
      states: {},
      trust: { yes: 0, doubtful: 0, no: 0, unknown: 0, old: 0 },
      now: expect.any(Number),
      staleAfterMs: 300_000,
      overflowed: 0,
      sources: [],
    });
    await send(to, 'rear', await makeFrame(5000));
    for (let i = 0; i < 3; i++) await send(to, 'front', reference.frame);
    const list = await json(`${to.url}/drift`);
    expect(list).toMatchObject({ total: 2, states: { learning: 1, frozen: 1 } });
    expect(list.sources.map(({ source, state }) => [source, state])).toEqual([
      ['front', 'frozen'],
      ['rear', 'learning'],
    ]);
    expect(await json(`${to.url}/drift?limit=1`)).toMatchObject({ sources: [{ source: 'front' }], next: 'front' });
    const rest = await json(`${to.url}/drift?limit=1&after=front`);
    expect(rest.sources).toMatchObject([{ source: 'rear' }]);
    expect(rest.next).toBeUndefined();
    expect((await json(`${to.url}/drift?state=frozen`)).sources).toHaveLength(1);

    const report = await json(`${to.url}/drift/front`);
    expect([...Value.Errors(driftReportSchema, report)]).toEqual([]);
    expect(report).toMatchObject({ source: 'front', state: 'frozen', images: 1, repeats: 2, falseAlarmEvery: 10_000 });

    expect(await json(`${to.url}/drift/front/reset`, { method: 'POST' })).toEqual({
      source: 'front',
      state: 'learning',
    });
    expect(await json(`${to.url}/drift/front`)).toMatchObject({ state: 'learning', images: 0 });
    await send(to, 'front', await makeFrame(6000));
    expect(await json(`${to.url}/drift/front`)).toMatchObject({ state: 'learning', images: 1 });
    for (const [path, method] of [
      ['/drift/side', 'GET'],
      ['/drift/side/reset', 'POST'],
    ]) {
      const response = await fetch(to.url + path, { method });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'STOPLINE_ERR_SOURCE_UNKNOWN' } });
    }
    expect((await fetch(`${to.url}/drift/a%20b`)).status).toBe(400);
  });

  it('tells which camera drifted, since when and by what, and of none beside it', async () => {
    const startedAt = Date.now();
    const to = await start();
    for (let i = 0; i < 70; i++) {
      const good = await makeFrame(5000 + i);
      await send(to, 'front', good);
      await send(to, 'rear', await sharp(good).blur(4).jpeg({ quality: 90 }).toBuffer());
    }
    const { sources } = await json(`${to.url}/drift`);
    expect(sources).toMatchObject([
      { source: 'front', state: 'ok' },
      { source: 'rear', state: 'drifted' },
    ]);
    const report = (await json(`${to.url}/drift/rear`)) as unknown as DriftReport;
    expect(report.evidence.alarms).toBeGreaterThanOrEqual(1);
    expect(report.since).toBeGreaterThanOrEqual(startedAt);
    expect(report.moved).toContainEqual(expect.objectContaining({ statistic: 'blockSharpness', direction: 'low' }));
    const metrics = await (await fetch(`${to.url}/metrics`)).text();
    expect(metrics).toContain('stopline_drift_sources{state="drifted"} 1');
  });

  it('goes on after a restart where it was', async () => {
    const stateDir = join(root, 'restart');
    const first = await start({ stateDir });
    for (let i = 0; i < 5; i++) await send(first, 'front', await makeFrame(5000 + i));
    const before = await json(`${first.url}/drift/front`);
    await first.close();
    const second = await start({ stateDir });
    expect(before.uncheckable).toHaveLength(2);
    expect(await json(`${second.url}/drift/front`)).toEqual(before);
    await send(second, 'front', await makeFrame(7000));
    await expect.poll(async () => (await json(`${second.url}/drift/front`)).images).toBe(6);
  });

  it('finds out that a source sends nothing, and that it sends the same', async () => {
    const to = await start({ staleAfterMs: 400, freezeAfter: 3 });
    for (let i = 0; i < 4; i++) await send(to, 'frozen', reference.frame);
    expect(await json(`${to.url}/drift/frozen`)).toMatchObject({ state: 'frozen' });
    await expect.poll(async () => (await json(`${to.url}/drift/frozen`)).state).toBe('stale');
  });

  it('watches no more sources than it was told to: new ones are counted as other', async () => {
    const to = await start({ maxSources: 2 });
    for (const source of ['a', 'b', 'c', 'd', 'a']) await send(to, source, reference.frame);
    const { total, overflowed, sources } = await json(`${to.url}/drift`);
    expect(sources.map(({ source }) => source)).toEqual(['a', 'b', 'other']);
    expect([total, overflowed]).toEqual([3, 2]);
    const metrics = await (await fetch(`${to.url}/metrics`)).text();
    expect(metrics).toContain('stopline_sources_overflowed_total 2');
    expect(metrics).toContain('stopline_drift_sources{state="learning"} 3');
    expect(metrics).toContain('stopline_store_degraded 0');
  });
});

describe('GET /events', () => {
  it('tells of verdicts and changes as they come, and a client that comes back of what it missed', async () => {
    const to = await start({ freezeAfter: 3 });
    const first = await openEvents(`${to.url}/events`);
    for (let i = 0; i < 3; i++) await send(to, 'front', reference.frame);
    const events = await first.take(4);
    expect(events.map(({ event, data }) => [event, data.source])).toEqual([
      ...Array(3).fill(['verdict', 'front']),
      ['transition', 'front'],
    ]);
    expect(events[3].data).toMatchObject({ from: 'learning', to: 'frozen' });
    first.close();
    await send(to, 'rear', reference.frame);

    const again = await openEvents(`${to.url}/events`, events[1].id);
    expect((await again.take(3)).map(({ event, data }) => [event, data.source])).toEqual([
      ['verdict', 'front'],
      ['transition', 'front'],
      ['verdict', 'rear'],
    ]);
    again.close();
    const stranger = await openEvents(`${to.url}/events?source=rear`, 'abcdef01-7');
    expect((await stranger.take(2)).map(({ event }) => event)).toEqual(['missed', 'verdict']);
    stranger.close();
    const chosen = await openEvents(`${to.url}/events?kind=transition`, events[0].id);
    expect((await chosen.take(1))[0].event).toBe('transition');
    // An open stream does not hold up the end.
    expect(await to.close()).toBe(true);
    await chosen.ended;
  });

  it('has a bounded number of readers and forgets those that have gone', async () => {
    const to = await start();
    const readers = await Promise.all(Array.from({ length: 64 }, () => openEvents(`${to.url}/events`)));
    // Many that only wait do not lock out one that looks: the oldest of them makes room.
    const late = await openEvents(`${to.url}/events`);
    expect(await metric(to, 'stopline_event_clients')).toBe(64);
    await send(to, 'front', reference.frame);
    expect(await late.take(1)).toMatchObject([{ event: 'verdict' }]);
    late.close();
    for (const reader of readers) reader.close();
    await expect.poll(() => metric(to, 'stopline_event_clients')).toBe(0);
  });
});

async function metric({ url }: Service, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
}

interface ServerEvent {
  id: string;
  event: string;
  data: { source: string; from?: string; to?: string };
}

/** Reads server-sent events as a browser does. */
async function openEvents(url: string, lastEventId?: string) {
  const aborting = new AbortController();
  const response = await fetch(url, {
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    signal: aborting.signal,
  });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const seen: ServerEvent[] = [];
  let more: (() => void) | undefined;
  const ended = (async () => {
    let text = '';
    for await (const chunk of (response.body as ReadableStream).pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const blocks = text.split('\n\n');
      text = blocks.pop() as string;
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: ?(.*)/s)));
        if (fields.data) seen.push({ id: fields.id, event: fields.event, data: JSON.parse(fields.data) });
      }
      more?.();
    }
  })();
  ended.catch(() => undefined); // closed by the test
  return {
    ended,
    close: () => aborting.abort(),
    async take(count: number): Promise<ServerEvent[]> {
      while (seen.length < count) await new Promise<void>((resolve) => (more = resolve));
      return seen.splice(0, count);
    },
  };
}
