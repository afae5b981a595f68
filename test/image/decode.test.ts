import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { StoplineError } from '../../src/errors.ts';
import { readContainer } from '../../src/image/container/read.ts';
import { decode, decoderVersion } from '../../src/image/decode.ts';
import { decodeRule, inspectionPixels } from '../../src/image/decoderule.ts';
import { checkFrame, defaultLimits, type Frame } from '../../src/image/frame.ts';
import {
  animationControl,
  exifSegment,
  findJpegMarker,
  jpegSegment,
  jpegSkeleton,
  noiseBytes,
  otherFiles,
  picture,
  png,
  pngChunk,
  scanBomb,
  tiffOrientation,
  webp,
  webpCanvas,
  webpChunk,
  withFrameHeader,
  withJpegSegments,
  withPngChunks,
} from '../fixtures/images.ts';

async function catchCode(bytes: Uint8Array, limits = {}): Promise<string> {
  try {
    await decode(bytes, limits);
    return 'decoded';
  } catch (error) {
    if (!(error instanceof StoplineError)) throw error;
    return error.code.replace('STOPLINE_ERR_', '');
  }
}

/** Pixels of a Frame as a function of position, for tests that state what must stand where. */
function pixels(frame: Frame) {
  return (x: number, y: number) => [...frame.data.subarray(3 * (y * frame.width + x), 3 * (y * frame.width + x) + 3)];
}

/** PNG rows of `width` pixels of `size` bytes each, made by `pixel`. */
function rows(width: number, height: number, size: number, pixel: (x: number, y: number) => number[]): Buffer {
  const data = Buffer.alloc((1 + width * size) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set(pixel(x, y), y * (1 + width * size) + 1 + x * size);
  }
  return data;
}

const jpeg = await picture(64, 48).jpeg().toBuffer();

