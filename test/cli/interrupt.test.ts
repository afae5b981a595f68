import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { brokenPipe, Interruption, interruptible } from '../../src/cli/interrupt.ts';

const status = '/proc/self/status';
/** Whether the process lives on when it writes to a pipe that nobody reads: SIGPIPE, the thirteenth signal, is ignored. */
const ignoresPipes = () => {
  const [, mask] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(status, 'utf8')) ?? [];
  return (BigInt(`0x${mask}`) & (1n << 12n)) !== 0n;
};

it('a reader that has seen enough ends the work without an error', async () => {
  const work = interruptible(
    (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  expect((process as NodeJS.EventEmitter).emit(brokenPipe)).toBe(true);
  const reason = (await work.catch((error) => error)) as Interruption;
  expect(reason).toBeInstanceOf(Interruption);
  expect(reason.exit).toBe(0);
  expect((process as NodeJS.EventEmitter).emit(brokenPipe)).toBe(false);
});

it.skipIf(!existsSync(status))('leaves the process ignoring SIGPIPE, as Node does', async () => {
  await interruptible(async () => expect(ignoresPipes()).toBe(true));
  expect(ignoresPipes()).toBe(true);
});
