import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, it } from 'vitest';
import { type PastVerdict, StoreDatabase } from '../../../src/server/store/database.ts';
import { openStore, type Store, type StoreEvent, type StoreOptions } from '../../../src/server/store/store.ts';

const root = mkdtempSync(join(tmpdir(), 'stopline-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const newFolder = () => mkdtempSync(join(root, 'state-'));

const minute = 60_000;
/** A round minute, recent enough not to be too old. */
const start = Math.floor(Date.now() / minute) * minute - 120 * minute;

function verdictAt(at: number, options: Partial<PastVerdict> = {}): PastVerdict {
  return {
    source: 'front',
    at,
    verdict: 'pass',
    pValue: 0.5,
    score: 2,
    reason: null,
    cause: null,
    causeProbability: null,
    requestId: 'r',
    sha256: 'ab',
    bytes: 10,
    width: 4,
    height: 3,
    ms: 20,
    detectors: { combined: 0.5 },
    ...options,
  };
}

const makeMonitor = (source: string, text: string) => ({
  source,
  profile: 'sha',
  state: Buffer.from(text),
  summary: JSON.stringify({ text }),
});

async function withStore<T>(options: Partial<StoreOptions>, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ historyRows: 10_000, historyDays: 30, ...options });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

describe('a store', () => {
  it.each(['in a folder', 'in memory'])('%s gives back what was added, also before it is written', async (where) => {
    const folder = where === 'in memory' ? undefined : join(newFolder(), 'made', 'by itself');
    await withStore({ folder }, async (store) => {
      store.add({ monitors: [makeMonitor('front', 'one'), makeMonitor('rear', 'two')] });
      store.add({ monitors: [makeMonitor('front', 'three')] });
      expect(Buffer.from((await store.monitor('front'))?.state ?? []).toString()).toBe('three');
      await store.flush();
      expect(Buffer.from((await store.monitor('front'))?.state ?? []).toString()).toBe('three');
      expect((await store.summaries()).map(({ source, summary }) => [source, JSON.parse(summary).text])).toEqual([
        ['front', 'three'],
        ['rear', 'two'],
      ]);
      store.add({ forgotten: ['front'] });
      expect(await store.monitor('front')).toBeUndefined();
      await store.flush();
      expect(await store.monitor('front')).toBeUndefined();
    });
  });

  it('is the same after it was closed and opened', async () => {
    const folder = newFolder();
    await withStore({ folder }, async (store) => {
      store.add({
        monitors: [makeMonitor('front', 'kept')],
        verdicts: [verdictAt(start, { detectors: { combined: 0.25, content: 0.125 } })],
        transitions: [{ source: 'front', at: start, from: 'ok', to: 'drifted', report: '{}' }],
        alerts: ['a', 'b'].map((id) => ({ id, sink: 'webhook', at: start, body: '{}' })),
      });
      store.add({ settled: ['a'] });
    });
    await withStore({ folder }, async (store) => {
      expect((await store.monitor('front'))?.summary).toBe('{"text":"kept"}');
      expect(await store.verdicts({ limit: 10 })).toEqual([
        { ...verdictAt(start), id: 1, detectors: { combined: 0.25, content: 0.125 } },
      ]);
      expect(await store.transitions({ limit: 10 })).toMatchObject([{ from: 'ok', to: 'drifted' }]);
      expect((await store.alerts()).map(({ id }) => id)).toEqual(['b']);
    });
  });

  it('has one writer: a second is refused while the first lives', async () => {
    const folder = newFolder();
    await withStore({ folder }, async () => {
      await expect(openStore({ folder, historyRows: 1, historyDays: 1, lockTimeoutMs: 50 })).rejects.toMatchObject({
        code: 'STOPLINE_ERR_STATE_UNUSABLE',
        message: expect.stringContaining('another process has it'),
      });
    });
  });

  it('leaves alone what is not its own', async () => {
    const options = { historyRows: 1, historyDays: 1 };
    const foreign = newFolder();
    const db = new Database(join(foreign, 'stopline.db'));
    db.exec('CREATE TABLE theirs (a); PRAGMA application_id = 7');
    db.close();
    const newer = newFolder();
    await withStore({ folder: newer }, async () => undefined);
    const opened = new Database(join(newer, 'stopline.db'));
    opened.pragma('user_version = 99');
    opened.close();
    const file = join(newFolder(), 'file');
    writeFileSync(file, '');
    for (const folder of [foreign, newer, file, join(file, 'below')]) {
      await expect(openStore({ folder, ...options })).rejects.toMatchObject({ code: 'STOPLINE_ERR_STATE_UNUSABLE' });
    }
    expect(readdirSync(newer)).toEqual(['stopline.db']);
  });
});

describe('the history', () => {
  // Two hours, a verdict every 10 s; every sixth is blocked for blur.
  const rows = Array.from({ length: 720 }, (_, i) =>
    verdictAt(start + i * 10_000, {
      source: i % 2 === 0 ? 'front' : 'rear',
      pValue: (i % 10) / 10,
      score: i,
      ...(i % 6 === 0 && { verdict: 'block', reason: i % 12 === 0 ? 'sharpness' : 'noise', cause: 'blur' }),
    }),
  );

  it('is listed newest first, page by page, by source and time', async () => {
    await withStore({}, async (store) => {
      store.add({ verdicts: rows });
      await store.flush();
      const first = await store.verdicts({ source: 'rear', limit: 100 });
      expect(first.map(({ score }) => score)).toEqual(Array.from({ length: 100 }, (_, i) => 719 - 2 * i));
      const next = await store.verdicts({ source: 'rear', limit: 2, before: first[99].id });
      expect(next.map(({ score }) => score)).toEqual([519, 517]);
      const between = await store.verdicts({ from: start + 50_000, to: start + 70_000, limit: 10 });
      expect(between.map(({ score }) => score)).toEqual([6, 5]);
      expect(await store.reasons({})).toEqual([
        { reason: 'noise', images: 60 },
        { reason: 'sharpness', images: 60 },
      ]);
    });
  });

  it.each([
    ['seconds, from the verdicts', 10 * minute, 60, 10_000],
    ['minutes, from the aggregates', 120 * minute, 40, 3 * minute],
  ])('is drawn by %s', async (_, length, points, span) => {
    await withStore({}, async (store) => {
      store.add({ verdicts: rows });
      await store.flush();
      const range = { source: 'front', from: start, to: start + length };
      const trend = await store.trend({ ...range, points });
      expect(trend.length).toBeLessThanOrEqual(points + 1); // stretches begin at round times
      for (const point of trend) {
        const inside = rows.filter(({ source, at }) => source === 'front' && at >= point.at && at < point.at + span);
        const mean = (read: (row: PastVerdict) => number) =>
          inside.reduce((sum, row) => sum + read(row), 0) / inside.length;
        expect(point.span).toBe(span);
        expect(point.images).toBe(inside.length);
        expect(point.block).toBe(inside.filter(({ verdict }) => verdict === 'block').length);
        expect(point.pValueMean).toBeCloseTo(
          mean(({ pValue }) => pValue),
          12,
        );
        expect(point.pValueMin).toBe(Math.min(...inside.map(({ pValue }) => pValue)));
        expect(point.scoreMax).toBe(Math.max(...inside.map(({ score }) => score)));
        expect(point.scoreMean).toBeCloseTo(
          mean(({ score }) => score),
          9,
        );
      }
      const within = rows.filter(({ source, at }) => source === 'front' && at < start + length);
      expect(trend.reduce((sum, { images }) => sum + images, 0)).toBe(within.length);
    });
  });

  it('is bounded by rows and by age', async () => {
    await withStore({ historyRows: 100, historyDays: 1 }, async (store) => {
      const day = 24 * 60 * minute;
      store.add({
        verdicts: [...rows.slice(0, 30).map((row) => ({ ...row, at: row.at - 2 * day })), ...rows.slice(0, 50)],
      });
      await store.flush();
      expect(await store.verdicts({ limit: 1000 })).toHaveLength(50); // the older 30 are too old
      store.add({ verdicts: rows.slice(50, 250) });
      await store.flush();
      const kept = await store.verdicts({ limit: 1000 });
      expect(kept.map(({ score }) => score)).toEqual(Array.from({ length: 100 }, (_, i) => 249 - i));
    });
  });
});

/** Seeded, so that a variant that fails can be run again. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Of 200 that were tried none failed; each costs some writes to the disk. */
const variants = 60;

describe('a damaged file', () => {
  it('is set aside, or read as far as it is sound', () => {
    const settings = { historyRows: 1000, historyDays: 30, lockTimeoutMs: 0 };
    const batch = { verdicts: [], monitors: [], forgotten: [], transitions: [], alerts: [], settled: [] };
    const made = newFolder();
    const first = new StoreDatabase({ ...settings, file: join(made, 'stopline.db') });
    const verdicts = Array.from({ length: 300 }, (_, i) => verdictAt(start + i * 1000));
    first.commit({
      ...batch,
      verdicts,
      monitors: Array.from({ length: 50 }, (_, i) => makeMonitor(`s${i}`, 'x'.repeat(2000))),
    });
    const names = ['stopline.db', 'stopline.db-wal'];
    // Copied while it is open, so that the write-ahead log is still there.
    const sound = new Map(names.map((name) => [name, readFileSync(join(made, name))]));
    first.close();
    sound.set('closed', readFileSync(join(made, 'stopline.db')));

    let setAside = 0;
    const folder = newFolder();
    for (let seed = 0; seed < variants; seed++) {
      const random = generator(seed);
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
      const isClosed = seed % 2 === 0;
      writeFileSync(join(folder, 'stopline.db'), sound.get(isClosed ? 'closed' : 'stopline.db') as Buffer);
      if (!isClosed) writeFileSync(join(folder, 'stopline.db-wal'), sound.get('stopline.db-wal') as Buffer);
      const target = join(folder, isClosed || random() < 0.3 ? 'stopline.db' : 'stopline.db-wal');
      const bytes = readFileSync(target);
      if (random() < 0.3) truncateSync(target, Math.floor(random() * bytes.length));
      else {
        for (let flips = 1 + Math.floor(random() * 50); flips > 0; flips--) {
          bytes[Math.floor(random() * bytes.length)] ^= 1 + Math.floor(random() * 255);
        }
        // The first page, too, where the header of the file is.
        if (random() < 0.3) bytes.fill(0xa5, 0, 100);
        writeFileSync(target, bytes);
      }
      const database = new StoreDatabase({ ...settings, file: join(folder, 'stopline.db') });
      for (let again = 0; ; again++) {
        try {
          database.commit({ ...batch, monitors: [makeMonitor('after', 'ok')] });
          database.verdicts({ limit: 1000 });
          database.monitor('s7');
          break;
        } catch (error) {
          // Damage found only now: the next try has a new file.
          expect(String((error as { code?: string }).code), `seed ${seed}: ${error}`).toMatch(/^SQLITE_/);
          expect(again, `seed ${seed}`).toBeLessThan(2);
        }
      }
      expect(database.monitor('after')?.summary, `seed ${seed}`).toBe('{"text":"ok"}');
      database.close();
      setAside += database.setAside.length;
      for (const path of database.setAside) expect(readdirSync(folder)).toContain(path.slice(folder.length + 1));
    }
    expect(setAside).toBeGreaterThan(variants / 4);
    expect(setAside).toBeLessThan(variants); // a torn end of the log is no damage: it is what kill -9 leaves
  });

  it('is told of, and the store goes on', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'stopline.db'), Buffer.alloc(10_000, 7));
    const events: StoreEvent[] = [];
    await withStore({ folder, notify: (event) => events.push(event) }, async (store) => {
      expect(events.map(({ kind }) => kind)).toEqual(['setAside', 'renewed']);
      expect(store.setAside).toBe(1);
      store.add({ monitors: [makeMonitor('front', 'new')] });
      await store.flush();
      expect(store.degraded).toBeUndefined();
    });
    expect(readdirSync(folder).some((name) => /^stopline\.db\.corrupt-\d{4}-/.test(name))).toBe(true);
  });
});

