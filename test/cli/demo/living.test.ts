import { describe, expect, it } from 'vitest';
import { cameras, chooseCondition } from '../../../src/cli/demo/living.ts';
import { corruptions } from '../../../src/image/corruptions/corruptions.ts';

describe('the living page of the demo', () => {
  it('has cameras that drift and one that does not, by causes that there are', () => {
    expect(cameras.map(({ from }) => from.length > 0)).toEqual([false, true, true]);
    for (const { cause } of cameras) {
      if (cause !== undefined) expect(corruptions.map(({ name }) => name)).toContain(cause);
    }
  });

  it('lets each begin like the reference, and grow worse', () => {
    for (const camera of cameras) {
      expect(chooseCondition(camera, 0)).toEqual([]);
      const severities = Array.from({ length: 200 }, (_, image) => chooseCondition(camera, image)[0]?.severity ?? 0);
      expect(severities).toEqual([...severities].sort());
      expect(severities.at(-1)).toBe(camera.from.at(-1)?.severity ?? 0);
    }
  });
});