describe('the conversion rule', () => {
  const size = { width: 64, height: 48 };

  test('8-bit RGB comes through unchanged, from PNG and lossless WebP', async () => {
    const raw = await picture(64, 48).raw().toBuffer();
    for (const image of [
      picture(64, 48).png(),
      picture(64, 48).webp({ lossless: true }),
      picture(64, 48).png({ progressive: true }),
    ]) {
      const { frame } = await decode(await image.toBuffer());
      expect(frame).toMatchObject({ ...size, channels: 3 });
      expect(Buffer.from(frame.data)).toEqual(raw);
    }
  });

  test('a JPEG decodes to what sharp alone gives', async () => {
    const { frame } = await decode(jpeg);
    expect(Buffer.from(frame.data)).toEqual(await sharp(jpeg).raw().toBuffer());
  });

  test('16 bit becomes 8 by dropping the low byte, in colour and grey', async () => {
    const value = (x: number, y: number, channel: number) => (x * 2051 + y * 127 + channel * 40_009) & 0xffff;
    const bytes = (values: number[]) => values.flatMap((v) => [v >> 8, v & 255]);
    const colour = rows(64, 48, 6, (x, y) => bytes([value(x, y, 0), value(x, y, 1), value(x, y, 2)]));
    const grey = rows(64, 48, 2, (x, y) => bytes([value(x, y, 0)]));
    const inColour = pixels((await decode(png({ ...size, bitDepth: 16 }, colour))).frame);
    const inGrey = pixels((await decode(png({ ...size, bitDepth: 16, colourType: 0 }, grey))).frame);
    for (let y = 0; y < 48; y++) {
      for (let x = 0; x < 64; x++) {
        expect(inColour(x, y)).toEqual([0, 1, 2].map((channel) => value(x, y, channel) >> 8));
        expect(inGrey(x, y)).toEqual(Array(3).fill(value(x, y, 0) >> 8));
      }
    }
  });

  test('alpha is dropped and not blended, with and without shrinking', async () => {
    const alpha = rows(64, 48, 4, (x, y) => [x, y, 200, x < 32 ? 0 : 255]);
    const rgba = pixels((await decode(png({ ...size, colourType: 6 }, alpha))).frame);
    expect(rgba(5, 7)).toEqual([5, 7, 200]);
    expect(rgba(40, 7)).toEqual([40, 7, 200]);
    const greyAlpha = pixels(
      (
        await decode(
          png(
            { ...size, colourType: 4 },
            rows(64, 48, 2, (x) => [x, 0]),
          ),
        )
      ).frame,
    );
    expect(greyAlpha(9, 9)).toEqual([9, 9, 9]);
    const [width, height] = [2000, 1100];
    const large = png(
      { width, height, colourType: 6 },
      rows(width, height, 4, (x) => [60, 120, 180, x & 255]),
    );
    const { frame } = await decode(large);
    expect(frame).toMatchObject({ width: 1000, height: 550 });
    expect(new Set(frame.data)).toEqual(new Set([60, 120, 180]));
    const lossless = await decode(await sharp(large).webp({ lossless: true, exact: true }).toBuffer());
    expect(new Set(lossless.frame.data)).toEqual(new Set([60, 120, 180]));
  });

  test('1, 2 and 4 bit grey spans 0 to 255, palettes give their colours', async () => {
    for (const bitDepth of [1, 2, 4]) {
      const perByte = 8 / bitDepth;
      const data = rows(64 / perByte, 48, 1, () => [0b00011011]);
      const read = pixels((await decode(png({ ...size, bitDepth, colourType: 0 }, data))).frame);
      const expected = { 1: [0, 0, 0, 255], 2: [0, 85, 170, 255], 4: [17, 187, 17, 187] }[bitDepth]!;
      expect([0, 1, 2, 3].map((x) => read(x, 0)[0])).toEqual(expected);
    }
    const palette = pngChunk('PLTE', Buffer.from([10, 20, 30, 200, 100, 50]));
    const transparent = pngChunk('tRNS', Buffer.from([0, 128]));
    for (const chunks of [[palette], [palette, transparent]]) {
      const file = png(
        { ...size, bitDepth: 1, colourType: 3 },
        rows(8, 48, 1, () => [0b01010101]),
        chunks,
      );
      const read = pixels((await decode(file)).frame);
      expect([read(0, 0), read(1, 0)]).toEqual([
        [10, 20, 30],
        [200, 100, 50],
      ]);
    }
  });

  test('the embedded profile of a CMYK image is used', async () => {
    const cmyk = picture(64, 48).toColourspace('cmyk').jpeg({ quality: 100 });
    const tagged = await cmyk.clone().withIccProfile('cmyk').toBuffer();
    const managed = await sharp(tagged).toColourspace('srgb').raw().toBuffer();
    expect(Buffer.from((await decode(tagged)).frame.data)).toEqual(managed);
  });

  test('a grey JPEG gives three equal channels', async () => {
    const { frame, container } = await decode(await picture(64, 48).toColourspace('b-w').jpeg().toBuffer());
    expect(container.channels).toBe(1);
    expect(frame.data.length).toBe(64 * 48 * 3);
    for (let i = 0; i < frame.data.length; i += 3) expect(frame.data[i]).toBe(frame.data[i + 1]);
  });

  test('CMYK is converted to sRGB near the colours it was made from, with and without a profile', async () => {
    for (const [r, g, b] of [
      [200, 60, 50],
      [128, 128, 128],
      [60, 90, 160],
    ] as const) {
      const flat = sharp({ create: { width: 64, height: 48, channels: 3, background: { r, g, b } } });
      const cmyk = flat.toColourspace('cmyk').jpeg({ quality: 100 });
      for (const image of [cmyk, cmyk.clone().withIccProfile('cmyk')]) {
        const { frame, container } = await decode(await image.toBuffer());
        expect(container).toMatchObject({ colour: 'cmyk', channels: 4 });
        // The perceptual intent compresses the gamut: up to 27 DN measured. Unconverted or inverted ink is over 60 off.
        const worst = Math.max(...pixels(frame)(20, 20).map((value, i) => Math.abs(value - [r, g, b][i]!)));
        expect(worst).toBeLessThanOrEqual(30);
      }
    }
  });

  test('an embedded ICC profile does not change the pixels', async () => {
    const raw = await picture(64, 48).raw().toBuffer();
    const tagged = sharp(raw, { raw: { width: 64, height: 48, channels: 3 } }).withIccProfile('p3', { attach: true });
    const bytes = await tagged.png().toBuffer();
    expect(bytes.includes('iCCP')).toBe(true);
    const stored = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
    const managed = await sharp(bytes).raw().toBuffer();
    expect(managed.equals(stored)).toBe(false);
    expect(Buffer.from((await decode(bytes)).frame.data)).toEqual(stored);
  });

  test('names itself and its decoder', () => {
    expect(decodeRule).toContain(`${inspectionPixels}`);
    expect(decoderVersion).toMatch(
      /^sharp 0\.\d+\.\d+ libvips 8\.\d+\.\d+ mozjpeg \w+ png 1\.\d+\.\d+ webp 1\.\d+\.\d+$/,
    );
  });
});

