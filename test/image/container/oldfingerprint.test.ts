import sharp from 'sharp';
import { expect, test } from 'vitest';
import { findOldFingerprint } from '../../../src/image/container/oldfingerprint.ts';
import {
  exifSegment,
  findJpegMarker,
  jpegSegment,
  jpegSkeleton,
  picture,
  png,
  pngChunk,
  tiffOrientation,
  withJpegSegments,
  withPngChunks,
} from '../../fixtures/images.ts';

const flat = () => sharp({ create: { width: 40, height: 30, channels: 3, background: '#888' } });

test('fingerprints are those that commit 63a478e gave the same files', async () => {
  const files: [expected: string, bytes: Buffer][] = [
    ['4860bcc256e0a206', jpegSkeleton(64, 64)],
    ['e543a6a2c4f15546', jpegSkeleton(64, 64, 1, 2, 0xc2)],
    ['8f6dd5f599c39765', png({ width: 30, height: 20 }, Buffer.alloc(91 * 20))],
    ['832670527847e5a3', await flat().webp().toBuffer()],
    ['e4545430a9c7bdf9', await flat().jpeg({ optimiseCoding: false }).withMetadata({ orientation: 1 }).toBuffer()],
    ['f7b4a323bbbffd63', await flat().png().toBuffer()],
  ];
  for (const [expected, bytes] of files) expect(findOldFingerprint(bytes, {})).toBe(expected);
});

test('the same picture with other metadata, Huffman tables or restart markers is found in an old Profile', async () => {
  const plain = await picture(64, 48).jpeg({ quality: 80 }).toBuffer();
  const usual = await picture(64, 48).jpeg({ quality: 80, optimiseCoding: false }).toBuffer();
  const scan = findJpegMarker(plain, 0xda);
  const restarts = Buffer.concat([
    plain.subarray(0, scan),
    jpegSegment(0xdd, Buffer.from([0, 4])),
    plain.subarray(scan),
  ]);
  const variants = [
    withJpegSegments(plain, exifSegment(tiffOrientation(1))),
    withJpegSegments(plain, jpegSegment(0xfe, Buffer.from('x')), jpegSegment(0xe2, Buffer.from('ICC_PROFILE\0'))),
    usual,
    restarts,
  ];
  const own = findOldFingerprint(plain, {});
  for (const bytes of variants) {
    expect(findOldFingerprint(bytes, {})).not.toBe(own);
    expect(findOldFingerprint(bytes, { [own]: 90 })).toBe(own);
  }
  // The other way round: the reference has EXIF, the image has none.
  const withExif = findOldFingerprint(variants[0]!, {});
  expect(findOldFingerprint(plain, { [withExif]: 90 })).toBe(withExif);
  const other = await picture(64, 48).jpeg({ quality: 79 }).toBuffer();
  expect(findOldFingerprint(other, { [own]: 90 })).not.toBe(own);
  const image = png({ width: 30, height: 20 }, Buffer.alloc(91 * 20));
  const known = findOldFingerprint(image, {});
  expect(findOldFingerprint(withPngChunks(image, pngChunk('tEXt', Buffer.from('a\0b'))), { [known]: 9 })).toBe(known);
});
