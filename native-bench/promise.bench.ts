/**
 * False alarms against the promise, on several references: a rate by rank holds on average over references, and each has its own.
 *
 *     npm run bench -- promise
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, renderFrame } from '../src/cli/demo/camera/camera.ts';
import { fit } from '../src/fit/fit.ts';
import { createInspector } from '../src/profile/inspector.ts';
import { clopperPearson } from '../src/profile/maths/binomial.ts';
import { printTable } from './table.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopline-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const [references, reference, fresh] = [4, 1500, 1000];
const rates = [0.01, 0.05];
const size = { width: 240, height: 135 };

/** The p-values of fresh frames, by a Profile with embeddings and without causes of others of the same population. */
async function judgeFresh(seed: number): Promise<number[]> {
  const frames = join(folder, `${seed}`);
  mkdirSync(frames);
  for (let i = 0; i < reference; i++) {
    writeFileSync(join(frames, `${i}.jpg`), await encodeFrame(renderFrame(i, { ...size, seed })));
  }
  const { profile } = await fit({ simulations: 0, power: 0, paths: [frames], groupBy: '\\d+(?=\\.jpg)' });
  const inspector = await createInspector({ profile });
  const pValues: number[] = [];
  for (let i = 0; i < fresh; i++) {
    const frame = renderFrame(100_000 + i, { ...size, seed });
    pValues.push((await inspector.inspect(await encodeFrame(frame))).pValue);
  }
  return pValues;
}

const judged: { name: string; pValues: number[] }[] = [];
for (let seed = 1; seed <= references; seed++) judged.push({ name: `${seed}`, pValues: await judgeFresh(seed) });
judged.push({ name: 'all', pValues: judged.flatMap(({ pValues }) => pValues) });

const percent = (share: number) => (100 * share).toFixed(2);
console.log(
  `False alarms of ${references} Profiles of ${reference} frames of the simulated camera with embeddings and without causes, each on ${fresh} fresh frames, in %; intervals are Clopper-Pearson, 95 %\n`,
);
printTable(
  ['reference', ...rates.flatMap((rate) => [`at ${100 * rate} %`, 'interval'])],
  judged.map(({ name, pValues }) => [
    name,
    ...rates.flatMap((rate) => {
      const hits = pValues.filter((p) => p <= rate).length;
      const { low, high } = clopperPearson(hits, pValues.length);
      return [percent(hits / pValues.length), `${percent(low)} to ${percent(high)}`];
    }),
  ]),
);
// Beyond the k-th strangest of n independent images lies a share that is Beta(k, n - k + 1), whatever the distribution.
const spreads = rates.map((rate) => {
  const rank = Math.floor(rate * (reference + 1));
  const [low, high] = [clopperPearson(rank, reference).low, clopperPearson(rank - 1, reference).high];
  return `${percent(low)} to ${percent(high)} % at ${100 * rate} %`;
});
console.log(
  `\nEven with a promise that is kept exactly, the true rates of 95 % of references lie within ${spreads.join(' and ')}: a reference of ${reference} images is a draw, too.`,
);