describe('orientation', () => {
  // EXIF 2.32, section 4.6.4: where the stored pixel (x, y) of a w x h image is shown.
  const shown: Record<number, (x: number, y: number, w: number, h: number) => [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y, w) => [w - 1 - x, y],
    3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
    4: (x, y, _, h) => [x, h - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y, _, h) => [h - 1 - y, x],
    7: (x, y, w, h) => [h - 1 - y, w - 1 - x],
    8: (x, y, w) => [y, w - 1 - x],
  };
  const [w, h] = [40, 24];

  test.each(Object.keys(shown).map(Number))('%i is applied, in JPEG, PNG and WebP', async (orientation) => {
    const stored = picture(w, h);
    const [jpegFile, pngFile, webpFile] = await Promise.all([
      stored.clone().jpeg({ chromaSubsampling: '4:4:4' }).toBuffer(),
      stored.clone().png().toBuffer(),
      stored.clone().webp({ lossless: true }).toBuffer(),
    ]);
    const tiff = tiffOrientation(orientation, orientation % 2 ? 'II' : 'MM');
    const pairs: [Buffer, Buffer][] = [
      [jpegFile, withJpegSegments(jpegFile, exifSegment(tiff))],
      [pngFile, withPngChunks(pngFile, pngChunk('eXIf', tiff))],
      [webpFile, webp(webpCanvas(w, h, 8), webpFile.subarray(12), webpChunk('EXIF', tiff))],
    ];
    for (const [plain, turned] of pairs) {
      const before = pixels((await decode(plain)).frame);
      const { frame, container } = await decode(turned);
      const after = pixels(frame);
      expect(container).toMatchObject({ orientation, width: w, height: h });
      expect([frame.width, frame.height]).toEqual(orientation < 5 ? [w, h] : [h, w]);
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) expect(after(...shown[orientation]!(x, y, w, h))).toEqual(before(x, y));
      }
    }
  });

  test('is applied after shrinking', async () => {
    const bytes = await picture(2000, 1100).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    const { frame } = await decode(bytes);
    expect([frame.width, frame.height]).toEqual([550, 1000]);
  });
});

