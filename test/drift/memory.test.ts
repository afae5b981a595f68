import { describe, expect, it } from 'vitest';
import { createMemory, packDeviation, packState, unpackDeviation, unpackState } from '../../src/drift/memory.ts';

const sizes = { statistics: 7, powers: 4, betsPerStatistic: 4, across: 3, window: 48, recent: 64, series: 5 };

describe('the numbers of a monitor', () => {
  it('are views of one block, which is what is saved', () => {
    const memory = createMemory(sizes);
    memory.score[1] = 0.25;
    memory.z[47 * 7 + 6] = -5;
    memory.id.write('ff'.repeat(32), 47 * 32, 32, 'hex');
    memory.projection[3 * 48 - 1] = 1.5;
    const again = createMemory(sizes, memory.bytes);
    expect(again.score[1]).toBe(0.25);
    expect(again.z[47 * 7 + 6]).toBe(-5);
    expect(again.id.toString('hex', 47 * 32)).toBe('ff'.repeat(32));
    expect(again.projection[3 * 48 - 1]).toBe(1.5);
    // A copy: a saved state does not change with the monitor that goes on from it.
    again.score[1] = 1;
    expect(memory.score[1]).toBe(0.25);
  });

  it('of another size are refused', () => {
    const { bytes } = createMemory(sizes);
    expect(() => createMemory({ ...sizes, statistics: 8 }, bytes)).toThrow(
      /Expected \d+ bytes of state but received \d+/,
    );
  });
});

describe('a deviation in one byte', () => {
  it('is off by at most 0.02 in the middle and 4 % further out, and keeps its sign', () => {
    for (let z = -30; z <= 30; z += 0.037) {
      const back = unpackDeviation(packDeviation(z));
      expect(Math.abs(back - z)).toBeLessThan(Math.max(0.02, 0.04 * Math.abs(z)));
      expect(Math.sign(back) * Math.sign(z)).toBeGreaterThanOrEqual(0);
    }
    expect(unpackDeviation(packDeviation(1000))).toBe(unpackDeviation(packDeviation(30)));
  });
});

describe('a saved state', () => {
  it('comes back as it was', () => {
    const state = packState({ state: 'ok', images: 3 }, Uint8Array.of(1, 2, 3));
    const { header, bytes } = unpackState(state)!;
    expect(header).toMatchObject({ state: 'ok', images: 3 });
    expect([...bytes]).toEqual([1, 2, 3]);
  });

  it('that is cut, changed or of another version is none', () => {
    const state = packState({ state: 'ok' }, Uint8Array.of(1, 2, 3));
    expect(unpackState(state.subarray(0, 3))).toBeUndefined();
    expect(unpackState(state.subarray(0, 10))).toBeUndefined();
    const other = Uint8Array.from(state);
    other[4] = 0x20;
    expect(unpackState(other)).toBeUndefined();
    expect(unpackState(packState({ version: 0 }, new Uint8Array()))).toBeUndefined();
  });
});
