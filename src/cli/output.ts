import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoplineError } from '../errors.ts';

/**
 * Found out before an hour of measuring, not after it.
 * @throws {StoplineError} OUTPUT_UNWRITABLE
 */
export async function checkWritable(file: string): Promise<void> {
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
