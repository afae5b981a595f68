/** How the files of image formats begin, also of those that are not judged: a model server might take them. */
const beginnings: readonly { at?: number; bytes: Buffer }[] = [
  { bytes: Buffer.from([0xff, 0xd8, 0xff]) }, // JPEG
  { bytes: Buffer.from('\x89PNG', 'latin1') },
  { bytes: Buffer.from('WEBP'), at: 8 },
  { bytes: Buffer.from('GIF8') },
  { bytes: Buffer.from('II*\0', 'latin1') }, // TIFF
  { bytes: Buffer.from('MM\0*', 'latin1') },
  { bytes: Buffer.from('II+\0', 'latin1') }, // BigTIFF
  { bytes: Buffer.from('MM\0+', 'latin1') },
  { bytes: Buffer.from('ftyp'), at: 4 }, // HEIC, AVIF, video
  { bytes: Buffer.from([0xff, 0x0a]) }, // JPEG XL
  { bytes: Buffer.from('JXL '), at: 4 },
  { bytes: Buffer.from('jP  '), at: 4 }, // JPEG 2000
  { bytes: Buffer.from([0xff, 0x4f, 0xff, 0x51]) },
  { bytes: Buffer.from('DICM'), at: 128 },
  { bytes: Buffer.from([0x76, 0x2f, 0x31, 0x01]) }, // OpenEXR
  { bytes: Buffer.from('8BPS') }, // Photoshop
  { bytes: Buffer.from([0, 0, 1, 0]) }, // ICO
  { bytes: Buffer.from('#?R') }, // Radiance
  { bytes: Buffer.from('qoif') },
  { bytes: Buffer.from('farbfeld') },
  { bytes: Buffer.from('<svg') },
  { bytes: Buffer.from('<?xml') },
  { bytes: Buffer.from('%PDF') },
  { bytes: Buffer.from('\x93NUMPY', 'latin1') },
  { bytes: Buffer.from([0x1a, 0x45, 0xdf, 0xa3]) }, // Matroska
];

/** Whether bytes begin as a file of an image format does, judged or not. */
export function looksLikeImage(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 160));
  if (/^P[1-7fF][\s#]/.test(bytes.toString('latin1', 0, 3))) return true; // PNM
  if (bytes.toString('latin1', 0, 2) === 'BM' && bytes.length > 9 && bytes.readUInt32LE(6) === 0) return true;
  return beginnings.some(({ at = 0, bytes: wanted }) => bytes.subarray(at, at + wanted.length).equals(wanted));
}

const beginningsInBase64 = ['/9j/', '_9j_', 'iVBORw0KGgo', 'UklGR'];

/** How base64 of a JPEG, PNG or WebP begins. */
export const base64Beginnings = new RegExp(beginningsInBase64.join('|'));

/** The same with other signs among the letters, which some readers leave out. */
export const scatteredBeginnings = new RegExp(
  beginningsInBase64.map((letters) => [...letters].join('[^A-Za-z0-9+/_-]*')).join('|'),
);
