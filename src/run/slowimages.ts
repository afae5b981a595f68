import type { Frame } from '../image/frame.ts';

/** Nanoseconds of one core for each pixel, measured on images of 24 megapixels of noise; only their ratios matter. */
const perPixel = { baseline: 15, progressive: 60, arithmetic: 120, png: 45, webp: 40, decoded: 10 };
/** Segments of a JPEG that are looked at for its size. */
const maxSegments = 64;
/** An image is slow when it takes so many times as long as an ordinary one. */
const slowFactor = 8;
/** Nothing that takes less than this is slow, in nanoseconds: a pool of thumbnails may well judge a photograph. */
const leastNs = 200e6;
/** The quantile of the estimates that stands for an ordinary image, and how far one image moves it, as a factor. */
const ordinaryShare = 0.25;
const step = 1.1;

/**
 * Tells images that will take far longer than most of those that came of late, from their headers alone. What is ordinary is the
 * lower quartile of the estimates, so a camera whose images are all large has none that are slow, and a run of slow images in
 * between does not become ordinary.
 */
export class SlowImages {
  #ordinaryNs: number | undefined;

  isSlow(image: Uint8Array | Frame): boolean {
    const ns = image instanceof Uint8Array ? estimateNs(image) : image.width * image.height * perPixel.decoded;
    this.#ordinaryNs ??= ns;
    this.#ordinaryNs *= ns < this.#ordinaryNs ? step ** (ordinaryShare - 1) : step ** ordinaryShare;
    return ns > leastNs && ns > this.#ordinaryNs * slowFactor;
  }
}

/** What an image will cost to decode and to measure, in nanoseconds; 0 for what is no image and is refused at once. */
export function estimateNs(bytes: Uint8Array): number {
  if (bytes.length < 30) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(0) === 0xffd8) return estimateJpeg(view);
  if (view.getUint32(0) === 0x89504e47) return view.getUint32(16) * view.getUint32(20) * perPixel.png;
  if (view.getUint32(0) === 0x52494646) return countWebpPixels(view) * perPixel.webp;
  return 0;
}

function estimateJpeg(view: DataView): number {
  let at = 2;
  for (let segment = 0; segment < maxSegments && at + 9 < view.byteLength; segment++) {
    if (view.getUint8(at) !== 0xff) return 0;
    const type = view.getUint8(at + 1);
    const isFrame = type >= 0xc0 && type <= 0xcf && type !== 0xc4 && type !== 0xc8 && type !== 0xcc;
    if (isFrame) {
      const kind = type >= 0xc9 ? 'arithmetic' : type === 0xc2 ? 'progressive' : 'baseline';
      return view.getUint16(at + 5) * view.getUint16(at + 7) * perPixel[kind];
    }
    at += 2 + view.getUint16(at + 2);
  }
  return 0;
}

/** The three kinds of WebP keep their size in three places. */
function countWebpPixels(view: DataView): number {
  switch (view.getUint32(12)) {
    case 0x56503858: {
      const side = (at: number) => 1 + (view.getUint16(at, true) | (view.getUint8(at + 2) << 16));
      return side(24) * side(27);
    }
    case 0x5650384c: {
      const bits = view.getUint32(21, true);
      return ((bits & 0x3fff) + 1) * (((bits >>> 14) & 0x3fff) + 1);
    }
    case 0x56503820:
      return (view.getUint16(26, true) & 0x3fff) * (view.getUint16(28, true) & 0x3fff);
    default:
      return 0;
  }
}
