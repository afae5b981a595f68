import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, renderFrame } from '../../src/cli/camera.ts';
import { fit as fitProfile } from '../../src/fit.ts';
import { type Profile, saveProfile } from '../../src/profile.ts';

/** A small Profile fitted on rendered frames, and one frame of the same camera that it has not seen. */
export interface Reference {
  profile: Profile;
  profilePath: string;
  frame: Uint8Array;
  remove(): Promise<void>;
}

const size = { width: 320, height: 180 };

export async function fitReference(): Promise<Reference> {
  const folder = await mkdtemp(join(tmpdir(), 'stopline-server-'));
  for (let index = 0; index < 90; index++) {
    await writeFile(join(folder, `${index}.jpg`), await encodeFrame(renderFrame(index, size)));
  }
  const { profile } = await fitProfile({
    exposures: 0,
    power: 0,
    model: 'none',
    paths: [folder],
    groupBy: 'none',
    threads: 1,
    name: 'test-camera',
  });
  const profilePath = join(folder, 'camera.stopline');
  await saveProfile(profile, profilePath);
  const frame = await encodeFrame(renderFrame(1000, size));
  return { profile, profilePath, frame, remove: () => rm(folder, { recursive: true }) };
}
