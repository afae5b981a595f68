import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import { findRegimes } from '../../src/fit/regimes.ts';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import type { Profile } from '../../src/profile/description.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { encodeFrame, renderFolder, renderFrame } from '../fixtures/camera.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const size = { width: 160, height: 90 };

/** Box-Muller over a linear congruential generator: the same numbers everywhere. */
function normals(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** `count` rows of `size` statistics around a centre that is the same for all of them, some wildly heavy-tailed. */
function cloud(count: number, centre: number, normal: () => number, size = 20): Float64Array[] {
  return Array.from({ length: count }, () =>
    Float64Array.from({ length: size }, (_, i) => centre + (i % 7 === 0 ? normal() ** 3 : normal())),
  );
}

const always = () => true;
const sizes = (labels: readonly number[]) =>
  [...new Set(labels)].map((label) => labels.filter((other) => other === label).length).sort((a, b) => a - b);

describe('regimes', () => {
  it('one cloud is one regime, however many images and whatever its shape', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const normal = normals(seed);
      expect(sizes(findRegimes(cloud(400, 0, normal), always))).toEqual([400]);
      // A long ridge: one direction varies ten times as much as the others, evenly.
      const ridge = Array.from({ length: 300 }, (_, i) => Float64Array.from({ length: 20 }, () => i / 15 + normal()));
      expect(sizes(findRegimes(ridge, always))).toEqual([300]);
    }
  });

  it('clouds that lie apart are told apart, whatever their sizes and order', () => {
    const normal = normals(7);
    const day = cloud(200, 0, normal);
    const night = cloud(50, 4, normal);
    const mixed = [...day.slice(0, 90), ...night, ...day.slice(90)];
    const labels = findRegimes(mixed, always);
    expect(sizes(labels)).toEqual([50, 200]);
    expect(new Set(labels.slice(90, 140)).size).toBe(1);
    expect(
      sizes(findRegimes([...cloud(60, 0, normal), ...cloud(70, 5, normal), ...cloud(80, 10, normal)], always)),
    ).toEqual([60, 70, 80]);
  });

  it('a few strangers are no regime, nor is one that cannot be calibrated by itself', () => {
    const normal = normals(9);
    expect(sizes(findRegimes([...cloud(200, 0, normal), ...cloud(20, 5, normal)], always))).toEqual([220]);
    const apart = [...cloud(100, 0, normal), ...cloud(100, 5, normal)];
    expect(sizes(findRegimes(apart, () => false))).toEqual([200]);
  });
});

describe('a reference of day and night', () => {
  const folder = temporaryFolder();
  let profile: Profile;
  const night = (index: number) => corrupt(renderFrame(index, size), 'night', 4, index);

  beforeAll(async () => {
    await renderFolder(join(folder, 'day'), 60);
    mkdirSync(join(folder, 'night'));
    for (let index = 100; index < 160; index++) {
      writeFileSync(join(folder, 'night', `frame${index}.jpg`), await encodeFrame(await night(index)));
    }
    ({ profile } = await fit({
      paths: [folder],
      simulations: 0,
      power: 0,
      model: 'none',
      falseAlarmRate: { warn: 0.05, block: 0.02 },
    }));
  });

  it('has two regimes, and judges each image within its own', async () => {
    expect(profile.regimes.map(({ images }) => images)).toEqual([60, 60]);
    const inspector = await createInspector({ profile });
    const strange = { day: 0, night: 0 };
    for (let index = 200; index < 220; index++) {
      const day = await inspector.inspect(await encodeFrame(renderFrame(index, size)));
      const dark = await inspector.inspect(await encodeFrame(await night(index)));
      if (day.verdict !== 'pass') strange.day++;
      if (dark.verdict !== 'pass') strange.night++;
    }
    // At 5 % six or more of twenty come by chance once in three thousand times.
    expect(strange.day).toBeLessThan(6);
    expect(strange.night).toBeLessThan(6);
  });

  it('is not blind between them: dusk is neither, and a reason is told against the nearer of the two', async () => {
    const inspector = await createInspector({ profile });
    let seen = 0;
    for (let index = 300; index < 310; index++) {
      const dusk = await corrupt(renderFrame(index, size), 'underExposure', 4, index);
      const { verdict, reasons } = await inspector.inspect(await encodeFrame(dusk));
      if (verdict === 'pass') continue;
      seen++;
      const [light] = reasons.flatMap(({ evidence }) => evidence).filter(({ statistic }) => statistic === 'lumaMean');
      // The whole reference spans both; a range within one regime does not.
      if (light?.reference) expect(light.reference.p99 - light.reference.p01).toBeLessThan(60);
    }
    expect(seen).toBeGreaterThanOrEqual(9);
  });
});
