import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { corrupt, type Severity } from '../../src/image/corruptions/corruptions.ts';
import type { Frame } from '../../src/image/frame.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { createProfile, type Profile, type ProfileDescription } from '../../src/profile/description.ts';
import { saveProfile } from '../../src/profile/file.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { listFrames } from '../../src/run/inputs/video.ts';
import { createObjectStore } from '../../src/run/objects.ts';
import { encodeFrame, jpegFrame, renderFolder, renderFrame } from '../fixtures/camera.ts';
import { fitOnce } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { exifSegment, findJpegMarker, jpegSegment, tiffOrientation, withJpegSegments } from '../fixtures/images.ts';
import { withRestarts } from '../fixtures/jpeg.ts';

const folder = temporaryFolder();
const rendered = renderFrame(500, { width: 160, height: 90 });
let profile: Profile;
let inspector: Inspector;

beforeAll(async () => {
  const falseAlarmRate = { warn: 0.05, block: 0.02 };
  const options = { name: 'front-camera', falseAlarmRate, simulations: 20, power: 0, model: 'none' };
  ({ profile } = await fitOnce({ images: 200, groupBy: '\\d+(?=\\.jpg)', ...options }));
  inspector = await createInspector({ profile });
});

/** The number behind a reason by its name. */
const findEvidence = ({ reasons }: Verdict, name: string) =>
  reasons.flatMap(({ evidence }) => evidence).find(({ statistic }) => statistic === name);

/** The Profile with another description, its checksum made to fit. */
function altered(changes: Partial<ProfileDescription>): Profile {
  const { sha256: _, tensors, ...description } = profile;
  return createProfile({ ...description, ...changes }, tensors);
}

const png = ({ data, width, height, channels }: Frame) =>
  sharp(data, { raw: { width, height, channels } }).png().toBuffer();

const progressive = ({ data, width, height, channels }: Frame) =>
  sharp(data, { raw: { width, height, channels } }).jpeg({ quality: 92, progressive: true }).toBuffer();

async function spoilt(cause: string, severity: Severity): Promise<Uint8Array> {
  return encodeFrame(await corrupt(rendered, cause, severity, 1));
}

describe('causes', () => {
  it.each(['rain', 'jpeg', 'night', 'fog', 'gaussianNoise', 'motionBlur'])(
    '%s is among the first two named',
    async (cause) => {
      const { causes, verdict, detectors } = await inspector.inspect(await spoilt(cause, 3));
      expect(verdict).not.toBe('pass');
      expect(detectors.find(({ name }) => name === 'capture')?.pValue).toBeLessThanOrEqual(0.05);
      expect(causes?.slice(0, 2).map((named) => named.cause)).toContain(cause);
    },
  );
});

