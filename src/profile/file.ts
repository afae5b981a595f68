import { randomBytes } from 'node:crypto';
import { open, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { endSentence, StoplineError } from '../errors.ts';
import { syncFolder } from '../image/file.ts';
import { check, listErrors } from '../schema.ts';
import { profileVersion } from './checksum.ts';
import { Description, type Profile } from './description.ts';
import { readProfile } from './readprofile.ts';
import { encodeTensors } from './safetensors.ts';

/** The bytes of a Profile file (safetensors layout, see `encodeTensors`). */
export function encodeProfile(profile: Profile): Uint8Array {
  const { sha256, signature, tensors, ...description } = profile;
  return encodeTensors(
    {
      format: 'stopline-profile',
      version: String(profileVersion),
      sha256,
      ...(signature !== undefined && { signature }),
      profile: JSON.stringify(description),
    },
    tensors,
  );
}

/**
 * Reads and checks the bytes of a Profile file.
 * @throws {StoplineError} PROFILE_INVALID, PROFILE_TRUNCATED, PROFILE_CHECKSUM, PROFILE_VERSION
 */
export function decodeProfile(bytes: Uint8Array): Profile {
  return readProfile(bytes, (description) => {
    if (check(Description, description)) return undefined;
    const [, [first]] = listErrors(Description, description);
    return first ? `${first.instancePath || 'it'} ${first.message}` : 'it does not';
  });
}

/**
 * Loads a Profile from a file or from its bytes.
 * @throws {StoplineError} PROFILE_UNREADABLE and what `decodeProfile` throws
 */
export async function loadProfile(source: string | Uint8Array): Promise<Profile> {
  if (typeof source !== 'string') return decodeProfile(source);
  const bytes = await readFile(source).catch((cause) => {
    throw new StoplineError(
      'PROFILE_UNREADABLE',
      `Expected a profile at "${source}" but it cannot be read: ${cause.code === 'ENOENT' ? 'it does not exist. Make one: stopline fit <folder> --out FILE' : endSentence(cause.message)}`,
      { cause },
    );
  });
  return decodeProfile(bytes);
}

/**
 * Writes a Profile so that at every moment the file is either the old one or the new one: temporary file in the same
 * folder, fsync, rename, fsync of the folder.
 * @throws {StoplineError} OUTPUT_UNWRITABLE
 */
export async function saveProfile(profile: Profile, path: string): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(4).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(encodeProfile(profile));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `The profile cannot be written to "${path}": ${endSentence(cause instanceof Error ? cause.message : String(cause))}`,
      { cause },
    );
  }
}
