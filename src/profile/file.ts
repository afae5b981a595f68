import { randomBytes } from 'node:crypto';
import { open, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { endSentence, StoplineError } from '../errors.ts';
import { syncFolder } from '../image/file.ts';
import { check, listErrors } from '../schema.ts';
import { checkTensors } from './check.ts';
import { checksum, Description, type Profile, profileVersion } from './description.ts';
import { decodeTensors, encodeTensors } from './safetensors.ts';

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
  const { metadata, tensors } = decodeTensors(bytes);
  if (metadata.format !== 'stopline-profile') {
    throw new StoplineError('PROFILE_INVALID', 'Expected a Stopline profile but the file holds other tensors.');
  }
  if (metadata.version !== String(profileVersion)) {
    throw new StoplineError(
      'PROFILE_VERSION',
      `Expected a profile of version ${profileVersion} but received version ${metadata.version}. ` +
        'Fit it again with this version of Stopline: stopline fit <folder> --out FILE',
    );
  }
  const text = metadata.profile ?? '';
  if (checksum(text, tensors) !== metadata.sha256) {
    throw new StoplineError(
      'PROFILE_CHECKSUM',
      `Expected the profile's contents to match its checksum ${metadata.sha256?.slice(0, 16)} but they do not: the file was changed or damaged.`,
    );
  }
  let description: unknown;
  try {
    description = JSON.parse(text);
  } catch {
    description = undefined;
  }
  if (!check(Description, description)) {
    const [, [first]] = listErrors(Description, description);
    throw new StoplineError(
      'PROFILE_INVALID',
      `Expected a profile description that fits the schema but ${first ? `${first.instancePath || 'it'} ${first.message}` : 'it does not'}.`,
    );
  }
  checkTensors(description, tensors);
  const { sha256, signature } = metadata;
  if (signature !== undefined && !/^[A-Za-z0-9+/]{86}==$/.test(signature)) {
    throw new StoplineError('PROFILE_INVALID', 'Expected a signature of 64 bytes in base64 but received another.');
  }
  return { ...description, sha256, ...(signature !== undefined && { signature }), tensors };
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