describe('a verdict', () => {
  it('has the fields that every way in promises', async () => {
    const bytes = await jpegFrame(500);
    const verdict = JSON.parse(JSON.stringify(await inspector.inspect(bytes)));
    expect(verdict).toMatchObject({
      verdict: expect.stringMatching(/^(pass|warn|block)$/),
      pValue: expect.any(Number),
      score: expect.any(Number),
      falseAlarmRate: { warn: 0.05, block: 0.02 },
      reasons: expect.any(Array),
      image: {
        format: 'jpeg',
        width: 160,
        height: 90,
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
        container: { format: 'jpeg', width: 160, height: 90 },
        remarks: [],
      },
      profile: { name: 'front-camera', sha256: profile.sha256 },
    });
    expect(verdict.statistics.jpegQuality).toBe(92);
    expect(verdict.detectors).toContainEqual({
      name: 'capture',
      pValue: expect.any(Number),
      score: expect.any(Number),
    });
    expect(Object.keys(verdict.statistics)).toEqual(statistics.map(({ name }) => name));
    for (const value of Object.values(verdict.statistics))
      if (value !== null) expect(value).toEqual(expect.any(Number));
    const { decode, statistics: measured, score, total } = verdict.timingMs;
    expect(total).toBeCloseTo(decode + measured + score, 9);
  });

  it('passes most clean frames and blocks a spoilt one', async () => {
    const clean = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => inspector.inspect(await jpegFrame(600 + i))),
    );
    expect(clean.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(30);
    expect((await inspector.inspect(await spoilt('gaussianNoise', 4))).verdict).toBe('block');
  });

  it('says that a picture is upside down, of a camera that drives, too', async () => {
    expect(profile.categories.layout?.upright).toBeGreaterThan(180);
    for (const image of [600, 601, 602]) {
      const frame = renderFrame(image, { width: 160, height: 90 });
      const whole = await sharp(frame.data, { raw: { width: 160, height: 90, channels: 3 } })
        .rotate(180)
        .raw()
        .toBuffer();
      const { verdict, reasons, cause } = await inspector.inspect(await encodeFrame({ ...frame, data: whole }));
      expect(verdict).not.toBe('pass');
      expect(reasons[0]).toMatchObject({ group: 'moved', statistic: 'layout', value: 'upsideDown' });
      expect(cause).toMatchObject({ kind: 'cause', family: 'geometry', cause: 'orientation' });
    }
  });

  it('is decided by the detector asked for, and all of them are shown', async () => {
    const images = [
      await jpegFrame(700),
      await spoilt('fog', 1),
      await spoilt('gaussianNoise', 2),
      await progressive(rendered),
    ];
    const combined = await Promise.all(images.map((bytes) => inspector.inspect(bytes)));
    const seen = new Set<string>();
    for (const decideBy of ['combined', 'capture', 'content'] as const) {
      const deciding = await createInspector({ profile, decideBy });
      for (const [i, bytes] of images.entries()) {
        const { verdict, decidedBy, pValue, score, detectors, falseAlarmRate } = await deciding.inspect(bytes);
        expect(detectors.map(({ name }) => name)).toEqual(['combined', 'capture', 'content', 'places']);
        expect(detectors).toEqual(combined[i].detectors);
        expect(detectors).toContainEqual({ name: decidedBy, pValue, score });
        expect(decidedBy).toBe(decideBy);
        expect(verdict).toBe(
          pValue <= falseAlarmRate.block ? 'block' : pValue <= falseAlarmRate.warn ? 'warn' : 'pass',
        );
        seen.add(`${i} ${verdict === 'pass' ? 'passes' : 'is stopped'}`);
      }
    }
    // The questions differ: another encoder setting is another way to capture, but shows nothing new.
    expect([...seen]).toEqual(expect.arrayContaining(['3 is stopped', '3 passes']));
  });

  it('blocks by the rule that it is told, says so first, and warns as before', async () => {
    const images = [await jpegFrame(700), await spoilt('gaussianNoise', 3), await spoilt('gaussianNoise', 5)];
    const usual = await Promise.all(images.map((bytes) => inspector.inspect(bytes)));
    const limit = (usual[1].score + usual[2].score) / 2;
    const ruled = await createInspector({ profile, blockWhen: `score>=${limit} or score < -1e9` });
    const blockWhen = `score >= ${limit} or score < -1e9`;
    const verdicts = await Promise.all(images.map((bytes) => ruled.inspect(bytes)));
    expect(verdicts.map(({ verdict }) => verdict)).toEqual([usual[0].verdict, 'warn', 'block']);
    expect(verdicts[1].reasons).toEqual(usual[1].reasons);
    const { pValue, score } = usual[2];
    expect(verdicts[2].blockWhen).toBe(blockWhen);
    expect(verdicts[2].reasons[0]).toMatchObject({
      group: 'rule',
      statistic: 'blockWhen',
      value: blockWhen,
      unit: '',
      direction: 'new',
      pValue,
      text: `blocked by the rule "${blockWhen}": score ${Number(score.toPrecision(3))}`,
    });
    expect(verdicts[2].reasons.slice(1)).toEqual(usual[2].reasons);
    await expect(createInspector({ profile, blockWhen: 'score > much' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
    });
    await expect(createInspector({ profile, blockWhen: 'expectedFlipRate > 0.1' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining('"front-camera" has none'),
    });
  });

  it('cannot be decided by a detector that the Profile lacks', async () => {
    const names = ['statistics', 'container'];
    const { tensors } = profile;
    const detectors = [profile.detectors[0], { name: names[0], components: [0] }, { name: names[1], components: [3] }];
    const scores = { statisticsScores: tensors.contentScores, containerScores: tensors.captureScores };
    const { sha256: _, tensors: __, ...description } = profile;
    const other = createProfile({ ...description, detectors }, { ...tensors, ...scores });
    await expect(createInspector({ profile: other, decideBy: 'capture' })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining('(combined, statistics, container)'),
    });
  });

  it('follows from the p-value and the promised rates alone', async () => {
    const { fitted } = profile.reference;
    for (const bytes of [await jpegFrame(700), await spoilt('fog', 1), await spoilt('night', 3)]) {
      const { verdict, pValue, falseAlarmRate } = await inspector.inspect(bytes);
      expect(verdict).toBe(pValue <= falseAlarmRate.block ? 'block' : pValue <= falseAlarmRate.warn ? 'warn' : 'pass');
      // A conformal p-value is a whole number of ranks.
      expect((pValue * (fitted + 1)) % 1).toBeCloseTo(0, 9);
      expect(pValue).toBeGreaterThanOrEqual(1 / (fitted + 1));
    }
  });

  it('ranks images by score after the p-value has reached its end', async () => {
    const verdicts = [];
    for (const severity of [1, 3, 5] as const)
      verdicts.push(await inspector.inspect(await spoilt('gaussianNoise', severity)));
    const smallest = 1 / (profile.reference.fitted + 1);
    expect(verdicts.map(({ pValue }) => pValue)).toEqual([smallest, smallest, smallest]);
    const scores = verdicts.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => a - b));
    expect(new Set(scores).size).toBe(3);
  });

  it('is the same for the same bytes', async () => {
    const bytes = await jpegFrame(501);
    const [first, second] = await Promise.all([inspector.inspect(bytes), inspector.inspect(bytes)]);
    expect({ ...first, timingMs: 0 }).toEqual({ ...second, timingMs: 0 });
  });
});

