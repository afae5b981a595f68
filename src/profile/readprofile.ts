import { StoplineError } from '../errors.ts';
import { checkTensors } from './check.ts';
import { checksum, profileVersion } from './checksum.ts';
import type { Profile, ProfileDescription } from './description.ts';
import { decodeTensors } from './safetensors.ts';

/**
 * Reads the bytes of a Profile file and checks that they are as they were written: version, checksum, and every tensor that scoring
 * will index.
 * @param findFault says what does not fit the schema of the description; where nobody asks, whoever wrote the file is trusted to have
 * @throws {StoplineError} PROFILE_INVALID, PROFILE_TRUNCATED, PROFILE_CHECKSUM, PROFILE_VERSION
 */
export function readProfile(bytes: Uint8Array, findFault?: (description: unknown) => string | undefined): Profile {
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
  const fault = findFault?.(description);
  if (fault !== undefined || typeof description !== 'object' || description === null) {
    throw new StoplineError(
      'PROFILE_INVALID',
      `Expected a profile description that fits the schema but ${fault ?? 'it is no object'}.`,
    );
  }
  const known = description as ProfileDescription;
  checkTensors(known, tensors);
  const { sha256, signature } = metadata;
  if (signature !== undefined && !/^[A-Za-z0-9+/]{86}==$/.test(signature)) {
    throw new StoplineError('PROFILE_INVALID', 'Expected a signature of 64 bytes in base64 but received another.');
  }
  return { ...known, sha256, ...(signature !== undefined && { signature }), tensors };
}
