import { StoplineError } from '../errors.ts';

/**
 * Checks a frame once at the edge, for both builds.
 * @throws `FRAME_INVALID`
 */
export function checkFrame(data: Uint8Array, width: number, height: number, channels: number): void {
  if (!(data instanceof Uint8Array))
    throw new StoplineError('FRAME_INVALID', `Expected a Uint8Array for data but received ${typeof data}.`);
  if (!Number.isInteger(width) || width < 1)
    throw new StoplineError('FRAME_INVALID', `Expected a whole number of pixels for width but received ${width}.`);
  if (!Number.isInteger(height) || height < 1)
    throw new StoplineError('FRAME_INVALID', `Expected a whole number of pixels for height but received ${height}.`);
  if (channels !== 1 && channels !== 3 && channels !== 4)
    throw new StoplineError('FRAME_INVALID', `Expected 1, 3 or 4 for channels but received ${channels}.`);
  if (data.length !== width * height * channels)
    throw new StoplineError(
      'FRAME_INVALID',
      `Expected ${width} * ${height} * ${channels} = ${width * height * channels} bytes for data but received ${data.length}.`,
    );
}
