/** A Profile replaced again and again under load, one in ten corrupt: `npm run faults -- reload`. */
import { availableParallelism } from 'node:os';
import { readArguments } from '../arguments.ts';
import { reloadUnderLoad } from './reloads.ts';

const { values } = readArguments({
  command: 'npm run faults -- reload',
  about: 'A Profile replaced again and again under load, one in ten corrupt.',
  options: { reloads: { default: 1000, says: 'times' }, rate: { default: 50, says: 'images a second' } },
});
const report = await reloadUnderLoad({
  reloads: values.reloads,
  rate: values.rate,
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
