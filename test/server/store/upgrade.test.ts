import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeShared } from '../../../src/drift/drift.ts';
import { createMonitor } from '../../../src/drift/monitor.ts';
import { assessTrust } from '../../../src/drift/trust.ts';
import { openStore } from '../../../src/server/store/store.ts';
import { createMonitors, type SourceTransition } from '../../../src/server/watch/monitors.ts';
import { describeSavedStore, observe, savedAt, savedReference } from '../../fixtures/savedstore.ts';

const saved = new URL('../../fixtures/saved/store-63a478e.db.gz', import.meta.url);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopline-upgrade-'));
  await writeFile(join(folder, 'stopline.db'), gunzipSync(await readFile(saved)));
});
afterAll(() => rm(folder, { recursive: true }));

describe('a store that commit 63a478e has written', () => {
  it('is read: every source goes on where it was, with its history, its alerts and what has been added since', async () => {
    const shared = makeShared(savedReference, {});
    const drift = { profile: shared.profile, monitor: (state?: Uint8Array) => createMonitor(shared, state) };
    const transitions: SourceTransition[] = [];
    const start = async () => {
      const store = await openStore({ folder, historyRows: 1000, historyDays: 100_000 });
      const monitors = await createMonitors({
        store,
        log: fastify().log,
        drift: drift as never,
        staleAfterMs: 2_592_000_000,
        maxSources: 10,
        onTransition(transition) {
          transitions.push(transition);
        },
        onAttention: () => undefined,
      });
      return { store, monitors };
    };
    const { store, monitors } = await start();
    expect(store.setAside).toBe(0);
    for (const { source, state, images } of describeSavedStore()) {
      const summary = monitors.summary(source);
      expect(summary).toMatchObject({ source, state, recent: { level: 'calm', images: 0 } });
      const report = await monitors.report(source);
      expect(report).toMatchObject({ state, images: images.length, repeats: 0 });
      const { trust } = assessTrust({ ...report!, lastAt: savedAt }, { now: savedAt, staleAfterMs: 1000 });
      expect(trust).toBe({ learning: 'unknown', ok: 'yes', drifted: 'no' }[state]);
    }
    expect((await monitors.report('foggy'))?.evidence.alarms).toBeGreaterThanOrEqual(1);
    const {
      trend,
      verdicts,
      transitions: past,
      alerts,
    } = {
      trend: await store.trend({ from: savedAt, to: savedAt + 86_400_000, points: 10 }),
      verdicts: await store.verdicts({ limit: 1000 }),
      transitions: await store.transitions({ limit: 1000 }),
      alerts: await store.alerts(),
    };
    expect(verdicts).toHaveLength(255);
    expect(trend.reduce((sum, { images }) => sum + images, 0)).toBe(255);
    expect(past.map(({ to }) => to).sort()).toEqual(['drifted', 'ok', 'ok']);
    expect(alerts.map(({ id }) => id)).toEqual(['an alert']);

    // It goes on: the drifted source recovers by the images that it still lacks, and nothing was lost on the way.
    for (let i = 0; i < 400; i++) monitors.observe('foggy', observe({ seed: 5_000_000 + 7919 * i, shift: 0 }));
    await expect.poll(async () => (await monitors.report('foggy'))?.images).toBe(530);
    expect(transitions.map(({ to }) => to).slice(0, 2)).toEqual(['recovered', 'ok']);
    monitors.close();
    await store.close();

    const again = await start();
    expect(again.monitors.summary('foggy')).toMatchObject({ state: 'ok', recent: { images: 25 } });
    again.monitors.close();
    await again.store.close();
  });
});
