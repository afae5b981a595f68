import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { StoplineError } from '../../errors.ts';
import { describeReason, quotePath } from '../../image/file.ts';

/**
 * Opens a regular file to be read from front to end. What the path leads to by a link, a pipe or a device is not opened.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE
 */
export async function openRegular(path: string, shown: string): Promise<Readable> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((cause) => {
    const code = cause.code === 'ENOENT' ? 'INPUT_NOT_FOUND' : 'INPUT_UNREADABLE';
    const reason = cause.code === 'ELOOP' ? 'it is a symbolic link' : describeReason(cause);
    throw new StoplineError(code, `${quotePath(shown)} cannot be opened: ${reason}.`, { cause });
  });
  if ((await file.stat()).isFile()) return file.createReadStream();
  await file.close();
  throw new StoplineError('INPUT_UNREADABLE', `Expected a regular file but ${quotePath(shown)} is not one.`);
}
