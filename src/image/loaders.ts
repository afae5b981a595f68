import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import sharp from 'sharp';
import { StoplineError } from '../errors.ts';

// libvips picks a loader by the bytes, whatever the name says: an SVG called .jpg is rendered by default, and unfuzzed
// loaders have been a way to run code (CVE-2026-66066). So every loader is blocked, for the whole process and before
// the first image, save the three that read JPEG, PNG and WebP from memory. Between the two calls (0.1 ms) nothing can
// be decoded, so threads started by one that has made them do not make them again.
const allowList = 'stopline: loaders of libvips';
if (getEnvironmentData(allowList) !== 'set') {
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer'],
  });
  setEnvironmentData(allowList, 'set');
}
// Inputs do not repeat, and the worker threads above libvips already use every core.
sharp.cache(false);
sharp.concurrency(1);

/** The smallest files of formats that libvips reads unless it is told not to: by the oldest library, by itself, by text. */
const unwanted = {
  SVG: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"/>'),
  GIF: Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64'),
  TIFF: Buffer.from(
    'SUkqAAgAAAAIAAABAwABAAAAAQAAAAEBAwABAAAAAQAAAAIBAwABAAAACAAAAAMBAwABAAAAAQAAAAYBAwABAAAAAQAAABEBBAABAAAAbgAAABYBAwABAAAAAQAAABcBBAABAAAAAQAAAAAAAAAA',
    'base64',
  ),
};

/**
 * Asks libvips for what it must refuse, in the process that decodes images.
 * @throws {StoplineError} RUNTIME_UNSAFE when a loader outside the allow-list is at work
 */
export async function checkLoaders(): Promise<void> {
  for (const [format, bytes] of Object.entries(unwanted)) {
    const isRead = await sharp(bytes)
      .metadata()
      .then(
        () => true,
        () => false,
      );
    if (isRead) throw new StoplineError('RUNTIME_UNSAFE', `Expected libvips to refuse ${format} but it reads it.`);
  }
}
