import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import { corrupt, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { decode } from '../../src/image/decode.ts';
import { encodeLike } from '../../src/image/encode.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import type { Verdict } from '../../src/profile/verdict.ts';

// Not part of the repository; its SOURCES.md says what each folder is.
const data = fileURLToPath(new URL('../../../shared/data/', import.meta.url));
const isPresent = existsSync(data);
if (!isPresent) process.stderr.write('skipped: real and simulated cameras, ../shared/data is absent\n');

const files = (folder: string) =>
  readdirSync(join(data, folder))
    .sort()
    .map((name) => join(data, folder, name));

async function inspectAll(inspector: Inspector, paths: readonly string[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const path of paths) verdicts.push(await inspector.inspect(readFileSync(path)));
  return verdicts;
}

const alarms = (verdicts: readonly Verdict[], rate: number) => verdicts.filter(({ pValue }) => pValue <= rate).length;

describe.skipIf(!isPresent)('a camera of a simulator, 188 frames of three towns', () => {
  const rate = 0.05;
  let inspector: Inspector;
  let control: Verdict[];

  beforeAll(async () => {
    // Frames were shuffled by whoever published them: each is its own group, named so that no absolute path counts.
    const { profile } = await fit({
      simulations: 0,
      power: 0,
      paths: [join(data, 'reference_permissive/carla_towns_640x380')],
      groupBy: '[^/\\\\]+$',
      falseAlarmRate: { warn: rate, block: 0.02 },
    });
    inspector = await createInspector({ profile });
    control = await inspectAll(inspector, files('control/carla_towns_640x380_iid'));
  });

  it('is calibrated: 60 frames of the same distribution alarm at the promised rate', () => {
    const { low } = clopperPearson(alarms(control, rate), control.length);
    expect(control.length).toBe(60);
    expect(low).toBeLessThanOrEqual(rate);
  });

  it('sees that frames never were compressed', async () => {
    const verdicts = await inspectAll(inspector, files('pristine/carla_towns_640x380_png'));
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(Array(6).fill('block'));
    for (const { reasons } of verdicts) {
      const evidence = reasons.flatMap((reason) => reason.evidence);
      expect(evidence.find(({ statistic }) => statistic === 'format')).toMatchObject({
        value: 'png',
        direction: 'new',
      });
    }
  });

  it.each(['drift/carla_site_just_traffic_light', 'drift/sim_frames_SYNTHETIC', 'drift/fog_dawn', 'ood/bsds500_train'])(
    'blocks frames of another camera: %s',
    async (folder) => {
      const paths = files(folder).slice(0, 20);
      const verdicts = await inspectAll(inspector, paths);
      expect(verdicts.filter(({ verdict }) => verdict === 'block').length).toBe(paths.length);
    },
  );

  it('sees what happened to its own frames, with the same size and encoder', async () => {
    const spoilt: [cause: string, severity: Severity][] = [
      ['defocusBlur', 3],
      ['gaussianNoise', 2],
      ['jpeg', 3],
      ['fog', 3],
      ['night', 2],
      ['rain', 3],
    ];
    const seen: Record<string, number> = {};
    const paths = files('control/carla_towns_640x380_iid').slice(0, 12);
    for (const [cause, severity] of spoilt) {
      let hits = 0;
      for (const [i, path] of paths.entries()) {
        const { frame, container } = await decode(readFileSync(path));
        const { pValue } = await inspector.inspect(
          await encodeLike(await corrupt(frame, cause, severity, i), container),
        );
        if (pValue <= rate) hits++;
      }
      seen[cause] = hits;
    }
    for (const [cause, hits] of Object.entries(seen)) expect(hits, cause).toBeGreaterThanOrEqual(10);
  });
});

describe.skipIf(!isPresent)('a car camera, two drives by day', () => {
  // A block of neighbours with something odd in it decides what 5 % means; 10 % is more robust.
  const rate = 0.1;
  let inspector: Inspector;

  beforeAll(async () => {
    const drives = ['reference/camvid_0016E5_day', 'reference/camvid_Seq05VD_day'];
    const { profile } = await fit({
      simulations: 0,
      power: 0,
      paths: drives.map((drive) => join(data, drive)),
      // Ten neighbouring frames, about 10 s, are one group; the name of the drive and the frame tell them apart.
      groupBy: 'camvid_(\\w+_day/\\w+?)\\d\\.\\w+$',
      falseAlarmRate: { warn: rate, block: 0.05 },
    });
    inspector = await createInspector({ profile });
  });

  it('all frames calibrate, and blocks of them keep the promise to each other', () => {
    const { tensors, reference, falseAlarmRate } = inspector.profile;
    expect(reference.split.by).toBe('pattern');
    expect(reference.fitted).toBe(243);
    expect(falseAlarmRate.promised.warn).toBe(rate);
    expect(tensors.combinedScores.data.length).toBe(243);
    const { low, high } = falseAlarmRate.achieved?.warn ?? { low: 1, high: 0 };
    expect(low).toBeLessThanOrEqual(rate);
    expect(high).toBeGreaterThanOrEqual(rate);
  });

  it('flags most frames at dusk, and says that they are dark', async () => {
    const paths = files('drift/dusk_camvid_0001TP_a');
    const verdicts = await inspectAll(inspector, paths);
    expect(alarms(verdicts, rate)).toBeGreaterThan(0.8 * paths.length);
    // In words, and first, whether it is enough to warn or not.
    const first = verdicts.map(({ reasons, unusual = [] }) => [...reasons, ...unusual][0]);
    expect(first.filter((reason) => reason?.group === 'dark').length).toBeGreaterThanOrEqual(45);
    expect(first.filter((reason) => /dark/.test(reason?.text ?? '')).length).toBeGreaterThanOrEqual(45);
    for (const { cause } of verdicts) if (cause) expect(cause).toMatchObject({ family: 'light' });
  });

  it('ranks dusk above day frames that were not fitted', async () => {
    const dusk = await inspectAll(inspector, files('drift/dusk_camvid_0001TP_a'));
    const day = [...inspector.profile.tensors.combinedScores.data];
    const wins = dusk.flatMap(({ score }) => day.map((other): number => (score > other ? 1 : 0)));
    expect(wins.reduce((sum, win) => sum + win) / wins.length).toBeGreaterThan(0.9);
  });

  it('the same pixels as another file format are another capture', async () => {
    const [path] = files('reference/camvid_0016E5_day');
    const verdict = await inspector.inspect(await sharp(readFileSync(path)).webp({ quality: 90 }).toBuffer());
    expect(verdict.verdict).toBe('block');
    const evidence = verdict.reasons.flatMap((reason) => reason.evidence);
    expect(evidence.map(({ statistic }) => statistic)).toContain('format');
  });
});
