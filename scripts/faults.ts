/**
 * Runs one of the long fault tests in `scripts/faults`, each of which says how many it tried and exits with 1 when one was wrong.
 *
 *     npm run faults -- gate
 *     npm run faults -- reload --reloads 1000 --rate 50
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = fileURLToPath(new URL('./faults/', import.meta.url));
const names = readdirSync(folder).flatMap((file) => (file.endsWith('.ts') ? [file.slice(0, -3)] : []));
const [name] = process.argv.splice(2, 1);
if (!names.includes(name)) {
  console.error(`Expected one of ${names.join(', ')} but received ${name}.`);
  process.exit(2);
}
await import(pathToFileURL(`${folder}${name}.ts`).href);