describe('inspection size', () => {
  test.each([
    ['png', 1920, 1080, 1920, 1080],
    ['png', 2100, 1000, 2100, 1000],
    ['png', 2101, 1000, 1050, 500],
    ['jpeg', 2101, 1001, 1050, 500],
    ['webp', 2101, 1001, 1050, 500],
    ['jpeg', 4201, 2003, 1050, 500],
    ['webp', 4201, 2003, 1050, 500],
    ['png', 4201, 2003, 1050, 500],
    ['jpeg', 8000, 4500, 1000, 562],
  ] as const)('%s of %i x %i is inspected as %i x %i', async (format, width, height, across, down) => {
    const flat = sharp({ create: { width, height, channels: 3, background: { r: 50, g: 100, b: 150 } } });
    const { frame, container } = await decode(
      await flat.toFormat(format, format === 'webp' ? { lossless: true, effort: 0 } : {}).toBuffer(),
    );
    expect([frame.width, frame.height]).toEqual([across, down]);
    expect([container.width, container.height]).toEqual([width, height]);
    // A flat image stays flat: no ringing, no darkened border. JPEG rounds the colour itself.
    const [red, green, blue] = [50, 100, 150];
    let worst = 0;
    for (let i = 0; i < frame.data.length; i++) {
      worst = Math.max(worst, Math.abs(frame.data[i]! - [red, green, blue][i % 3]!));
    }
    expect(worst).toBeLessThanOrEqual(format === 'jpeg' ? 2 : 0);
  });

  test('the last halving is the linear reduction 1 3 3 1, the one before it a 2x2 box', async () => {
    // [factor, side, side]: even multiples, so that the ratio is exact and positions are too.
    for (const [factor, width, height] of [
      [2, 2052, 1030],
      [4, 4200, 2400],
    ] as const) {
      const raw = noiseBytes(width * height * 3, factor);
      const bytes = await sharp(raw, { raw: { width, height, channels: 3 } })
        .png({ compressionLevel: 0 })
        .toBuffer();
      const { frame } = await decode(bytes);
      const half = factor / 2;
      const clamp = (value: number, side: number) => Math.min(side - 1, Math.max(0, value));
      const box = (x: number, y: number, channel: number) => {
        const left = half * clamp(x, width / half);
        const top = half * clamp(y, height / half);
        let sum = 0;
        for (let j = 0; j < half; j++) {
          for (let i = 0; i < half; i++) sum += raw[((top + j) * width + left + i) * 3 + channel]!;
        }
        return sum / half ** 2;
      };
      const taps = [1, 3, 3, 1];
      let worst = 0;
      for (let y = 0; y < frame.height; y += 13) {
        for (let x = 0; x < frame.width; x += 11) {
          for (let channel = 0; channel < 3; channel++) {
            let sum = 0;
            for (let j = 0; j < 4; j++) {
              for (let i = 0; i < 4; i++) sum += taps[i]! * taps[j]! * box(2 * x - 1 + i, 2 * y - 1 + j, channel);
            }
            worst = Math.max(worst, Math.abs(sum / 64 - frame.data[(y * frame.width + x) * 3 + channel]!));
          }
        }
      }
      // libvips rounds to 8 bits after each of two (factor 2) or four (factor 4) passes.
      expect(worst).toBeLessThanOrEqual(factor === 2 ? 1 : 2);
    }
  });

  test('a shrunk JPEG is the same picture as the shrunk PNG it was made from', async () => {
    const image = picture(4000, 2400);
    const [lossy, exact] = await Promise.all([
      image.clone().jpeg({ quality: 98, chromaSubsampling: '4:4:4' }).toBuffer(),
      image.clone().png({ compressionLevel: 1 }).toBuffer(),
    ]);
    const [a, b] = [(await decode(lossy)).frame, (await decode(exact)).frame];
    expect([a.width, a.height]).toEqual([b.width, b.height]);
    const mean = a.data.reduce((sum, value, i) => sum + Math.abs(value - b.data[i]!), 0) / a.data.length;
    // DCT scaling and box averaging differ on single-pixel noise; a shift of half a pixel would cost over 3 here.
    expect(mean).toBeLessThan(1.5);
  });
});

