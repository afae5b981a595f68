/**
 * Sends every form in which model servers take images through a gate, over HTTP and gRPC, enforcing closed and open and observing,
 * with images like the reference and unlike it.
 *
 *     npm run forms               says what was not right
 *     npm run forms -- --write    also keeps the table of docs/forms.md
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { readArguments } from './arguments.ts';
import { type FormMode, formModes, runForms } from './faults/formsrun.ts';

const { values } = readArguments({
  command: 'npm run forms --',
  about: 'Sends every form in which model servers take images through a gate.',
  options: { write: { default: false, says: 'keep the results in docs/forms.json' } },
});
const results = await runForms(Object.keys(formModes) as FormMode[], (line) => console.log(line));
const rows = [...results].map(([name, { isJudged, isRefused, isPassed }]) => [name, isJudged, isRefused, isPassed]);
const wrong = rows.filter((row) => row.includes(false));
console.log(JSON.stringify({ forms: rows.length, wrong: wrong.length }));
if (values.write) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const path = new URL('../docs/forms.json', import.meta.url);
  writeFileSync(path, `${JSON.stringify({ commit, results: Object.fromEntries(results) }, null, 2)}\n`);
}
if (wrong.length > 0) process.exitCode = 1;
