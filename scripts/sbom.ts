/** The bill of materials of what is shipped, as CycloneDX: that of npm without the addresses that the lock file has for any registry. */
import { execFileSync } from 'node:child_process';
import { readArguments } from './arguments.ts';

readArguments({ command: 'npm run sbom --', about: 'Prints the bill of materials of what is shipped, as CycloneDX.' });
const printed = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'], {
  encoding: 'utf8',
  maxBuffer: 64 * 1024 * 1024,
});
const { components, ...rest } = JSON.parse(printed) as { components: { externalReferences: { type: string }[] }[] };
const shipped = components.map(({ externalReferences, ...component }) => ({
  ...component,
  externalReferences: externalReferences.filter(({ type }) => type !== 'distribution'),
}));
console.log(JSON.stringify({ ...rest, components: shipped }, null, 2));
