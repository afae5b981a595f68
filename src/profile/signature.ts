import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { StoplineError } from '../errors.ts';
import type { Profile } from './description.ts';
import { loadProfile } from './file.ts';

/** The signature is over this and the checksum, which is over everything else. */
const context = 'stopline-profile-signature 1\n';

const makeMessage = ({ sha256 }: Profile) => Buffer.from(context + sha256);

/** A pair of Ed25519 keys as PEM. */
export function makeKeys(): { publicKey: string; privateKey: string } {
  return generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

/**
 * The Profile with the signature of a private key, in place of one that it may have.
 * @param privateKey PEM of an Ed25519 key
 * @throws {StoplineError} OPTION_INVALID when the key is none
 */
export function signProfile(profile: Profile, privateKey: string): Profile {
  const key = readKey(() => createPrivateKey(privateKey), 'private');
  return { ...profile, signature: sign(null, makeMessage(profile), key).toString('base64') };
}

/**
 * @param publicKey PEM of an Ed25519 key
 * @throws {StoplineError} PROFILE_SIGNATURE when the Profile is not signed, or by another key; OPTION_INVALID
 */
export function checkSignature(profile: Profile, publicKey: string): void {
  const key = readKey(() => createPublicKey(publicKey), 'public');
  const { signature } = profile;
  if (signature !== undefined && verify(null, makeMessage(profile), key, Buffer.from(signature, 'base64'))) return;
  const received = signature === undefined ? 'it is not signed' : 'another key signed it, or something else was signed';
  throw new StoplineError(
    'PROFILE_SIGNATURE',
    `Expected the profile "${profile.name}" to be signed by the key that is trusted but ${received}. Sign it: stopline profile sign FILE --key PRIVATE`,
  );
}

/**
 * Loads a Profile from a file or from its bytes, which must be signed where the settings name a key.
 * @param keyFile PEM file of the public key that must have signed it; undefined where none is asked for
 * @throws {StoplineError} PROFILE_*, OPTION_INVALID
 */
export async function loadSignedProfile(source: string | Uint8Array, keyFile: string | undefined): Promise<Profile> {
  const profile = await loadProfile(source);
  if (keyFile !== undefined) checkSignature(profile, await readKeyFile(keyFile));
  return profile;
}

/** @throws {StoplineError} OPTION_INVALID */
export async function readKeyFile(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause) => {
    throw new StoplineError('OPTION_INVALID', `Expected a key file at "${path}" but it gave ${cause.code}.`, { cause });
  });
}

function readKey(parse: () => KeyObject, kind: 'public' | 'private'): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = parse();
  } catch {
    // Not a key at all: said below, without the words of OpenSSL.
  }
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new StoplineError(
    'OPTION_INVALID',
    `Expected a ${kind} Ed25519 key in PEM but received ${key?.asymmetricKeyType ?? 'something else'}. Make a pair: stopline profile keygen --out NAME`,
  );
}
