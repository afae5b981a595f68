import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { evaluateCifar, readBatch } from '../../../../scripts/evaluate/cifar/run.ts';

const folder = mkdtempSync(join(tmpdir(), 'cifar-'));
const recordBytes = 1 + 3 * 32 * 32;

it('reads planes of a batch as pixels, with their class', () => {
  const file = join(folder, 'two.bin');
  const bytes = new Uint8Array(2 * recordBytes);
  bytes[recordBytes] = 7;
  for (const [plane, value] of [11, 22, 33].entries()) {
    bytes.fill(value, recordBytes + 1 + plane * 1024, recordBytes + 1 + (plane + 1) * 1024);
  }
  writeFileSync(file, bytes);
  const [first, second] = readBatch(file);
  expect(first.label).toBe(0);
  expect(second).toMatchObject({ label: 7, width: 32, height: 32 });
  expect([...second.data.slice(-3)]).toEqual([11, 22, 33]);
});

it.each([
  ['is missing', undefined, /there is none/],
  ['is empty', 0, /it has 0 bytes/],
  ['is cut', recordBytes + 5, /it has 3078 bytes/],
])('says what a batch is when one %s', async (_, length, message) => {
  const place = mkdtempSync(join(folder, 'batch-'));
  if (length !== undefined) writeFileSync(join(place, 'data_batch_1.bin'), new Uint8Array(length));
  const options = {
    folder: place,
    reference: 10,
    clean: 1,
    spoilt: 1,
    windowed: 1,
    simulations: 120,
    seed: 1,
    threads: 1,
  };
  await expect(evaluateCifar(options)).rejects.toMatchObject({
    code: 'STOPLINE_ERR_INPUT_UNREADABLE',
    message: expect.stringMatching(message),
  });
});