describe('reasons', () => {
  it('name what is wrong, with value, unit and the range of the reference', async () => {
    const { reasons } = await inspector.inspect(await spoilt('gaussianNoise', 3));
    const noisy = reasons.find(({ group }) => group === 'noisy');
    expect(noisy?.text).toMatch(/^much noisier than the reference: noise [\d.]+, usually [\d.]+ to [\d.]+$/);
    const noise = noisy?.evidence.find(({ statistic }) => statistic === 'noiseSigma');
    expect(noise).toMatchObject({ unit: 'DN', direction: 'high' });
    const { value, reference, text } = noise!;
    expect(reference!.p01).toBeLessThanOrEqual(reference!.p50);
    expect(reference!.p50).toBeLessThanOrEqual(reference!.p99);
    expect(value as number).toBeGreaterThan(reference!.p99);
    const { digits } = statistics.find(({ name }) => name === 'noiseSigma')!;
    expect(text).toContain(`${Number((value as number).toFixed(digits))} DN`);
    expect(text).toMatch(/above .* reference/);
  });

  it('are ranked, bounded and each said once', async () => {
    const { reasons } = await inspector.inspect(await spoilt('defocusBlur', 4));
    expect(reasons.length).toBeGreaterThan(1);
    expect(reasons.length).toBeLessThanOrEqual(6);
    expect(new Set(reasons.map(({ group }) => group)).size).toBe(reasons.length);
    for (const { pValue } of reasons) {
      expect(pValue).toBeGreaterThan(0);
      expect(pValue).toBeLessThanOrEqual(1);
    }
  });

  it('see another encoder setting and another size, which no statistic of the pixels is needed for', async () => {
    const other = await inspector.inspect(await encodeFrame(rendered, { quality: 60 }));
    const setting = findEvidence(other, 'encoder');
    expect(setting).toMatchObject({ direction: 'new', text: expect.stringContaining('encoder setting') });
    expect(setting).not.toHaveProperty('reference');
    const larger = await inspector.inspect(await encodeFrame(renderFrame(500, { width: 192, height: 108 })));
    const size = findEvidence(larger, 'size');
    expect(size).toMatchObject({ value: '192x108', direction: 'new', text: expect.stringContaining('160x90') });
  });

  it('leave out what is to be ignored, which scores at most what it did, and know no other names', async () => {
    const images = [
      await encodeFrame(rendered, { quality: 60 }),
      await encodeFrame(renderFrame(500, { width: 192, height: 108 })),
      await jpegFrame(500),
    ];
    // As older Profiles called the encoder.
    const ignoring = await createInspector({ profile: inspector.profile, ignore: ['size', 'fingerprint'] });
    for (const bytes of images) {
      const [whole, without] = [await inspector.inspect(bytes), await ignoring.inspect(bytes)];
      expect(without.reasons.map(({ statistic }) => statistic)).not.toEqual(expect.arrayContaining(['size']));
      expect(without.reasons.map(({ statistic }) => statistic)).not.toEqual(expect.arrayContaining(['encoder']));
      expect(without.score).toBeLessThanOrEqual(whole.score);
      expect(without.profile).toEqual(whole.profile);
    }
    await expect(createInspector({ profile: inspector.profile, ignore: ['colour', 'sise'] })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringMatching(/size, .*received "sise"/),
    });
  });
});

