import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPool, type Pool } from '../../../src/run/pool.ts';
import { Judge } from '../../../src/server/judge.ts';
import { Recent, readBands } from '../../../src/server/watch/recent.ts';
import { jpegFrame } from '../../fixtures/camera.ts';
import { fitReference, type Reference } from '../../fixtures/reference.ts';

const size = { width: 320, height: 180 };
let reference: Reference;
let pool: Pool;
let judge: Judge;
let recent: Recent;

/** A frame that is like the reference, or one that is blocked because it is compressed too far. */
const frame = (index: number, quality?: number) => jpegFrame(index, quality, size);
const send = async (index: number, quality?: number) =>
  judge.inspect(await frame(index, quality), { source: 'front', requestId: `${index}` });

beforeAll(async () => {
  reference = await fitReference();
  pool = await createPool({ profile: reference.profilePath, threads: 1 });
  await pool.ready();
  judge = new Judge({ pool, profile: reference.profile });
  recent = new Recent(judge);
});
afterAll(async () => {
  await pool.close();
  await reference.remove();
});

describe('the latest images of a camera', () => {
  it('are told as columns, with scores beyond the smallest p-value, and only those that are new to the reader', async () => {
    const verdicts = [];
    for (const i of [1, 2, 3]) verdicts.push(await send(1000 + i));
    for (const i of [1, 2, 3, 4]) verdicts.push(await send(2000 + i, 3));
    const images = recent.images('front')!;
    expect(images.images).toBe(7);
    expect(images.verdict).toEqual(verdicts.map(({ verdict }) => verdict));
    expect(images.score).toEqual(verdicts.map(({ score }) => expect.closeTo(score, 2)));
    expect(images.statisticsAt).toEqual(images.at);
    for (const { values } of images.statistics) expect(values).toHaveLength(7);
    expect(recent.images('front', { after: 5 })?.score).toHaveLength(2);
    expect(recent.images('rear')).toBeUndefined();
    // One number for each thing that a person sees, or those that are asked for in their order.
    const texts = images.statistics.map(({ text }) => text);
    expect(new Set(texts).size).toBe(texts.length);
    const asked = recent.images('front', { statistics: ['noiseSigma', 'unheardOf', 'lumaP50'] })!;
    expect(asked.statistics.map(({ name }) => name)).toEqual(['noiseSigma', 'lumaP50']);
    const [listed] = recent.sources();
    expect(listed).toMatchObject({ source: 'front', images: 7, verdict: images.verdict, pValue: images.pValue });
  });

  it('say once for all what their files have that no file of the reference had', async () => {
    const large = { width: 400, height: 226 };
    for (const i of [1, 2]) {
      const bytes = await jpegFrame(3000 + i, 3, large);
      await judge.inspect(bytes, { source: 'large', requestId: `large-${i}` });
    }
    await judge.inspect(await frame(3003, 3), { source: 'large', requestId: 'usual' });
    const { files, strange } = recent.images('large')!;
    expect(files).toContain('size in pixels never seen in the reference: 2 of 3 images (400x226)');
    expect(files.at(-1)).toMatch(/^if that is meant to be, --ignore [a-z,]*size[a-z,]* leaves it out of verdicts$/);
    const reasons = strange.flatMap(({ examples }) => examples.flatMap((example) => example.reasons));
    expect(reasons.length).toBeGreaterThan(0);
    expect(reasons.filter((text) => /size in pixels|encoder setting/.test(text))).toEqual([]);
  });

  it('that did not pass are one episode for each kind, with the first and the strangest of them', async () => {
    const { strange } = recent.images('front')!;
    expect(strange.reduce((sum, { images }) => sum + images, 0)).toBe(4);
    expect(new Set(strange.map(({ kind }) => kind)).size).toBe(strange.length);
    for (const { images, blocked, examples, from, to } of strange) {
      expect(blocked).toBe(images);
      expect(from).toBeLessThanOrEqual(to);
      expect(examples.length).toBe(new Set(examples.map(({ id }) => id)).size);
      expect(examples.length).toBeLessThanOrEqual(Math.min(2, images));
      expect(examples[0].at).toBe(from);
    }
    const scores = recent.images('front')!.score.slice(3);
    const strangest = Math.max(...strange.flatMap(({ examples }) => examples.map(({ score }) => score)));
    expect(strangest).toBeCloseTo(Math.max(...scores), 2);
    // The same image again is counted, and is no other example.
    const count = () => recent.images('front')!.strange.map(({ images, examples }) => [images, examples.length]);
    const sum = (column: number) => count().reduce((total, row) => total + row[column], 0);
    const examples = sum(1);
    await send(2001, 3);
    expect([sum(0), sum(1)]).toEqual([5, examples]);
  });

  it('have pictures of what is shown, and of nothing else', async () => {
    await expect.poll(() => recent.images('front')?.latest?.hasPicture).toBe(true);
    const { latest, strange } = recent.images('front')!;
    const picture = recent.picture('front', latest!.id) ?? new Uint8Array();
    expect(Buffer.from(picture).toString('latin1', 8, 12)).toBe('WEBP');
    for (const { id, hasPicture } of strange[0].examples) {
      expect(recent.picture('front', id) !== undefined).toBe(hasPicture);
    }
    expect(recent.picture('front', 'f'.repeat(64))).toBeUndefined();
  });
});

describe('the band of a small chart', () => {
  // Rank 99 of 100 is the 99th percentile by the rule of verdicts; a rule of its own took rank 98.
  const values = Float64Array.from({ length: 100 }, (_, rank) => (rank === 99 ? 1000 : rank));
  const tensors = { calibrationValues: { shape: [1, 100], data: values.toReversed() } };

  it('lies between the quantiles that verdicts and reports show', () => {
    const [band] = readBands({ statistics: [{ name: 'lumaMean' }], tensors });
    expect(band).toEqual({ name: 'lumaMean', position: 0, p50: 50, width: 999 });
  });

  it('is measured on the scale on which the statistic is scored', () => {
    const [band] = readBands({ statistics: [{ name: 'tenengrad', logFloor: 1 }], tensors });
    expect(band.width).toBeCloseTo(Math.log(1001) - Math.log(2), 12);
  });
});
