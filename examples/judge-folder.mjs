// Judges every image of a folder in worker threads and prints the strangest first.
// node judge-folder.mjs camera.stopline frames/
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createPool, StoplineError } from 'stopline';

const [profile, folder] = process.argv.slice(2);
const pool = await createPool({ profile });
const files = (await readdir(folder)).filter((name) => /\.(jpe?g|png|webp)$/i.test(name));

const judged = await Promise.all(
  files.map(async (name) => {
    try {
      return { name, verdict: await pool.inspectFile(join(folder, name)) };
    } catch (error) {
      // A damaged image is an answer too; anything else is a fault of this program.
      if (!(error instanceof StoplineError)) throw error;
      return { name, error };
    }
  }),
);
await pool.close();

judged.sort((one, other) => (other.verdict?.score ?? Infinity) - (one.verdict?.score ?? Infinity));
for (const { name, verdict, error } of judged) {
  const why = error ? error.message : (verdict.reasons[0]?.text ?? 'like the reference');
  console.log(`${(verdict?.verdict ?? 'error').padEnd(5)}  ${name}  ${why}`);
}
