import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoplineError } from '../errors.ts';

/**
 * Found out before an hour of measuring, not after it.
 * @throws {StoplineError} OUTPUT_UNWRITABLE
 */
export async function checkWritable(file: string, platform: NodeJS.Platform = process.platform): Promise<void> {
  try {
    await access(dirname(file), constants.W_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'its folder does not exist' : `its folder is not writable (${code})`;
    throw new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${file}" but ${reason}.`, { cause });
  }
  const kind = await stat(file).catch(() => undefined);
  if (kind && !kind.isFile()) {
    throw new StoplineError('OUTPUT_UNWRITABLE', `Expected a file to write but "${file}" is not a regular file.`);
  }
  // Elsewhere a read-only file is replaced like any other; Windows refuses, which would be found out when all is done.
  if (kind && platform === 'win32' && (kind.mode & 0o200) === 0) {
    throw new StoplineError('OUTPUT_UNWRITABLE', `Expected a file to replace but "${file}" is read-only.`);
  }
}

/**
 * The folder that several files are written into, made where it is not there.
 * @throws {StoplineError} OUTPUT_UNWRITABLE
 */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause) => {
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `Expected a folder to write to but "${folder}" is none (${cause.code}).`,
      {
        cause,
      },
    );
  });
}
