import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { createProfile } from '../../src/profile/description.ts';
import { encodeProfile, loadProfile } from '../../src/profile/file.ts';
import type { Outcome, Stage } from './target.ts';

/** One that every version reads. */
const saved = fileURLToPath(new URL('../../test/fixtures/profiles/63a478e.stopline', import.meta.url));

/** Profiles whose numbers are so large that a black image has a score that is no number: it must not pass. */
export async function run(stage: Stage): Promise<Outcome> {
  const { sha256: _, signature: __, tensors, ...description } = await loadProfile(saved);
  const image = join(stage.folder, 'black.png');
  const black = sharp({ create: { width: 160, height: 90, channels: 3, background: 'black' } });
  writeFileSync(image, await black.png().toBuffer());
  const tried = Object.entries(tensors).flatMap(([name, tensor]) =>
    [1e308, -1e308].map((value) => ({ name, tensor, value })),
  );
  const passed: string[] = [];
  for (const { name, tensor, value } of tried.slice(0, stage.count)) {
    const profile = join(stage.folder, 'huge.stopline');
    const data = tensor.data.slice().fill(value);
    writeFileSync(profile, encodeProfile(createProfile(description, { ...tensors, [name]: { ...tensor, data } })));
    const { stdout } = await stage.command(['inspect', image, '--profile', profile, '--json']);
    // JSON has no NaN.
    if (/"verdict":\s*"(pass|warn)"/.test(stdout) && /"score":\s*null/.test(stdout)) passed.push(`${name} ${value}`);
  }
  return {
    ok: passed.length === 0,
    figures: `${passed.length} of ${Math.min(tried.length, stage.count ?? tried.length)} Profiles let an image pass whose score is no number${passed.length > 0 ? ` (${passed.join(', ')})` : ''}`,
  };
}
