// A gate around any classifier that is called from this process.
// node gate.mjs camera.stopline frame.jpg
import { readFile } from 'node:fs/promises';
import { createGate } from 'stopline';

const [profile, file] = process.argv.slice(2);

// Yours goes here.
const classifier = { predict: async () => 'a car' };

const gate = await createGate({ profile, mode: 'enforce', onError: 'closed' });
const bytes = await readFile(file);
const result = await gate.guard(bytes, () => classifier.predict(bytes));

if (result.outcome === 'refused') console.log(`refused: ${result.error.message}`);
else console.log(`answered: ${result.value}`);
await gate.close();
