/**
 * Writes where each package lies in a registry into `package-lock.json`, for any registry (`replace-registry-host` of `.npmrc`).
 * Without it npm asks the registry about every package and reads all of its versions: two thirds of the work of `npm ci`.
 *
 * `npm install` leaves the addresses out (`omit-lockfile-registry-resolved`), so that no machine's own registry gets into the file.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.ts';

interface Entry {
  name?: string;
  version: string;
  link?: boolean;
  inBundle?: boolean;
  resolved?: string;
}

readArguments({
  command: 'npm run lock --',
  about: 'Writes where packages lie in a registry into package-lock.json, after npm install.',
});
for (const path of ['package-lock.json', 'site/package-lock.json']) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> };
  for (const [place, entry] of Object.entries(lock.packages)) {
    if (place === '' || entry.link || entry.inBundle) continue;
    const { name = place.split('node_modules/').at(-1) as string, version, ...rest } = entry;
    const archive = `${name.split('/').at(-1)}-${version}.tgz`;
    // Where npm itself writes it: behind the version.
    lock.packages[place] = {
      ...('name' in entry && { name }),
      version,
      ...rest,
      resolved: `https://registry.invalid/${name}/-/${archive}`,
    };
  }
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