describe('how a file is wrapped', () => {
  /** Byte ranges of a JPEG by their first marker. */
  const part = (bytes: Buffer, from: number, to?: number) =>
    bytes.subarray(findJpegMarker(bytes, from), to === undefined ? undefined : findJpegMarker(bytes, to));

  it('blocks nothing: the verdict is that of the same picture, with a remark', async () => {
    const plain = Buffer.from(await jpegFrame(500));
    const { data, width, height, channels } = rendered;
    const raw = sharp(data, { raw: { width, height, channels } });
    const usualTables = await raw.clone().jpeg({ quality: 92, optimiseCoding: false }).toBuffer();
    const wrapped: Record<string, Buffer> = {
      EXIF: withJpegSegments(plain, exifSegment(Buffer.concat([tiffOrientation(1), Buffer.alloc(40_000)]))),
      XMP: withJpegSegments(plain, jpegSegment(0xe1, Buffer.from('http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>'))),
      ICC: withJpegSegments(plain, jpegSegment(0xe2, Buffer.alloc(9000))),
      comment: withJpegSegments(plain, jpegSegment(0xfe, Buffer.from('taken by nobody'))),
      APP4: withJpegSegments(plain, jpegSegment(0xe4, Buffer.alloc(60_000))),
      JFIF: withJpegSegments(plain, jpegSegment(0xe0, Buffer.from('JFIF\0\x01\x02\0\0\x01\0\x01\0\0', 'latin1'))),
      order: Buffer.concat([plain.subarray(0, 2), part(plain, 0xc0, 0xc4), part(plain, 0xdb, 0xc0), part(plain, 0xc4)]),
      'no end': plain.subarray(0, -2),
      'odd JFIF': withJpegSegments(plain, jpegSegment(0xe0, Buffer.from('JFIF\0\0\0\0\0\x01\0\x01\0\0', 'latin1'))),
    };
    const clean = await inspector.inspect(plain);
    expect(clean.image.remarks).toEqual([]);
    for (const [name, bytes] of Object.entries(wrapped)) {
      const { verdict, pValue, score, reasons, image } = await inspector.inspect(bytes);
      expect([name, verdict, pValue, score]).toEqual([name, clean.verdict, clean.pValue, clean.score]);
      expect([name, reasons]).toEqual([name, clean.reasons]);
      expect([name, image.remarks.map(({ kind }) => kind)]).toEqual([name, expect.arrayContaining(['otherWrapping'])]);
    }
    // These change the number of coded bytes a little, and nothing else.
    for (const bytes of [usualTables, withRestarts(usualTables)]) {
      const { verdict, reasons, image } = await inspector.inspect(bytes);
      expect(verdict).toBe(clean.verdict);
      expect(reasons.flatMap(({ evidence }) => evidence).map(({ statistic }) => statistic)).not.toContain('encoder');
      expect(image.remarks.map(({ kind }) => kind)).toEqual(['otherWrapping']);
      expect(image.remarks[0]!.text).toContain('has usual Huffman tables');
    }
  });

  it('is judged by a Profile of an earlier version as it was then, save that metadata blocks nothing', async () => {
    const { encoder: _, wrapping: __, ...categories } = profile.categories;
    // What commit 63a478e called the encoder of these frames.
    const old = altered({ categories: { ...categories, fingerprint: { '81e1b8f2f9ce3098': 200 } } });
    const earlier = await createInspector({ profile: old });
    expect(earlier.warnings).toEqual([expect.stringContaining('Fit it again: stopline fit')]);
    const plain = Buffer.from(await jpegFrame(500));
    const clean = await earlier.inspect(plain);
    expect(clean.score).toBe((await inspector.inspect(plain)).score);
    const comment = await earlier.inspect(withJpegSegments(plain, jpegSegment(0xfe, Buffer.from('taken by nobody'))));
    expect([comment.verdict, comment.score]).toEqual([clean.verdict, clean.score]);
    const other = await earlier.inspect(await encodeFrame(rendered, { quality: 60 }));
    expect(findEvidence(other, 'fingerprint')).toMatchObject({ direction: 'new' });
  });
});

