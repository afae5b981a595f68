import { expect, it } from 'vitest';
import { MemoryStates } from '../../../src/server/store/memorystates.ts';
import { random } from '../../fixtures/frames.ts';

it('gives back what was put there, and lets those go that were written longest ago', () => {
  const uniform = random(3);
  // Noise does not become shorter by packing, which adds five bytes.
  const noise = (length: number) => Uint8Array.from({ length }, () => Math.floor(uniform() * 256));
  const [a, b, c] = [noise(395), noise(295), noise(295)];
  const states = new MemoryStates(1000);
  for (const [source, state] of [
    ['a', noise(395)],
    ['b', b],
    ['a', a],
    ['c', c],
  ] as const) {
    states.put(source, state);
  }
  expect(states.bytes).toBe(1000);
  expect([states.get('a'), states.get('b'), states.get('c'), states.get('d')]).toEqual([a, b, c, undefined]);
  states.put('d', new Uint8Array(50_000));
  // Zeros are packed to next to nothing, but there was no room at all for it.
  expect([states.get('b'), states.get('d')]).toEqual([undefined, new Uint8Array(50_000)]);
  expect(states.bytes).toBeLessThan(1000);
  states.remove('a');
  states.remove('never there');
  expect(states.get('a')).toBeUndefined();
  states.put('e', noise(5000));
  expect([states.get('c'), states.get('d'), states.get('e'), states.bytes]).toEqual([
    undefined,
    undefined,
    undefined,
    0,
  ]);
});

it('keeps nothing of a state that was replaced', () => {
  const uniform = random(4);
  const state = Uint8Array.from({ length: 20_000 }, () => Math.floor(uniform() * 256));
  const states = new MemoryStates(2 ** 20);
  states.put('a', state);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 500; i++) states.put('a', state);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  expect(states.get('a')).toEqual(state);
});
