// Replays the rows of `stopline score` through a monitor and prints every change of state.
// node drift.mjs camera.stopline verdicts.jsonl
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createDrift, loadProfile } from 'stopline';

const [profile, rows] = process.argv.slice(2);
const drift = createDrift(await loadProfile(profile));
const monitor = drift.monitor();

let at = Date.now();
for await (const line of createInterface({ input: createReadStream(rows) })) {
  const row = JSON.parse(line);
  if (row.error) continue;
  at += 1000;
  const transition = monitor.observe(drift.makeObservation(row, at));
  if (transition) console.log(`${row.path}: ${transition.from} -> ${transition.to}. ${transition.text}`);
}
const { images, state } = monitor.report();
console.log(`${images} images, ${state}`);