describe('limits, checked before decoding', () => {
  const bomb = (width: number, height: number, interlaced = false) =>
    png({ width, height, bitDepth: 1, colourType: 0, interlaced }, Buffer.alloc(64));

  test('bytes, pixels, sides, frames', async () => {
    expect(await catchCode(jpeg, { maxBytes: jpeg.length - 1 })).toBe('IMAGE_TOO_LARGE');
    expect(await catchCode(jpeg, { maxBytes: jpeg.length })).toBe('decoded');
    expect(await catchCode(jpeg, { maxPixels: 64 * 48 - 1 })).toBe('IMAGE_TOO_MANY_PIXELS');
    expect(await catchCode(jpeg, { maxPixels: 64 * 48 })).toBe('decoded');
    expect(await catchCode(jpeg, { maxPixels: undefined })).toBe('decoded');
    expect(await catchCode(jpeg, { minSide: 49 })).toBe('IMAGE_TOO_SMALL');
    expect(await catchCode(bomb(30_000, 30_000))).toBe('IMAGE_TOO_MANY_PIXELS');
    expect(await catchCode(bomb(30_000, 30_000), { maxPixels: undefined, maxSide: undefined })).toBe(
      'IMAGE_TOO_MANY_PIXELS',
    );
    expect(await catchCode(bomb(16_384, 16_384))).toBe('IMAGE_TOO_MANY_PIXELS');
    expect(await catchCode(bomb(16_385, 20))).toBe('IMAGE_TOO_MANY_PIXELS');
    expect(await catchCode(bomb(8000, 8000, true))).toBe('IMAGE_TOO_MANY_PIXELS');
    expect(await catchCode(bomb(1, 1))).toBe('IMAGE_TOO_SMALL');
    expect(await catchCode(bomb(15, 300))).toBe('IMAGE_TOO_SMALL');
    expect(await catchCode(withFrameHeader(jpeg, { width: 65_500, height: 65_500 }))).toBe('IMAGE_TOO_MANY_PIXELS');
    const apng = withPngChunks(await picture(64, 48).png().toBuffer(), animationControl(2));
    expect(await catchCode(apng)).toBe('IMAGE_ANIMATED');
    const frames = await Promise.all([1, 2].map((seed) => picture(40, 24, seed).png().toBuffer()));
    expect(
      await catchCode(
        await sharp(frames, { join: { animated: true } })
          .webp()
          .toBuffer(),
      ),
    ).toBe('IMAGE_ANIMATED');
  });

  test('a progressive image has its own limit', async () => {
    const { maxProgressivePixels, maxPixels } = defaultLimits;
    expect(maxProgressivePixels).toBeLessThan(maxPixels);
    const progressive = await picture(64, 48).jpeg({ progressive: true }).toBuffer();
    const limits = { maxProgressivePixels: 64 * 48 - 1 };
    expect(await catchCode(progressive, limits)).toBe('IMAGE_TOO_MANY_PIXELS');
    expect(await catchCode(jpeg, limits)).toBe('decoded');
  });

  test('a JPEG of 50 kB that costs 64 passes over 24 megapixels is refused, the same at 0.3 megapixels is not', async () => {
    expect(await catchCode(scanBomb(6000, 4000))).toBe('IMAGE_TOO_COMPLEX');
    expect(await catchCode(scanBomb(640, 480))).toBe('decoded');
  });

  test('12-bit and five-component JPEG are unsupported', async () => {
    expect(await catchCode(withFrameHeader(jpeg, { precision: 12 }))).toBe('IMAGE_UNSUPPORTED');
    expect(await catchCode(jpegSkeleton(64, 64, 5))).toBe('IMAGE_UNSUPPORTED');
  });

  test.each(Object.entries(otherFiles))('%s never reaches a decoder', async (name, bytes) => {
    expect(await catchCode(bytes)).toBe('IMAGE_UNSUPPORTED');
    await expect(decode(bytes)).rejects.toThrow(name);
  });

  test('the loaders of other formats stay blocked in this process', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"/>');
    const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAAAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
    for (const bytes of [svg, gif])
      await expect(sharp(bytes).raw().toBuffer()).rejects.toThrow('unsupported image format');
  });
});

