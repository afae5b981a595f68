/**
 * Runs the benchmarks one after another, each in a process of its own, and prints what they print.
 *
 *     npm run bench                    all
 *     npm run bench -- core            only that one: core, start, decode, pipeline, peers, gate or drift
 *     npm run bench -- --write         and make docs/performance.md, and the README's table, of what was run
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const programs = [
  { name: 'core', title: 'The core', file: 'core.bench.ts', command: 'npm run bench:core' },
  { name: 'start', title: 'The start', file: 'start.bench.ts', command: 'npm run bench:start' },
  { name: 'decode', title: 'Decoding', file: 'decode.bench.ts', command: 'npm run bench:decode' },
  { name: 'pipeline', title: 'The whole path', file: 'pipeline.bench.ts', command: 'npm run bench:pipeline' },
  { name: 'peers', title: 'Beside what people use', file: 'peers.bench.ts', command: 'npm run bench:peers' },
  { name: 'gate', title: 'The gate', file: 'gate.bench.ts', command: 'npm run bench:gate' },
  { name: 'drift', title: 'Watching sources', file: 'drift.bench.ts', command: 'npm run bench:drift' },
];
const limits = '## Limits, and what was tried';
const named = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

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

// What else ran meanwhile: times taken on a busy machine say so.
const [load] = loadavg();
const sections: string[] = [];
for (const { name, title, file, command } of programs) {
  if (named.length > 0 && !named.includes(name)) continue;
  console.log(`\n## ${title}\n`);
  sections.push(`## ${title}\n\n\`${command}\`\n\n${(await readOutput(file)).trim()}\n`);
}
if (process.argv.includes('--write')) {
  const machine = `${cpus()[0].model}, ${availableParallelism()} cores, load ${load.toFixed(1)} at the start, ${platform()} ${arch()}`;
  const versions = `Node ${process.versions.node}, sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`;
  const head = `# Performance\n\nPrinted by \`npm run bench -- ${process.argv.slice(2).join(' ')}\` on ${new Date().toISOString().slice(0, 10)}: ${machine}; ${versions}. Times are medians; another machine gives other times, so compare within one run.\n`;
  const page = new URL('../docs/performance.md', import.meta.url);
  // What people wrote about the numbers stands at the end.
  const before = readFileSync(page, 'utf8');
  const written = before.includes(limits) ? [before.slice(before.indexOf(limits))] : [];
  writeFileSync(page, [head, ...sections, ...written].join('\n'));
  const readme = new URL('../README.md', import.meta.url);
  const table = /^\| core, from JavaScript.*\n(?:\|.*\n)+/m;
  const printed = table.exec(sections.join('\n'))?.[0];
  if (printed) writeFileSync(readme, readFileSync(readme, 'utf8').replace(table, printed));
}