describe('a disk that takes no more', () => {
  const children: ChildProcess[] = [];
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
  });

  it('is survived, and what was added meanwhile is written once it does', async () => {
    const folder = newFolder();
    const program = fileURLToPath(new URL('../../fixtures/store.program.ts', import.meta.url));
    const child = fork(program, [folder]);
    children.push(child);
    const events: string[] = [];
    child.on('message', ({ event }: { event: string }) => events.push(event));
    const until = async (event: string) => {
      while (!events.includes(event)) await once(child, 'message');
    };
    const limit = (bytes: number | 'unlimited') =>
      execFileSync('prlimit', [`--pid=${child.pid}`, `--fsize=${bytes}:unlimited`]);
    await until('open');
    limit(8192); // every write further into a file fails, as on a full disk
    await until('degraded');
    limit('unlimited');
    await until('recovered');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await withStore({ folder }, async (store) => {
      expect(Number((await store.monitor('front'))?.summary)).toBeGreaterThan(5);
      expect(store.setAside).toBe(0);
    });
  });
});

describe('a store in memory', () => {
  it('keeps ten thousand states of sources that sent little in a few megabytes, and gives back what it was given', () => {
    const database = new StoreDatabase({ historyRows: 10, historyDays: 1, lockTimeoutMs: 0 });
    database.open();
    const before = process.memoryUsage().rss;
    // As one of a source with one image: a header, and 24 kB in which next to nothing is set.
    const state = (i: number, bytes = new Uint8Array(24_000)) => {
      bytes.fill(0);
      new TextEncoder().encodeInto(JSON.stringify({ version: 1, source: i }), bytes);
      return bytes.fill(i & 255, 9000, 9128);
    };
    const empty = { verdicts: [], forgotten: [], transitions: [], alerts: [], settled: [] };
    // The same arrays again and again: what is measured is what the store holds, and not what waits to be collected.
    const arrays = Array.from({ length: 250 }, () => new Uint8Array(24_000));
    for (let first = 0; first < 10_000; first += 250) {
      const monitors = arrays.map((bytes, i) => {
        return { source: `s${first + i}`, profile: 'p', summary: '{}', state: state(first + i, bytes) };
      });
      database.commit({ ...empty, monitors });
    }
    expect(database.summaries()).toHaveLength(10_000);
    // 240 MB as they are.
    expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan(60);
    for (const i of [0, 4321, 9999]) expect(database.monitor(`s${i}`)?.state).toEqual(state(i));
    database.close();
  });
});
