/**
 * Runs the benchmarks one after another, each in a process of its own, and prints what they print.
 *
 *     npm run bench                    all
 *     npm run bench -- core gate       only those: core, bands, start, decode, pipeline, promise, fit, service, peers, gate, drift
 *     npm run bench -- --write         and put each into its section of docs/performance.md, and what the README says of it there
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { readArguments } from '../scripts/arguments.ts';
import { readCommit } from '../scripts/docs/commit.ts';
import { takeSpeedProbe, writeProbe } from '../scripts/docs/probe.ts';
import { prefaces, withSection } from '../scripts/evaluate/page.ts';

const programs = [
  { name: 'core', title: 'The core', file: 'core.bench.ts' },
  { name: 'bands', title: 'Reading in bands', file: 'bands.bench.ts' },
  { name: 'start', title: 'The start', file: 'start.bench.ts' },
  { name: 'decode', title: 'Decoding', file: 'decode.bench.ts' },
  { name: 'pipeline', title: 'The whole path', file: 'pipeline.bench.ts' },
  { name: 'promise', title: 'The promise', file: 'promise.bench.ts' },
  { name: 'fit', title: 'Fitting', file: 'fit.bench.ts' },
  { name: 'service', title: 'The service', file: 'service.bench.ts' },
  { name: 'peers', title: 'Beside what people use', file: 'peers.bench.ts' },
  { name: 'gate', title: 'The gate', file: 'gate.bench.ts' },
  { name: 'drift', title: 'Watching sources', file: 'drift.bench.ts' },
];
/** What people wrote about the numbers, which stands at the end. */
const limits = '## Limits, and what was tried';
const page = new URL('../docs/performance.md', import.meta.url);
const readme = new URL('../README.md', import.meta.url);

const { values, names: named } = readArguments({
  command: 'npm run bench --',
  about: 'Runs the benchmarks one after another, all or those named, each in a process of its own.',
  options: { write: { default: false, says: 'put each into its section of docs/performance.md' } },
  names: Object.fromEntries(programs.map(({ name, title }) => [name, `${title}.`])),
});
const isWritten = values.write;

function readOutput(file: string): Promise<string> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--expose-gc', path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      process.stdout.write(text);
    });
    child.on('error', reject).on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${file} ended with ${code}`));
    });
  });
}

/** The section as it stands in the document, with what it was made by, on and of. */
function writeSection({ name, title }: (typeof programs)[number], output: string, load: number): string {
  const machine = `${cpus()[0].model}, ${availableParallelism()} cores, load ${load.toFixed(1)} at the start, ${platform()} ${arch()}`;
  const versions = `Node ${process.versions.node}, sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`;
  const day = new Date().toISOString().slice(0, 10);
  return `## ${title}

\`\`\`sh
npm run bench -- ${name} --write
\`\`\`

Made on ${day}, at commit ${readCommit()}: ${machine}; ${versions}.
${writeProbe(takeSpeedProbe())}

${output.trim()}
`;
}

/** What the README says of those beside us: what they take of the processor time of `score`, at the two sizes of the bench. */
const peersSentence = /takes [\d.]+ at 480x360 and [\d.]+ at 1920x1080/;

function readPeers(section: string): string | undefined {
  const [small, large] = [...section.matchAll(/^\| nine numbers by OpenCV .* ([\d.]+) +\|$/gm)].map(
    ([, share]) => share,
  );
  return large === undefined ? undefined : `takes ${small} at 480x360 and ${large} at 1920x1080`;
}

/** Puts a section where it stands, or before the limits. What was measured before it stays if a later benchmark fails. */
function keepSection(heading: string, section: string): void {
  const text = readFileSync(page, 'utf8');
  const at = text.indexOf(limits);
  const [measured, words] = at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at)];
  const [, ...sections] = withSection(measured, heading, section).split(/^(?=## )/m);
  const parts = [prefaces.performance, ...sections, ...(words ? [words] : [])];
  writeFileSync(page, `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`);
  const peers = readPeers(section);
  if (peers) writeFileSync(readme, readFileSync(readme, 'utf8').replace(peersSentence, peers));
  const table = /^\| core, from JavaScript.*\n(?:\|.*\n)+/m;
  const printed = table.exec(section)?.[0];
  if (printed) writeFileSync(readme, readFileSync(readme, 'utf8').replace(table, printed));
}

for (const program of programs) {
  if (named.length > 0 && !named.includes(program.name)) continue;
  console.log(`\n## ${program.title}\n`);
  // What else runs: times taken on a busy machine say so.
  const [load] = loadavg();
  const section = writeSection(program, await readOutput(program.file), load);
  if (isWritten) keepSection(`## ${program.title}`, section);
}