describe('damage', () => {
  test('a file cut anywhere is truncated', async () => {
    const files = await Promise.all([
      picture(320, 240).jpeg().toBuffer(),
      picture(320, 240).jpeg({ progressive: true }).toBuffer(),
      picture(320, 240).png().toBuffer(),
      picture(320, 240).webp().toBuffer(),
    ]);
    for (const bytes of files) {
      for (const share of [0.02, 0.1, 0.5, 0.9, 0.99]) {
        expect(await catchCode(bytes.subarray(0, Math.floor(bytes.length * share)))).toBe('IMAGE_TRUNCATED');
      }
      // A JPEG without its end marker, or without half of it, is whole.
      const isJpeg = bytes[0] === 0xff;
      for (const cut of [1, 2]) {
        expect(await catchCode(bytes.subarray(0, -cut))).toBe(isJpeg ? 'decoded' : 'IMAGE_TRUNCATED');
      }
      expect(await catchCode(bytes.subarray(0, -6))).toBe('IMAGE_TRUNCATED');
    }
  });

  test.each(['4:2:0', '4:4:4'])(
    'a cut that is hidden behind an end marker is found, and how much is lost, %s',
    async (chromaSubsampling) => {
      const bytes = await picture(320, 240).jpeg({ chromaSubsampling }).toBuffer();
      for (const share of [0.3, 0.6, 0.9]) {
        const hidden = Buffer.concat([bytes.subarray(0, Math.floor(bytes.length * share)), bytes.subarray(-2)]);
        expect(await catchCode(hidden)).toBe('IMAGE_CORRUPT');
        await expect(decode(hidden)).rejects.toThrow(/the data of scan 1 end after \d+ of \d+ units/);
      }
    },
  );

  test('a frame header that promises more than the data holds', async () => {
    const bytes = await picture(320, 240).jpeg().toBuffer();
    for (const header of [{ height: 248 }, { width: 640 }, { width: 5000, height: 5000 }]) {
      expect(await catchCode(withFrameHeader(bytes, header))).toBe('IMAGE_CORRUPT');
    }
    const short = png({ width: 320, height: 240 }, Buffer.alloc(961 * 100));
    expect(await catchCode(short)).toBe('IMAGE_CORRUPT');
    expect(await catchCode(png({ width: 2400, height: 2400, interlaced: true }, Buffer.alloc(9000)))).toBe(
      'IMAGE_CORRUPT',
    );
    const lossy = (await picture(320, 240).webp().toBuffer()).subarray(12);
    expect(await catchCode(webp(webpCanvas(400, 240, 0), lossy))).toBe('IMAGE_CORRUPT');
  });

  test('flipped bits in PNG data, markers in the middle of a JPEG scan', async () => {
    const file = await picture(320, 240).png().toBuffer();
    file[file.length >> 1]! ^= 0x10;
    expect(await catchCode(file)).toBe('IMAGE_CORRUPT');
    const bytes = await picture(320, 240).jpeg().toBuffer();
    const middle = (findJpegMarker(bytes, 0xda) + bytes.length) >> 1;
    for (const type of [0xd0, 0xd5, 0xd9]) {
      const broken = Buffer.from(bytes);
      broken.set([0, 0xff, type], middle);
      expect(await catchCode(broken)).toBe('IMAGE_CORRUPT');
    }
  });

  test('oddities that lose no pixel pass: header warnings, trailing bytes, odd metadata', async () => {
    const plain = Buffer.from((await decode(jpeg)).frame.data);
    const spectral = Buffer.from(jpeg);
    const scan = findJpegMarker(spectral, 0xda);
    // "Invalid SOS parameters for sequential JPEG": the end of the spectral selection is 63 in a baseline file.
    spectral[scan + 2 + spectral.readUInt16BE(scan + 2) - 2] = 0;
    const adobe = jpegSegment(0xee, Buffer.from('Adobe\0\x64\0\0\0\0\x4c', 'latin1'));
    const odd = {
      spectral,
      adobe: withJpegSegments(jpeg, adobe),
      trailing: Buffer.concat([jpeg, Buffer.from('<html>')]),
      exif: withJpegSegments(jpeg, exifSegment(Buffer.from('not a TIFF header'))),
      icc: withJpegSegments(jpeg, jpegSegment(0xe2, Buffer.from('ICC_PROFILE\0\x01\x01broken', 'latin1'))),
    };
    for (const [name, bytes] of Object.entries(odd)) {
      const { frame, container } = await decode(bytes);
      expect([name, Buffer.from(frame.data).equals(plain)]).toEqual([name, true]);
      expect(container.trailingBytes).toBe(name === 'trailing' ? 6 : 0);
    }
    const texts = Array<Buffer>(20_000).fill(pngChunk('tEXt', Buffer.from('a\0b')));
    expect(await catchCode(withPngChunks(await picture(64, 48).png().toBuffer(), ...texts))).toBe('decoded');
  });
});