describe('a frame that was taken out of a video', () => {
  it('is judged by its pixels alone: the clip of a camera passes as its stills do', async (test) => {
    const clip = join(folder, 'clip.mp4');
    await renderFolder(join(folder, 'unseen'), 40, 600);
    const input = ['-framerate', '1', '-pattern_type', 'glob', '-i', join(folder, 'unseen', '*.jpg')];
    try {
      execFileSync('ffmpeg', ['-loglevel', 'error', ...input, '-pix_fmt', 'yuv420p', '-crf', '18', '-y', clip]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      test.skip('ffmpeg is not on the path');
    }
    const counts: Record<string, number> = { pass: 0, warn: 0, block: 0 };
    const said = new Set<string>();
    for await (const { codec, read } of listFrames(clip, clip, { fps: 1, maxBytes: 1e7, store: createObjectStore() })) {
      const verdict = await inspector.inspect({ bytes: await read!(), codec: codec! });
      counts[verdict.verdict]!++;
      for (const { statistic } of verdict.reasons.flatMap(({ evidence }) => evidence)) said.add(statistic);
      expect(verdict.image).toMatchObject({ format: 'frame', codec: 'h264', bytes: 160 * 90 * 3, remarks: [] });
      expect(verdict.image).not.toHaveProperty('container');
      for (const { name, group } of statistics) {
        if (group === 'container' || group === 'compression') expect(verdict.statistics[name], name).toBeNull();
      }
    }
    expect(counts.pass! + counts.warn! + counts.block!).toBe(40);
    // As many as of the same frames as stills, which are 34 of 40: the Profile knows what a codec does to this camera.
    expect(counts.pass).toBeGreaterThan(30);
    for (const property of ['format', 'encoder', 'wrapping', 'colour', 'latticeScore', 'jpegQuality']) {
      expect([...said]).not.toContain(property);
    }
  });

  it('is judged by what a codec does to images of the camera, where the reference are stills', async () => {
    const bytes = await png(rendered);
    const [still, frame] = [await inspector.inspect(bytes), await inspector.inspect({ bytes, codec: 'h264' })];
    const plain = profile.detectors.map(({ video: _, ...detector }) => detector);
    const unknowing = await createInspector({ profile: altered({ detectors: plain }) });
    const before = await unknowing.inspect({ bytes, codec: 'h264' });
    for (const [i, { name, video }] of profile.detectors.entries()) {
      expect(video, name).toBeGreaterThanOrEqual(0);
      expect(frame.detectors[i].score, name).toBeCloseTo(before.detectors[i].score - (video ?? 0), 12);
    }
    expect((await unknowing.inspect(bytes)).detectors).toEqual(still.detectors);
    const clips = altered({ categories: { ...profile.categories, codec: { h264: 200 } } });
    const { detectors } = await (await createInspector({ profile: clips })).inspect({ bytes, codec: 'h264' });
    expect(detectors[1].score).toBe(before.detectors[1].score);
  });

  it('is evidence by the name of its codec, where the reference was a video', async () => {
    const known = altered({ categories: { ...profile.categories, codec: { h264: 200 } } });
    const inspectClips = await createInspector({ profile: known });
    const bytes = await png(rendered);
    const same = await inspectClips.inspect({ bytes, codec: 'h264' });
    const other = await inspectClips.inspect({ bytes, codec: 'hevc' });
    expect(findEvidence(same, 'codec')).toBeUndefined();
    expect(findEvidence(other, 'codec')).toMatchObject({ value: 'hevc', direction: 'new' });
  });
});

describe('a frame that the caller has decoded', () => {
  it('gets the statistics that its lossless file gets, save those that only the bytes tell', async () => {
    const fromFile = await inspector.inspect(await png(rendered));
    const fromFrame = await inspector.inspectFrame(rendered);
    for (const { name, group } of statistics) {
      if (group === 'container') expect(fromFrame.statistics[name], name).toBeNull();
      else expect(fromFrame.statistics[name], name).toBe(fromFile.statistics[name]);
    }
    expect(fromFrame.image).toEqual({
      format: 'frame',
      history: {},
      remarks: [],
      width: 160,
      height: 90,
      bytes: rendered.data.length,
      sha256: createHash('sha256').update(rendered.data).digest('hex'),
      hash: fromFile.image.hash,
    });
  });

  it('may be grey, which is RGB with equal channels, or have alpha, which is ignored', async () => {
    const { data, width, height } = rendered;
    const grey = new Uint8Array(width * height).map((_, i) => data[3 * i + 1]);
    const spread = new Uint8Array(data.length).map((_, i) => grey[Math.floor(i / 3)]);
    const fromGrey = await inspector.inspectFrame({ data: grey, width, height, channels: 1 });
    const fromSpread = await inspector.inspectFrame({ data: spread, width, height, channels: 3 });
    expect(fromGrey.statistics).toEqual(fromSpread.statistics);
    expect(fromGrey.score).toBe(fromSpread.score);
    const alpha = new Uint8Array(width * height * 4).map((_, i) =>
      i % 4 === 3 ? i % 251 : data[3 * (i >> 2) + (i % 4)],
    );
    const fromAlpha = await inspector.inspectFrame({ data: alpha, width, height, channels: 4 });
    expect(fromAlpha.statistics).toEqual((await inspector.inspectFrame(rendered)).statistics);
  });

  it.each<[string, Partial<Record<keyof Frame, unknown>>]>([
    ['too few bytes', { data: new Uint8Array(10) }],
    ['too many bytes', { data: new Uint8Array(160 * 90 * 3 + 1) }],
    ['no width', { width: 0 }],
    ['a broken height', { height: 90.5 }],
    ['two channels', { channels: 2 }],
    ['floats', { data: new Float32Array(160 * 90 * 3) }],
  ])('with %s is refused', async (_, changes) => {
    const frame = { ...rendered, ...changes } as Frame;
    await expect(inspector.inspectFrame(frame)).rejects.toMatchObject({ code: 'STOPLINE_ERR_FRAME_INVALID' });
  });
});

describe('an inspector', () => {
  it('opens a Profile by its path', async () => {
    const path = join(folder, 'camera.stopline');
    await saveProfile(profile, path);
    const opened = await createInspector({ profile: path });
    expect(opened.profile.sha256).toBe(profile.sha256);
    expect(opened.warnings).toEqual([]);
    const missing = createInspector({ profile: join(folder, 'none.stopline') });
    await expect(missing).rejects.toMatchObject({ code: 'STOPLINE_ERR_PROFILE_UNREADABLE' });
  });

  it('refuses a Profile fitted under another decoding rule', async () => {
    const other = altered({ decode: { ...profile.decode, rule: 'rgb8 shrink-to-fit' } });
    await expect(createInspector({ profile: other })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_PROFILE_RULE',
      message: expect.stringMatching(/rgb8 shrink-to-fit.*stopline fit/),
    });
  });

  it('warns of a Profile fitted with another version of the decoder, and works', async () => {
    const other = altered({ decode: { ...profile.decode, decoder: 'sharp 0.1.0' } });
    const opened = await createInspector({ profile: other });
    expect(opened.warnings).toEqual([expect.stringContaining('sharp 0.1.0')]);
    const bytes = await jpegFrame(500);
    expect((await opened.inspect(bytes)).pValue).toBe((await inspector.inspect(bytes)).pValue);
  });

  it.each([
    ['1920x1080', 1],
    ['1024x768', 1],
    ['960x720', 0],
    // Shrunk to a quarter of its sides before anything is measured.
    ['3600x2400', 0],
  ])(
    'warns of a Profile of an earlier version if its images of %s are read in other parts now: %i',
    async (size, warnings) => {
      const { rule, decoder } = profile.decode;
      const categories = { ...profile.categories, size: { [size]: 5 } };
      expect((await createInspector({ profile: altered({ categories }) })).warnings).toEqual([]);
      const earlier = await createInspector({ profile: altered({ categories, decode: { rule, decoder } }) });
      expect(earlier.warnings).toEqual(
        new Array(warnings).fill(expect.stringMatching(/read other rows.*stopline fit/)),
      );
    },
  );

  it('refuses a Profile with a statistic that it cannot measure', async () => {
    const [first, ...others] = profile.statistics;
    const other = altered({ statistics: [{ ...first, name: 'ofTheFuture' }, ...others] });
    await expect(createInspector({ profile: other })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_PROFILE_VERSION',
      message: expect.stringContaining('ofTheFuture'),
    });
  });

  it('keeps to the limits that it was given', async () => {
    const strict = await createInspector({ profile, limits: { maxPixels: 1000 } });
    await expect(strict.inspect(await jpegFrame(500))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_IMAGE_TOO_MANY_PIXELS',
    });
  });

  it('judges alike with the WebAssembly core', async () => {
    const other = await createInspector({ profile, core: 'wasm' });
    expect(other.core.info.build).toBe('wasm');
    for (const bytes of [await jpegFrame(502), await spoilt('rain', 2)]) {
      const [here, there] = [await inspector.inspect(bytes), await other.inspect(bytes)];
      expect(there.verdict).toBe(here.verdict);
      expect(Math.abs(there.score - here.score)).toBeLessThan(1e-6 * Math.max(1, Math.abs(here.score)));
    }
  });
});
