import { fastify } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { makeShared } from '../../../src/drift/drift.ts';
import { createMonitor } from '../../../src/drift/monitor.ts';
import { openStore, type Store } from '../../../src/server/store/store.ts';
import { createMonitors, type Monitors } from '../../../src/server/watch/monitors.ts';
import { savedReference } from '../../fixtures/savedstore.ts';

const shared = makeShared(savedReference, { freezeAfter: 3 });
const drift = { profile: shared.profile, monitor: (state?: Uint8Array) => createMonitor(shared, state) } as never;
const open: { store: Store; monitors: Monitors }[] = [];
afterEach(async () => {
  for (const { store, monitors } of open.splice(0)) {
    monitors.close();
    await store.close();
  }
});

/** Monitors whose receivers are told after 10 seconds, and of the end after 20, by a clock that the test moves. */
async function start(store?: Store, capacity = 10) {
  const kept = store ?? (await openStore({ historyRows: 10, historyDays: 1 }));
  const told: string[] = [];
  let now = 1000;
  let isMaintained = false;
  const monitors = await createMonitors({
    store: kept,
    log: fastify().log,
    drift,
    staleAfterMs: 3_600_000,
    maxSources: 10,
    capacity,
    monotonic: () => now,
    onTransition: () => undefined,
    onAttention: () => undefined,
    telling: {
      alertAfterMs: 10_000,
      alertRecoverMs: 20_000,
      isMaintained: () => isMaintained,
      describe({ source, from, to, text }) {
        told.push(`${source}: ${from} > ${to}, ${text}`);
        return [{ id: `alert ${told.length}`, sink: 'webhook', at: 0, body: '{}' }];
      },
    },
  });
  if (!store) open.push({ store: kept, monitors });
  return {
    store: kept,
    monitors,
    told,
    /** Seconds pass. */
    pass(seconds: number) {
      now += 1000 * seconds;
      monitors.tellWaiting();
    },
    look(): string[] {
      monitors.tellWaiting();
      return told;
    },
    maintain(is: boolean) {
      isMaintained = is;
      monitors.tellWaiting();
    },
  };
}

let serial = 0;
/** As many images of a source: each its own, or one picture again and again. */
function send(monitors: Monitors, images: number, isSame = false, source = 'front'): void {
  for (let i = 0; i < images; i++) {
    if (!isSame || i === 0) serial += 1;
    const id = serial.toString(16).padStart(16, '0').padEnd(64, 'f');
    const z = Float32Array.from({ length: shared.names.length }, (_, j) => Math.sin(serial * (j + 1)));
    const rest = { decidedBy: 'combined' as const, pValue: 0.5, score: 1, z, hash: id.slice(0, 16) };
    monitors.observe(source, { id, at: Date.now() + serial * 1000 + i, verdict: 'pass', ...rest });
  }
}

const freezes = 'front: learning > frozen, the same picture came 3 times in a row';

describe('monitors that tell others', () => {
  it('do so when an alarm has lasted, and when its end has, with the alert in the store', async () => {
    const { monitors, told, pass, store } = await start();
    send(monitors, 3, true);
    expect(monitors.summary('front')).toMatchObject({ state: 'frozen', told: { state: 'learning' } });
    pass(9);
    expect(told).toEqual([]);
    pass(1);
    expect(told).toEqual([freezes]);
    expect(monitors.summary('front')?.told).toMatchObject({ state: 'frozen', causes: ['frozen'] });
    await store.flush();
    expect((await store.alerts()).map(({ id }) => id)).toEqual(['alert 1']);
    send(monitors, 1);
    pass(19);
    expect(told).toHaveLength(1);
    pass(1);
    expect(told[1]).toMatch(/^front: frozen > learning, fewer than 20 images/);
    expect(monitors.summary('front')?.told).toMatchObject({ state: 'learning', causes: [] });
  });

  it('say nothing of what was over before', async () => {
    const { monitors, told, pass } = await start();
    send(monitors, 3, true);
    pass(5);
    send(monitors, 1);
    pass(30);
    send(monitors, 3, true);
    pass(9);
    expect(told).toEqual([]);
  });

  it('say nothing in maintenance, and afterwards what has lasted since', async () => {
    const { monitors, told, pass, maintain } = await start();
    maintain(true);
    send(monitors, 3, true);
    pass(1000);
    expect(told).toEqual([]);
    maintain(false);
    pass(9);
    expect(told).toEqual([]);
    pass(1);
    expect(told).toEqual([freezes]);
    maintain(true);
    send(monitors, 1);
    pass(1000);
    expect(told).toHaveLength(1);
    maintain(false);
    pass(20);
    expect(told).toHaveLength(2);
  });

  it('go on after a restart with what was told and what waits, and repeat nothing', async () => {
    const first = await start();
    send(first.monitors, 3, true);
    first.pass(4);
    first.monitors.save();
    await first.store.flush();
    const second = await start(first.store);
    second.pass(5);
    expect(second.told).toEqual([]);
    // The monitor is read back for it.
    second.pass(1);
    await expect.poll(() => second.look()).toEqual([freezes]);
    second.monitors.save();
    await first.store.flush();
    const third = await start(first.store);
    third.pass(100);
    expect(third.told).toEqual([]);
    second.monitors.close();
    third.monitors.close();
  });

  it('tell of a source whose monitor had to leave memory meanwhile', async () => {
    const { monitors, pass, look } = await start(undefined, 1);
    send(monitors, 3, true);
    send(monitors, 1, false, 'rear');
    pass(10);
    await expect.poll(look).toEqual([freezes]);
  });
});
