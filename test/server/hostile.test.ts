import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fuzzProfile, type Open, openWay, rightOutcome } from '../../scripts/fuzz/images.ts';
import { seedImages } from '../../scripts/fuzz/mutate.ts';
import { jpegSkeleton, noiseBytes, otherFiles, picture, scanBomb } from '../fixtures/images.ts';

const hostile = join(import.meta.dirname, '../../../shared/data/hostile');
const isPresent = existsSync(hostile);
if (!isPresent) process.stderr.write('skipped: hostile files by three ways, ../shared/data is absent\n');

describe('odd, broken and fuzzer-made files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stopline-hostile-'));
  let ways: Open[];
  beforeAll(async () => {
    const profile = await fuzzProfile(folder);
    ways = await Promise.all((['http', 'cli', 'gate'] as const).map((way) => openWay(way, profile)));
  });
  afterAll(async () => {
    for (const { close } of ways) await close();
    rmSync(folder, { recursive: true });
  });

  /** What became of each, which was the same by all ways and never a fault of the service. */
  async function judge(files: Record<string, Buffer>): Promise<Record<string, string>> {
    const images = Object.values(files);
    const outcomes: Record<string, string>[] = [];
    for (const { judgeAll } of ways) {
      const judged = await judgeAll(images);
      outcomes.push(Object.fromEntries(Object.keys(files).map((name, i) => [name, judged[i]])));
    }
    const [http, cli, gate] = outcomes;
    expect(cli).toEqual(http);
    expect(gate).toEqual(http);
    expect(Object.entries(http).filter(([, outcome]) => !rightOutcome.test(outcome))).toEqual([]);
    return http;
  }

  it('made here get the same answer over HTTP, on the command line and at a gate', async () => {
    const [jpeg, ...others] = await seedImages();
    const files = {
      jpeg,
      empty: Buffer.alloc(0),
      'three bytes': jpeg.subarray(0, 3),
      half: jpeg.subarray(0, jpeg.length / 2),
      'nearly whole': jpeg.subarray(0, Math.floor(jpeg.length * 0.99)),
      'something behind it': Buffer.concat([jpeg, noiseBytes(1000)]),
      'one pixel': await picture(1, 1).png().toBuffer(),
      'a thread': await picture(4000, 1).png().toBuffer(),
      'says that it is huge': jpegSkeleton(16_000, 16_000),
      'many scans': scanBomb(4000, 4000),
      zeros: Buffer.alloc(5000),
      ...otherFiles,
      ...Object.fromEntries(others.slice(0, 13).map((bytes, i) => [`seed ${i + 1}`, bytes])),
    };
    const outcomes = await judge(files);
    expect(outcomes.jpeg).toMatch(/^(pass|warn|block)/);
    expect(outcomes.empty).toMatch(/^STOPLINE_ERR_IMAGE/);
  });

  it.skipIf(!isPresent)('of other projects, too', async () => {
    const paths = readdirSync(hostile, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(paths.length).toBeGreaterThan(200);
    const outcomes = Object.values(
      await judge(Object.fromEntries(paths.map((path) => [relative(hostile, path), readFileSync(path)]))),
    );
    // Among them are files that decode, files of other formats and files that are damaged.
    for (const kind of [/^(pass|warn|block)/, /UNSUPPORTED/, /CORRUPT/])
      expect(outcomes.filter((outcome) => kind.test(outcome)).length).toBeGreaterThan(10);
  });
});
