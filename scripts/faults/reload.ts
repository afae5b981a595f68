/** A Profile replaced again and again under load, one in ten corrupt: `npm run faults -- reload`. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { reloadUnderLoad } from './reloads.ts';

const options = { reloads: { type: 'string', default: '1000' }, rate: { type: 'string', default: '50' } } as const;
const { values } = parseArgs({ options });
const report = await reloadUnderLoad({
  reloads: Number(values.reloads),
  rate: Number(values.rate),
  corruptEvery: 10,
  threads: availableParallelism(),
});
const { wrongReloads, wrongAnswers, memory, ...rest } = report;
console.log(
  JSON.stringify({
    ...rest,
    wrongReloads: wrongReloads.length,
    wrongAnswers: wrongAnswers.length,
    memoryMiB: memory.map(Math.round),
    first: [...wrongReloads, ...wrongAnswers].slice(0, 5),
  }),
);
if (wrongReloads.length + wrongAnswers.length > 0) process.exitCode = 1;
