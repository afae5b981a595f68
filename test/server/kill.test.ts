import { afterAll, beforeAll, expect, it } from 'vitest';
import { killMonitors } from '../../scripts/faults/drift.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';

let reference: Reference;
beforeAll(async () => {
  reference = await fitReference();
});
afterAll(() => reference.remove());

it('monitors that are killed under load come back, none far behind', async () => {
  const { profilePath } = reference;
  const killed = await killMonitors({ profilePath, kills: 3, seed: 7, sources: 20, perSecond: 200 });
  expect(killed.images).toBeGreaterThan(100);
  expect(killed.lost).toBe(0);
  // The second that is promised is measured by `npm run faults:drift`, on a machine that has nothing else to do.
  expect(killed.worstLossMs).toBeLessThanOrEqual(5000);
});
