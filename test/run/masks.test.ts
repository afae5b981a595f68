import { describe, expect, it } from 'vitest';
import { Masks, readSource } from '../../src/run/masks.ts';

describe('masks by source', () => {
  const settings = [{ mask: '0,0,0.1,0.1' }, { sources: ['front', 'yard-*'], mask: '0.5,0.5,1,0.5,0.75,1' }];

  it('hide of an image that is of no source what is hidden of all', async () => {
    const masks = await Masks.open(settings);
    expect(masks.find()?.masks).toHaveLength(1);
    expect(masks.find('yard-7')?.masks).toHaveLength(2);
    expect((await Masks.open([settings[1]])).find()).toBeUndefined();
    expect((await Masks.open()).key).toBeUndefined();
  });

  it('are the same on another machine', async () => {
    const masks = await Masks.open(settings);
    const sent = new Masks(JSON.parse(JSON.stringify(masks.entries)));
    expect(sent.key).toBe(masks.key);
    expect(sent.find('front')).toEqual(masks.find('front'));
    expect((await Masks.open([settings[0]])).key).not.toBe(masks.key);
  });

  it('are bounded by what all of them could take together, as a job of a queue may bring them', () => {
    const square = (side: number, runs = 2) => ({
      mask: { width: side, height: side, runs: Array.from({ length: runs }, () => 1) },
    });
    // A thousand on one grid are as many cells as one.
    expect(new Masks(Array.from({ length: 1000 }, () => square(1000))).find()?.masks).toHaveLength(1000);
    const many = [
      Array.from({ length: 40 }, (_, i) => square(1000 - i)),
      Array.from({ length: 41 }, () => square(9, 50_000)),
    ];
    for (const entries of many) {
      expect(() => new Masks(entries)).toThrow(expect.objectContaining({ code: 'STOPLINE_ERR_OPTION_INVALID' }));
    }
  });

  it('know a source by the column of that name, if it is a text', () => {
    expect(readSource({ columns: { source: 'front' } })).toBe('front');
    expect(readSource({ columns: { source: 7 } })).toBeUndefined();
    expect(readSource({})).toBeUndefined();
  });
});
