import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type GalleryExample, writeGallery } from '../../src/cli/demo/gallery.ts';
import type { Profile } from '../../src/profile/description.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import type { Street } from './street.ts';

const main = fileURLToPath(new URL('../../src/cli/bin.js', import.meta.url));

/** Every page that is a file, written as a user writes them: by the commands. */
export async function writeReports(
  folder: string,
  { profile, profilePath, street }: { profile: Profile; profilePath: string; street: Street },
): Promise<{ name: string; path: string }[]> {
  const at = (...parts: string[]) => join(folder, ...parts);
  const { fresh, fog } = street.pools;
  writeImages(at('day', 'north-crossing-camera-0001'), fresh.slice(0, 80));
  writeImages(at('all', 'morning', 'north-crossing-camera-0001'), fresh.slice(0, 80));
  writeImages(at('all', 'evening-fog'), fog);
  writeFileSync(at('all', 'notes.jpg'), 'no image');
  const run = (...args: string[]) => execFileSync(process.execPath, [main, ...args], { stdio: 'ignore' });
  for (const name of ['day', 'all']) {
    run('score', at(name), '--profile', profilePath, '--out', at(`${name}.jsonl`));
    run('report', at(`${name}.jsonl`), '--profile', profilePath, '--out', at(`${name}.html`));
  }
  run('report', profilePath, '--out', at('profile.html'));
  run('corrupt', at('all', 'evening-fog', '000.jpg'), '--all', '--out', at('causes.html'));
  await writeGallery(at('gallery'), { profile, examples: await judge(profile, street) });
  return [
    { name: 'report-like', path: at('day.html') },
    { name: 'report-drifted', path: at('all.html') },
    { name: 'report-profile', path: at('profile.html') },
    { name: 'causes', path: at('causes.html') },
    { name: 'gallery', path: at('gallery', 'index.html') },
  ];
}

function writeImages(folder: string, images: readonly Uint8Array[]): void {
  mkdirSync(folder, { recursive: true });
  for (const [i, bytes] of images.entries()) writeFileSync(join(folder, `${String(i).padStart(3, '0')}.jpg`), bytes);
}

async function judge(profile: Profile, { pools }: Street): Promise<GalleryExample[]> {
  const { inspect } = await createInspector({ profile });
  const examples: GalleryExample[] = [];
  for (const [label, images] of Object.entries(pools)) {
    for (const [i, bytes] of images.slice(0, 3).entries())
      examples.push({ name: `${label}-${i}`, label, bytes, verdict: await inspect(bytes) });
  }
  return examples;
}
