import { expect, test } from 'vitest';
import { blindTo, type Power } from '../src/power.ts';

test('a profile is blind to a cause of which even the strongest kind is seen on less than half of the images', () => {
  const power: Power = {
    images: 20,
    clean: 0,
    causes: [
      { cause: 'fog', warn: [0.2, 0.6, 1, 1, 1], block: [0, 0, 0, 0, 0], detectedFrom: 3 },
      { cause: 'elastic', warn: [0, 0.1, 0.2, 0.3, 0.45], block: [0, 0, 0, 0, 0] },
    ],
  };
  expect(blindTo(power)).toEqual(['elastic']);
});
