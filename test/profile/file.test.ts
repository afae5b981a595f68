import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { profileVersion } from '../../src/profile/checksum.ts';
import { createProfile, describeProfile } from '../../src/profile/description.ts';
import { decodeProfile, encodeProfile, loadProfile, saveProfile } from '../../src/profile/file.ts';
import { encodeTensors } from '../../src/profile/safetensors.ts';

const vector = (...data: number[]) => ({ shape: [data.length], data: Float64Array.from(data) });

/** The smallest valid Profile: one statistic, one component. */
const profile = createProfile(
  {
    name: 'tiny',
    createdAt: '2026-11-23T00:00:00.000Z',
    stopline: '0.0.0',
    decode: { rule: 'rule', decoder: 'decoder' },
    reference: {
      images: 3,
      fitted: 3,
      skipped: 0,
      duplicates: 0,
      split: { by: 'group', groups: 2, folds: 2, seed: 1 },
      folders: [{ folder: 'x', images: 3 }],
    },
    falseAlarmRate: { asked: { warn: 0.01, block: 0.001 }, promised: { warn: 0.5, block: 0.5 } },
    statistics: [{ name: 'lumaMean' }],
    constants: {},
    categories: { format: { jpeg: 2 } },
    components: ['distance', 'categories'],
    regimes: [
      {
        images: 1,
        components: [
          { median: 0, scale: 1 },
          { median: 0, scale: 1 },
        ],
      },
    ],
    detectors: [{ name: 'combined', components: [0, 1] }],
    warnings: [],
  },
  {
    knotOffsets: vector(0, 2),
    knotValues: vector(1, 2),
    knotDeviations: vector(-1, 1),
    slopes: vector(1),
    combinedScores: vector(0.5),
    calibrationValues: { shape: [1, 1], data: Float64Array.of(1.5) },
    mean: vector(0),
    precision: { shape: [1, 1], data: Float64Array.of(1) },
  },
);
const bytes = encodeProfile(profile);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopline-profile-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('a saved Profile loads equal, and nothing else is left in the folder', async () => {
  const path = join(folder, 'tiny.stopline');
  await saveProfile(profile, path);
  expect(await loadProfile(path)).toEqual(profile);
  expect(await readdir(folder)).toEqual(['tiny.stopline']);
});

test('the file is in the safetensors layout', () => {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  expect(length % 8).toBe(0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  expect(header.__metadata__.format).toBe('stopline-profile');
  expect(header.slopes).toMatchObject({ dtype: 'F64', shape: [1] });
  const ends = Object.values(header).map((entry) => (entry as { data_offsets?: number[] }).data_offsets?.[1] ?? 0);
  expect(Math.max(...ends)).toBe(bytes.length - 8 - length);
});

/** What the safetensors documentation says a reader does, with nothing but numpy. */
const reader = `
import json, sys, numpy
data = sys.stdin.buffer.read()
length = int.from_bytes(data[:8], 'little')
header = json.loads(data[8:8 + length])
body = memoryview(data)[8 + length:]
meta = header.pop('__metadata__')
spans = sorted(entry['data_offsets'] for entry in header.values())
assert [begin for begin, _ in spans] == [0] + [end for _, end in spans[:-1]], 'holes'
assert spans[-1][1] == len(body), 'length'
tensors = {}
for name, entry in header.items():
    begin, end = entry['data_offsets']
    assert entry['dtype'] == 'F64'
    tensors[name] = numpy.frombuffer(body[begin:end], '<f8').reshape(entry['shape']).tolist()
print(json.dumps({'name': json.loads(meta['profile'])['name'], 'tensors': tensors}))
`;
const hasNumpy = spawnSync('python3', ['-c', 'import numpy']).status === 0;
if (!hasNumpy) process.stderr.write('skipped: a Profile read by Python, python3 with numpy is absent\n');

test.skipIf(!hasNumpy)('Python reads the same numbers', () => {
  const { stdout, stderr } = spawnSync('python3', ['-c', reader], { input: bytes, encoding: 'utf8' });
  expect(stderr).toBe('');
  const { name, tensors } = JSON.parse(stdout);
  expect(name).toBe('tiny');
  expect(Object.keys(tensors).sort()).toEqual(Object.keys(profile.tensors).sort());
  expect(tensors.knotDeviations).toEqual([-1, 1]);
  expect(tensors.calibrationValues).toEqual([[1.5]]);
});

test('describeProfile leaves the numbers out', () => {
  expect(describeProfile(profile)).not.toHaveProperty('tensors');
});

describe('a damaged Profile is refused with a code', () => {
  test('any flipped bit', () => {
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] ^= 1 << (at % 8);
      let read: unknown;
      try {
        read = decodeProfile(damaged);
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^STOPLINE_ERR_PROFILE_/) });
        continue;
      }
      // White space in the header is the one thing that may change without changing the contents.
      expect(read).toEqual(profile);
    }
  });

  test('cut anywhere', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeProfile(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^STOPLINE_ERR_PROFILE_(TRUNCATED|INVALID)$/) }),
      );
    }
  });

  test.each([
    ['a newer version', profileVersion + 1],
    ['an older version', profileVersion - 1],
  ])('%s', (_, version) => {
    const other = encodeTensors({ format: 'stopline-profile', version: `${version}`, sha256: '', profile: '{}' }, {});
    expect(() => decodeProfile(other)).toThrow(
      expect.objectContaining({
        code: 'STOPLINE_ERR_PROFILE_VERSION',
        message: expect.stringContaining('stopline fit'),
      }),
    );
  });

  test('other tensors, text, nothing', () => {
    for (const other of [
      encodeTensors({ format: 'other' }, {}),
      new TextEncoder().encode('hello world'),
      new Uint8Array(),
    ]) {
      expect(() => decodeProfile(other)).toThrow(expect.objectContaining({ code: 'STOPLINE_ERR_PROFILE_INVALID' }));
    }
  });

  test('a right checksum over tensors that do not fit together', () => {
    const { tensors, sha256: _, ...description } = profile;
    const broken = [
      { ...tensors, slopes: vector(1, 2) },
      { ...tensors, precision: vector() },
      { ...tensors, knotOffsets: vector(0, 7) },
      { ...tensors, combinedScores: vector() },
      { ...tensors, mean: vector(Number.NaN) },
    ];
    for (const parts of broken) {
      expect(() => decodeProfile(encodeProfile(createProfile(description, parts)))).toThrow(
        expect.objectContaining({ code: 'STOPLINE_ERR_PROFILE_INVALID' }),
      );
    }
    const far = { ...description, detectors: [{ name: 'combined', components: [9] }] };
    expect(() => decodeProfile(encodeProfile(createProfile(far, tensors)))).toThrow(/components of the detector/);
    const causes = { names: ['rain', 'fog'], members: [0], temperature: 1 };
    expect(() => decodeProfile(encodeProfile(createProfile({ ...description, causes }, tensors)))).toThrow(
      /components/,
    );
  });
});

test('a missing file names the command to type, an unwritable folder leaves nothing behind', async () => {
  await expect(loadProfile(join(folder, 'none.stopline'))).rejects.toMatchObject({
    code: 'STOPLINE_ERR_PROFILE_UNREADABLE',
    message: expect.stringContaining('stopline fit'),
  });
  await writeFile(join(folder, 'file'), '');
  await expect(saveProfile(profile, join(folder, 'file', 'x.stopline'))).rejects.toMatchObject({
    code: 'STOPLINE_ERR_OUTPUT_UNWRITABLE',
  });
});
