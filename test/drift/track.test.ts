import { describe, expect, it } from 'vitest';
import { seriesLength, type Track, track } from '../../src/drift/track.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { correlationTime } from '../../src/profile/maths/correlation.ts';

function autoregressive(memory: number, length: number, seed: number): Float64Array {
  const noise = new Random(seed).normals(length);
  const x = new Float64Array(length);
  x[0] = noise[0];
  for (let i = 1; i < length; i++) x[i] = memory * x[i - 1] + Math.sqrt(1 - memory * memory) * noise[i];
  return x;
}

describe('the correlation time', () => {
  it.each([0, 0.5, 0.9])('of AR(1) with %f is (1 + r) / (1 - r)', (memory) => {
    const truth = (1 + memory) / (1 - memory);
    const { images, error } = correlationTime([autoregressive(memory, 40_000, 5)]);
    expect(images / truth).toBeGreaterThan(0.85);
    expect(images / truth).toBeLessThan(1.15);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.25 * truth);
  });

  it('remembers nothing across recordings, and compares each with its own mean', () => {
    const recordings = Array.from({ length: 40 }, (_, i) =>
      autoregressive(0.5, 400, i).map((value) => value + (i % 2 === 0 ? 5 : -5)),
    );
    expect(correlationTime(recordings).images).toBeCloseTo(3, 0);
  });

  it('of what alternates or never changes is 1', () => {
    expect(correlationTime([Float64Array.from({ length: 100 }, (_, i) => i % 2)]).images).toBe(1);
    expect(correlationTime([new Float64Array(100)]).images).toBe(1);
    expect(correlationTime([]).images).toBe(1);
  });
});

describe('on line', () => {
  const follow = (x: Float64Array) => {
    const state: Track = { values: new Int8Array(seriesLength), length: 0, spacing: 1 };
    const known: number[] = [];
    for (const [i, value] of x.entries()) {
      track(state, [value], i);
      if (state.times && known.length === 0) known.push(i);
    }
    return { state, known };
  };

  it('is known of independent images after 64', () => {
    const { state, known } = follow(autoregressive(0, 2000, 1));
    expect(known).toEqual([63]);
    expect(state.times?.[0]).toBeLessThan(1.6);
    expect(state.spacing).toBe(1);
  });

  it('of a stream that remembers 200 images is not known before thousands, and then about right', () => {
    const { state, known } = follow(autoregressive(0.99, 20_000, 2));
    expect(known[0]).toBeGreaterThan(1000);
    expect(state.times?.[0]).toBeGreaterThan(80);
    expect(state.times?.[0]).toBeLessThan(400);
  });

  it('does not take a lasting change for memory', () => {
    const x = autoregressive(0, 2000, 3).map((value, i) => value + (i > 1000 ? 2 : 0));
    expect(follow(x).state.times?.[0]).toBeLessThan(2.5);
  });
});
