import { describe, expect, it } from 'vitest';
import { cutBox, readBox } from '../../../src/run/inputs/box.ts';

describe('readBox', () => {
  const box = { x: 1, y: 2, width: 30, height: 4.5 };

  it.each([
    ['columns', { x: 1, y: '2', width: 30, height: '4.5' }],
    ['columns that are called as those of a row', { x: 1, y: 2, manifest_width: 30, manifest_height: 4.5 }],
    ['a list as COCO has it', { bbox: '[1, 2, 30, 4.5]' }],
    ['numbers between spaces', { bbox: '1 2 30 4.5' }],
  ])('takes %s', (_, columns) => {
    expect(readBox({ name: 'a.jpg', columns })).toEqual(box);
  });

  it.each([
    ['nothing', {}],
    ['three numbers', { bbox: '1 2 3' }],
    ['an empty cell', { x: 1, y: 2, width: '', height: 3 }],
    ['no height', { x: 1, y: 2, width: 3, height: 0 }],
    ['a word', { x: 'left', y: 2, width: 3, height: 4 }],
  ])('refuses %s', (_, columns) => {
    expect(() => readBox({ name: 'a.jpg', columns })).toThrow(/Expected a box of .*a\.jpg/);
  });
});

describe('cutBox', () => {
  /** 4x3 pixels, each with its place as its colour. */
  const data = Array.from({ length: 12 }, (_, i) => [i, i, i]).flat();
  const frame = { data: Uint8Array.from(data), width: 4, height: 3, channels: 3 as const };
  const places = (cut: ReturnType<typeof cutBox>) => [...(cut?.data ?? [])].filter((_, i) => i % 3 === 0);
  const size = { width: 4, height: 3 };

  it('takes the pixels of the box, and cuts off what lies outside', () => {
    expect(places(cutBox(frame, { x: 1, y: 1, width: 2, height: 2 }, size))).toEqual([5, 6, 9, 10]);
    expect(cutBox(frame, { x: 2, y: -5, width: 10, height: 6 }, size)).toMatchObject({ width: 2, height: 1 });
    expect(cutBox(frame, { x: 4, y: 0, width: 2, height: 2 }, size)).toBeUndefined();
  });

  it('knows the box of an image that was made smaller, and of one that was turned', () => {
    expect(places(cutBox(frame, { x: 2, y: 2, width: 4, height: 4 }, { width: 8, height: 6 }))).toEqual([5, 6, 9, 10]);
    expect(places(cutBox(frame, { x: 2, y: 2, width: 4, height: 4 }, { width: 6, height: 8 }))).toEqual([5, 6, 9, 10]);
  });
});
