import { statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { asStoplineError } from '../../src/errors.ts';
import { decodeProfile, encodeProfile, saveProfile } from '../../src/profile/file.ts';
import { checkSignature, makeKeys, signProfile } from '../../src/profile/signature.ts';
import { serve } from '../../src/server/serve.ts';
import { runHere } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
let reference: Reference;
beforeAll(async () => {
  reference = await fitReference();
});
afterAll(() => reference.remove());

describe('a signed Profile', () => {
  it('is one that its key signed, as a whole, also after it was written and read', () => {
    const [mine, other] = [makeKeys(), makeKeys()];
    const signed = decodeProfile(encodeProfile(signProfile(reference.profile, mine.privateKey)));
    expect(signed).toEqual({ ...reference.profile, signature: expect.stringMatching(/^.{86}==$/) });
    expect(() => checkSignature(signed, mine.publicKey)).not.toThrow();
    const refused = expect.objectContaining({ code: 'STOPLINE_ERR_PROFILE_SIGNATURE' });
    expect(() => checkSignature(signed, other.publicKey)).toThrow(refused);
    expect(() => checkSignature(reference.profile, mine.publicKey)).toThrow(refused);
    expect(() => checkSignature({ ...signed, sha256: '0'.repeat(64) }, mine.publicKey)).toThrow(refused);
    expect(() => signProfile(signed, 'no key')).toThrow(/Expected a private Ed25519 key/);
  });

  it('is refused whichever of its bytes is changed', () => {
    const { privateKey, publicKey } = makeKeys();
    const bytes = encodeProfile(signProfile(reference.profile, privateKey));
    const step = Math.max(1, Math.floor(bytes.length / 800));
    const headerEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    const positions = new Set<number>();
    for (let i = 0; i < bytes.length; i += step) positions.add(i);
    // All of what is not tensors: the length, and the header at its start and at its end.
    for (let i = 0; i < 200; i++) positions.add(i).add(headerEnd - i);
    const codes = new Map<string, number>();
    let accepted = 0;
    for (const position of positions) {
      const changed = bytes.slice();
      changed[position] ^= 1 << (position % 8);
      try {
        checkSignature(decodeProfile(changed), publicKey);
        accepted += 1;
      } catch (error) {
        const { code } = asStoplineError(error);
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    }
    expect(positions.size).toBeGreaterThan(1000);
    expect(accepted).toBe(0);
    // Never a fault of ours: each is refused on purpose.
    for (const code of codes.keys()) expect(code).toMatch(/^STOPLINE_ERR_PROFILE_/);
  });

  it('is what a service with a key asks for', async () => {
    const { privateKey, publicKey } = makeKeys();
    await writeFile(at('trusted.pub'), publicKey);
    await saveProfile(signProfile(reference.profile, privateKey), at('signed.stopline'));
    const makeConfig = (profile: string) =>
      loadConfig({
        env: {},
        flags: { profile, profileKey: at('trusted.pub'), port: 0, threads: 1, isolation: 'thread', logLevel: 'silent' },
      }).config;
    await expect(serve(makeConfig(reference.profilePath))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_PROFILE_SIGNATURE',
      exit: 78,
    });
    const service = await serve(makeConfig(at('signed.stopline')));
    await service.close();
  });
});

describe('stopline profile', () => {
  it('makes keys, signs and verifies', async () => {
    const run = (...args: string[]) => runHere(['profile', ...args]);
    expect(await run('keygen', '--out', at('mine'))).toMatchObject({ code: 0 });
    expect(statSync(at('mine.key')).mode & 0o777).toBe(0o600);
    expect(await run('keygen', '--out', at('mine'))).toMatchObject({ code: 73 }); // never over another key
    await writeFile(at('camera.stopline'), await readFile(reference.profilePath));
    expect(await run('verify', at('camera.stopline'), '--key', at('mine.pub'))).toMatchObject({ code: 78 });
    expect(await run('sign', at('camera.stopline'), '--key', at('mine.key'))).toMatchObject({ code: 0 });
    const verified = await run('verify', at('camera.stopline'), '--key', at('mine.pub'));
    expect(verified).toMatchObject({ code: 0, stdout: `signed: test-camera ${reference.profile.sha256}\n` });
    expect(await run('sign', at('camera.stopline'), '--key', at('mine.pub'))).toMatchObject({ code: 2 });
  });
});
