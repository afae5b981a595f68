/** Tag of the orientation entry, EXIF 2.32 section 4.6.4. */
const orientationTag = 0x0112;
const shortType = 3;
const entryBytes = 12;

/**
 * Orientation from a TIFF header (the payload of EXIF, without the `Exif\0\0` of JPEG).
 * Reads one entry list (IFD0) and follows no other offset, so a looping or lying file costs one bounded pass.
 * @param bytes the whole file
 * @param start first byte of the TIFF header
 * @param end one past the last byte that belongs to the EXIF payload
 * @returns 1 to 8; 1 when there is no valid entry: a broken EXIF block never makes an image unreadable
 */
export function readOrientation(bytes: Uint8Array, start: number, end: number): number {
  if (end > bytes.length || end - start < 8) return 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, end - start);
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return 1;
  const little = order === 0x4949;
  if (view.getUint16(2, little) !== 42) return 1;
  const list = view.getUint32(4, little);
  if (list < 8 || list + 2 > view.byteLength) return 1;
  const room = Math.floor((view.byteLength - list - 2) / entryBytes);
  const entries = Math.min(view.getUint16(list, little), room);
  for (let entry = 0; entry < entries; entry++) {
    const at = list + 2 + entry * entryBytes;
    if (view.getUint16(at, little) !== orientationTag) continue;
    if (view.getUint16(at + 2, little) !== shortType || view.getUint32(at + 4, little) !== 1) return 1;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}
