import { describe, expect, it } from 'vitest';
import { estimateNs, SlowImages } from '../../src/run/slowimages.ts';
import { picture } from '../fixtures/images.ts';

/** A JPEG header of that size and kind of frame; nothing else of it is looked at. */
function header(width: number, height: number, type = 0xc0): Uint8Array {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  bytes.set([0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, type, 0, 11, 8]);
  view.setUint16(13, height);
  view.setUint16(15, width);
  return bytes;
}

describe('the cost of an image', () => {
  it('is read off the headers of all three formats', async () => {
    const image = picture(64, 48);
    const sizes = await Promise.all([
      image.clone().jpeg().toBuffer(),
      image.clone().jpeg({ progressive: true }).toBuffer(),
      image.clone().png().toBuffer(),
      image.clone().webp().toBuffer(),
      image.clone().webp({ lossless: true }).toBuffer(),
      image
        .clone()
        .webp()
        .withExif({ IFD0: { Copyright: 'x' } })
        .toBuffer(),
    ]);
    const pixels = 64 * 48;
    expect(sizes.map((bytes) => estimateNs(bytes) / pixels)).toEqual([15, 60, 45, 40, 40, 40]);
  });

  it('of what is no image is nothing', () => {
    for (const bytes of [
      new Uint8Array(0),
      new Uint8Array(100),
      Buffer.from('\xff\xd8\xff\xd8'.repeat(20), 'latin1'),
    ]) {
      expect(estimateNs(bytes)).toBe(0);
    }
  });
});

describe('SlowImages', () => {
  const ordinary = header(1920, 1080);
  const slow = header(6000, 4000, 0xc9);

  it('tells an image that takes far longer than the ordinary ones, however many of them come', () => {
    const images = new SlowImages();
    for (let i = 0; i < 50; i++) expect(images.isSlow(ordinary)).toBe(false);
    // Half of all, for a long time.
    for (let i = 0; i < 500; i++) expect([images.isSlow(slow), images.isSlow(ordinary)]).toEqual([true, false]);
  });

  it('calls no image slow where all are large', () => {
    const images = new SlowImages();
    for (let i = 0; i < 100; i++) expect(images.isSlow(slow)).toBe(false);
  });

  it('calls no image slow that takes little, beside thumbnails', () => {
    const images = new SlowImages();
    for (let i = 0; i < 50; i++) images.isSlow(header(64, 64));
    expect(images.isSlow(ordinary)).toBe(false);
  });
});