describe('files that fail at the same time', () => {
  test('change nothing for each other: each tells its own fault', async () => {
    // libvips keeps one buffer of error messages for all threads.
    const broken = Buffer.from(jpeg);
    broken.set([0, 0xff, 0xd5], (findJpegMarker(broken, 0xda) + broken.length) >> 1);
    const damaged = Buffer.from(await picture(64, 48).png().toBuffer());
    damaged[damaged.indexOf('IDAT') + 12]! ^= 0xff;
    const odd = withJpegSegments(jpeg, jpegSegment(0xee, Buffer.from('Adobe\0\x64\0\0\0\0\x4c', 'latin1')));
    const lossy = Buffer.from(await picture(64, 48).webp().toBuffer());
    const end = lossy.length;
    lossy.fill(0xff, 40, end);
    const short = png({ width: 320, height: 240 }, Buffer.alloc(961 * 100));
    const files = [broken, damaged, odd, jpeg, lossy, short, jpeg.subarray(0, jpeg.length >> 1)];
    const tell = (bytes: Buffer) =>
      decode(bytes).then(
        () => 'decoded',
        (error: StoplineError) => `${error.code} ${error.message}`,
      );
    const alone: string[] = [];
    for (const bytes of files) alone.push(await tell(bytes));
    expect(alone).toEqual([
      expect.stringMatching(/^STOPLINE_ERR_IMAGE_CORRUPT Expected a JPEG with all of its blocks but /),
      expect.stringMatching(/^STOPLINE_ERR_IMAGE_CORRUPT .* the checksum of its IDAT chunk at byte \d+ is not/),
      'decoded',
      'decoded',
      'STOPLINE_ERR_IMAGE_CORRUPT Expected an intact WebP but the decoder refuses its picture data.',
      'STOPLINE_ERR_IMAGE_CORRUPT Expected an intact PNG but its data hold 96100 of 230640 bytes.',
      expect.stringMatching(/^STOPLINE_ERR_IMAGE_TRUNCATED Expected a JPEG with all of its blocks but /),
    ]);
    const told = await Promise.all(Array.from({ length: 800 }, (_, i) => tell(files[i % files.length]!)));
    expect(told).toEqual(told.map((_, i) => alone[i % files.length]));
  });
});

describe('any bytes', () => {
  test('mutated files end in a coded error or in a Frame of the promised size', async () => {
    const originals = await Promise.all([
      jpeg,
      picture(64, 48).jpeg({ progressive: true }).withMetadata({ orientation: 5 }).toBuffer(),
      picture(64, 48).toColourspace('b-w').jpeg().toBuffer(),
      picture(64, 48).png().toBuffer(),
      picture(64, 48).png({ palette: true, progressive: true }).toBuffer(),
      picture(64, 48).webp().toBuffer(),
      picture(64, 48).ensureAlpha(0.5).webp({ lossless: true }).toBuffer(),
    ]);
    // Not fc.double, which draws most numbers near 0.
    const position = fc.nat(65_535).map((n) => n / 65_536);
    const changes = fc.array(fc.tuple(position, fc.nat(255)), { minLength: 1, maxLength: 8 });
    let decoded = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(originals.length - 1), changes, async (index, list) => {
        const bytes = Buffer.from(originals[index]!);
        for (const [at, value] of list) bytes[Math.floor(at * bytes.length)] = value;
        if ((await catchCode(bytes)) !== 'decoded') return;
        decoded++;
        const { frame, container } = await decode(bytes);
        checkFrame(frame);
        const sides = [container.width, container.height];
        if (container.orientation >= 5) sides.reverse();
        if (container.width * container.height <= inspectionPixels) expect([frame.width, frame.height]).toEqual(sides);
      }),
      { numRuns: 700 },
    );
    expect(decoded).toBeGreaterThan(50);
  });
});

test('decoding survives the moment in which another thread sets the list of blocked loaders', async () => {
  const refused = 'unsupported image format';
  sharp.block({ operation: ['VipsForeignLoad'] });
  await expect(sharp(jpeg).raw().toBuffer()).rejects.toThrow(refused);
  // The queue is empty again when the first attempt has failed.
  const unblock = (waiting: number) => {
    if (waiting > 0) return;
    sharp.unblock({
      operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer'],
    });
  };
  sharp.queue.on('change', unblock);
  try {
    expect(await catchCode(jpeg)).toBe('decoded');
  } finally {
    sharp.queue.off('change', unblock);
    unblock(0);
  }
});

