/*
 * A second version of every image of the cache, under one of Stopline's own simulated causes, and which one.
 * node models/train/corrupt.ts CACHE FAMILY...
 */
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { corrupt, corruptions, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { Random } from '../../src/image/corruptions/random.ts';

const side = 144;
const size = side * side * 3;
const [, , cache, ...families] = process.argv;

for (const family of families) {
  const images = openSync(join(cache, `${family}.bin`), 'r');
  const corrupted = openSync(join(cache, `${family}.corrupted`), 'w');
  const causes = openSync(join(cache, `${family}.causes`), 'w');
  const count = Math.floor(statSync(join(cache, `${family}.bin`)).size / size);
  const data = new Uint8Array(size);
  for (let i = 0; i < count; i++) {
    readSync(images, data, 0, size, i * size);
    const random = new Random(i * 31 + family.length);
    const cause = random.integer(corruptions.length);
    const severity = (1 + random.integer(5)) as Severity;
    const frame = { data, width: side, height: side, channels: 3 as const };
    writeSync(corrupted, (await corrupt(frame, corruptions[cause].name, severity, i)).data);
    writeSync(causes, Uint8Array.of(cause, severity));
  }
  for (const file of [images, corrupted, causes]) closeSync(file);
}