const data = fileURLToPath(new URL('../../../shared/data', import.meta.url));
const files = (folder: string, ...extensions: string[]) =>
  readdirSync(`${data}/${folder}`, { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        entry.isFile() && (extensions.length === 0 || extensions.some((e) => entry.name.toLowerCase().endsWith(e))),
    )
    .map((entry) => `${entry.parentPath}/${entry.name}`);
const present = existsSync(data);
if (!present) process.stderr.write('skipped: real odd files and photographs, ../shared/data is absent\n');

describe.skipIf(!present)('files from the wild', () => {
  test('every odd file gives a Frame or a coded error', async () => {
    const results = new Map<string, number>();
    for (const path of files('hostile')) {
      const code = await catchCode(readFileSync(path));
      results.set(code, (results.get(code) ?? 0) + 1);
    }
    expect(results.get('INTERNAL')).toBeUndefined();
    expect(results.get('decoded')).toBeGreaterThan(50);
    expect([...results.values()].reduce((a, b) => a + b)).toBe(files('hostile').length);
  });

  test('every ordinary photograph decodes', async () => {
    const refused: string[] = [];
    for (const path of files('generic_photos', '.jpg', '.jpeg', '.png')) {
      const code = await catchCode(readFileSync(path));
      if (code !== 'decoded') refused.push(`${path}: ${code}`);
    }
    expect(refused).toEqual([]);
  });

  test('the orientation read is the one libvips reads', async () => {
    for (const path of [...files('hostile/exif_orientation'), ...files('hostile/sharp_fixtures', '.jpg')]) {
      const bytes = readFileSync(path);
      if ((await catchCode(bytes)) !== 'decoded') continue;
      const { orientation = 1 } = await sharp(bytes).metadata();
      expect([path, readContainer(bytes).orientation]).toEqual([path, orientation]);
    }
  });
});

describe('checkFrame', () => {
  const frame: Frame = { data: new Uint8Array(64 * 48 * 3), width: 64, height: 48, channels: 3 };

  test('accepts 1, 3 and 4 channels and views', () => {
    expect(() => checkFrame(frame)).not.toThrow();
    expect(() => checkFrame({ ...frame, data: new Uint8Array(64 * 48), channels: 1 })).not.toThrow();
    expect(() => checkFrame({ ...frame, data: Buffer.alloc(64 * 48 * 4), channels: 4 })).not.toThrow();
  });

  test.each([
    ['no frame', undefined],
    ['null', null],
    ['an array', { ...frame, data: [1, 2, 3] }],
    ['16-bit samples', { ...frame, data: new Uint16Array(64 * 48 * 3) }],
    ['two channels', { ...frame, channels: 2 }],
    ['channels as text', { ...frame, channels: '3' }],
    ['half a pixel', { ...frame, width: 64.5 }],
    ['NaN', { ...frame, height: Number.NaN }],
    ['negative', { ...frame, width: -64, height: -48 }],
    ['too small', { ...frame, data: new Uint8Array(15 * 48 * 3), width: 15 }],
    ['too wide', { ...frame, data: new Uint8Array(16385 * 16 * 3), width: 16385, height: 16 }],
    ['one byte short', { ...frame, data: new Uint8Array(64 * 48 * 3 - 1) }],
    ['one byte long', { ...frame, data: new Uint8Array(64 * 48 * 3 + 1) }],
    ['other channels than the data', { ...frame, channels: 4 }],
  ])('refuses %s', (_, value) => {
    let code: string | undefined;
    try {
      checkFrame(value as Frame);
    } catch (error) {
      code = (error as StoplineError).code;
    }
    expect(code).toBe('STOPLINE_ERR_FRAME_INVALID');
  });

  test('keeps to the limits it is given', () => {
    expect(() => checkFrame(frame, { maxPixels: 64 * 48 - 1 })).toThrow('Expected a frame of at most 3071 pixels');
  });
});
