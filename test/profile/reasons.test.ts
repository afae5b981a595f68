import { describe, expect, it } from 'vitest';
import type { MeasuredImage } from '../../src/image/measured.ts';
import { placeCount } from '../../src/image/places.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { findQuantile } from '../../src/profile/maths/ranks.ts';
import { explainImage, type Judged, readGroup } from '../../src/profile/reasons.ts';
import { createScorer } from '../../src/profile/score.ts';
import { decideVerdict } from '../../src/profile/verdict.ts';
import { fitSynthetic, makeImage } from '../fixtures/synthetic.ts';

const profile = fitSynthetic();
const scorer = createScorer(
  profile,
  statistics.map(({ name }) => name),
);
const judge = (values: Record<string, number> = {}, size?: { width: number; height: number }) =>
  decideVerdict(profile, scorer, makeImage(values, size));
const band = (name: string) => {
  const position = profile.statistics.findIndex((row) => row.name === name);
  const sorted = scorer.calibration(position, 0);
  return [0.01, 0.99].map((share) => findQuantile(sorted, share));
};

describe('reasons', () => {
  it('are none on a pass', () => {
    expect(judge()).toMatchObject({ verdict: 'pass', reasons: [] });
    expect(judge()).not.toHaveProperty('unusual');
  });

  it('say what a person sees, with its most legible number first', () => {
    const [low, high] = band('lumaP50').map((value) => value.toFixed(0));
    const { verdict, reasons, cause } = judge({ lumaP50: 1, lumaMean: 2, noiseSigma: 24 });
    expect(verdict).toBe('block');
    expect(reasons[0]).toMatchObject({
      group: 'dark',
      statistic: 'lumaP50',
      value: 1,
      unit: 'DN',
      direction: 'low',
      text: `much darker than the reference: median brightness 1, usually ${low} to ${high}`,
      advice: expect.stringContaining('lighting'),
    });
    // The names stand behind it.
    expect(reasons[0].evidence.map(({ statistic }) => statistic).sort()).toEqual(['lumaMean', 'lumaP50']);
    expect(reasons[0].evidence[0].text).toMatch(
      /^darker than the reference: luma\w+ \d+ DN is below all 200 reference/,
    );
    expect(reasons.map(({ group }) => group)).toEqual(['dark', 'noisy']);
    expect(cause).toMatchObject({ kind: 'family', family: 'light', text: 'light or exposure' });
  });

  it('never name a statistic that nobody can read', () => {
    const names = statistics.filter(({ name }) => name.startsWith('mscn')).map(({ name }) => name);
    const { verdict, reasons } = judge(Object.fromEntries(names.map((name) => [name, 50])));
    expect(verdict).toBe('block');
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatchObject({ group: 'texture', statistic: 'combination' });
    expect(reasons[0].text).toMatch(/^other in fine texture than the reference: \d+ statistics lie outside/);
    expect(reasons[0].evidence.every(({ statistic }) => names.includes(statistic))).toBe(true);
  });

  it('say haze only where more contrast is lost than sharpness, or shadows are lifted and the range is narrower', () => {
    const kinds = (values: Record<string, number>) => judge(values).reasons.map(({ kind }) => kind);
    const hazy = judge({ localContrast: 1, lumaP05: 120 });
    expect(kinds({ localContrast: 1, lumaP05: 120, lumaRange: -300, blockSharpness: -5 })).toEqual(['hazy', 'blurred']);
    // Blur lifts the shadows, too.
    expect(kinds({ localContrast: 1, lumaP05: 120, blockSharpness: -5 })).toEqual(['blurred', 'bright', 'flat']);
    expect(hazy.reasons.map(({ kind }) => kind)).toEqual(['hazy']);
    expect(hazy.reasons[0].text).toMatch(/^much hazier than the reference: local contrast 1, usually/);
    expect(hazy.cause).toMatchObject({ family: 'weather' });
    expect(kinds({ localContrast: 1 })).toEqual(['hazy']);
    expect(kinds({ lumaP05: 120 })).toEqual(['bright']);
    // Blur takes contrast with the fine detail, also where it takes less of that; a kind is told beside others of its group's rank.
    expect(kinds({ localContrast: 1, blockSharpness: -5 })).toEqual(['blurred', 'flat']);
    expect(judge({ localContrast: 1, blockSharpness: -5 }).reasons.map(({ group }) => group)).toEqual([
      'blurred',
      'hazy',
    ]);
    // Darkness takes contrast, too.
    expect(kinds({ localContrast: 1, lumaP50: 1 })).toEqual(['dark', 'flat']);
  });

  it('count nothing below the resolution of a statistic', () => {
    expect(profile.constants).toHaveProperty('earlierJpegScore');
    for (const earlierJpegScore of [0, 1e-15, 9e-4, -9e-4]) {
      const { score, reasons } = judge({ earlierJpegScore });
      expect({ score, reasons }).toEqual({ score: judge().score, reasons: [] });
    }
    const { reasons } = judge({ earlierJpegScore: 0.5, lumaP50: 1 });
    expect(reasons.find(({ group }) => group === 'compressed')?.text).toBe(
      'much more surely JPEG-compressed before than the reference: traces of an earlier JPEG 0.5, always 0',
    );
  });

  it('say nothing of compression where rows were drawn: their straight edges look like those of blocks', () => {
    const groups = (values: Record<string, number>) => judge(values).reasons.map(({ group }) => group);
    expect(groups({ deadRows: 0.005, earlierJpegScore: 0.5 })).toContain('compressed');
    const drawn = groups({ deadRows: band('deadRows')[1] + 50, earlierJpegScore: 0.5 });
    expect(drawn).not.toContain('compressed');
    expect(drawn).toContain('noisy');
    // Strong compression makes rows of sky one colour, and no sensor does.
    const { kind, text } = judge({ deadRows: band('deadRows')[1] + 50, jpegQuality: 10 }).reasons[0];
    expect({ kind, text }).toEqual({
      kind: 'compressed',
      text: 'much more compressed than the reference: JPEG quality 10, always 95',
    });
    expect(groups({ deadRows: band('deadRows')[1] + 50, jpegQuality: 10 })).not.toContain('noisy');
  });

  it('say upside down, or what was done to the file before, first of the own camera only', () => {
    const { categories, ...rest } = profile;
    const turned = { ...rest, categories: { ...categories, layout: { upright: 200 } } };
    const image = makeImage({ blockSharpness: -5, coefficientGaps: 500 });
    const explain = (properties: Record<string, string>) =>
      explainImage({
        profile: turned,
        scorer,
        image,
        score: { ...scorer.score(image.statistics, {}, image), layout: 'upsideDown' },
        properties,
        history: { earlier: { quality: 75, offsetX: 0, offsetY: 0 } } as NonNullable<Judged['history']>,
        isStopped: true,
      }).reasons.map(({ statistic }) => statistic);
    const own = ['layout', 'history', 'blockSharpness'];
    expect(explain({})).toEqual(own);
    expect(explain({ size: '160x90', encoder: 'bbbb' })).toEqual([...own, 'encoder']);
    // A photograph from elsewhere has its things elsewhere, and is upright.
    expect(explain({ size: '640x480', encoder: 'bbbb' })).toEqual(['blockSharpness', 'history', 'size']);
  });

  it('say nothing of halves, rows and blocks where there is nothing to see', () => {
    const kinds = (localContrast: number) =>
      judge({ localContrast, lumaTopBottom: -90, oddEvenRows: 60, castBlueGreen: -2 }).reasons.map(({ kind }) => kind);
    const [low] = band('localContrast');
    expect(kinds(0.9 * low)).toEqual(expect.arrayContaining(['moved', 'damaged']));
    expect(kinds(0.5 * low)).not.toEqual(expect.arrayContaining(['moved']));
    expect(kinds(0.5 * low)).not.toEqual(expect.arrayContaining(['damaged']));
    expect(kinds(0.5 * low)).toEqual(expect.arrayContaining(['tinted']));
  });

  it('print numbers that differ so that they differ', () => {
    const [, high] = band('noiseSigma');
    const { reasons } = judge({ noiseSigma: high + 0.03, mscnVariance: 50 });
    const said = reasons.find(({ group }) => group === 'noisy')?.text ?? '';
    const [, own, , most] = /noise ([\d.]+), usually ([\d.]+) to ([\d.]+)$/.exec(said) ?? [];
    expect(Number(own)).toBeGreaterThan(Number(most));
  });

  it('tell the file in one sentence, last where anything is seen', () => {
    const { reasons } = judge({ lumaP50: 5 }, { width: 640, height: 480 });
    expect(reasons.map(({ group }) => group)).toEqual(['dark', 'file']);
    expect(reasons[1]).toMatchObject({
      statistic: 'size',
      value: '640x480',
      direction: 'new',
      text: 'from another kind of file than the reference: size in pixels 640x480 never seen there',
    });
  });

  it('call a file of the same kind smaller only where nothing else is seen: a dark picture takes fewer bytes', () => {
    expect(judge({ lumaP50: 5, codedBytesPerPixel: 1 }).reasons.map(({ group }) => group)).toEqual(['dark']);
    const { reasons } = judge({ codedBytesPerPixel: 1 });
    expect(reasons.map(({ group }) => group)).toEqual(['file']);
    expect(reasons[0].text).toMatch(/^much smaller as a file than the reference: bytes for each pixel 1, usually /);
  });

  it('leave out what is slight, what is contrary and what nobody can name where something else is told', () => {
    const kinds = (values: Record<string, number>) => judge(values).reasons.map(({ kind }) => kind);
    const [low, high] = band('lumaP50');
    const slight = high + 0.02 * (high - low);
    expect(kinds({ lumaP50: slight, castBlueGreen: 2 })).toEqual(['tinted']);
    // A PNG of a picture that is as ever is another file, whatever one number in fifty says.
    const { reasons, cause } = judge({ lumaP50: slight }, { width: 640, height: 480 });
    expect(reasons.map(({ kind }) => kind)).toEqual(['file']);
    expect(cause).toMatchObject({ kind: 'file', text: expect.stringContaining('in the picture nothing stands out') });
    // Fog is not sharper, nor is noise.
    expect(kinds({ localContrast: 1, lumaP05: 120, laplacianRatio: 9 })).toEqual(['hazy']);
    expect(kinds({ noiseSigma: 30, blockSharpness: 9 })).toEqual(['noisy']);
    expect(kinds({ mscnVariance: 50, localContrast: 1 })).toEqual(['hazy', 'texture']);
    expect(kinds({ mscnVariance: 50, localContrast: 1, castBlueGreen: 2 })).not.toContain('texture');
    // Rows that are nearer to their neighbours than to those behind them are not combed.
    expect(kinds({ oddEvenRows: -0.05 })).not.toContain('damaged');
    expect(kinds({ oddEvenRows: 60 })).toContain('damaged');
  });

  it('call darkness first only where it is dark, not where the blacks of noise are', () => {
    expect(judge({ lumaP01: 0, noiseSigma: 40 }).reasons[0].kind).toBe('noisy');
  });

  it('call less detail of another size no blur, and the quality of another encoder no compression', () => {
    const explain = (blockSharpness: number) => {
      const image = makeImage({ blockSharpness, jpegQuality: 75, castBlueGreen: 2 });
      const score = scorer.score(image.statistics, {}, image);
      const properties = { size: '640x480', encoder: 'bbbb', jpegQuality: '75' };
      return explainImage({ profile, scorer, image, score, properties, history: undefined, isStopped: true }).reasons;
    };
    const [low, high] = band('blockSharpness');
    const reasons = explain(low - (high - low));
    expect(reasons.map(({ kind }) => kind)).toEqual(['tinted', 'coarse', 'file']);
    expect(reasons[1].text).toMatch(/^much less detailed, pixel for pixel, than the reference: sharpness /);
    expect(reasons[2].text).toMatch(/JPEG quality 75, always 95$/);
    expect(explain(low - 4 * (high - low))[0].kind).toBe('blurred');
  });

  it('call no part hidden where most of the view is, and what does it is told by itself', () => {
    const image = makeImage({ blockSharpness: -5 });
    const score = scorer.score(image.statistics, {}, image);
    const places = { name: 'places' as const, pValue: 0.005, score: 2 };
    const explain = (hidden: number, seen: MeasuredImage = image) =>
      explainImage({
        profile,
        scorer,
        image: seen,
        score: {
          ...(seen === image ? score : scorer.score(seen.statistics, {}, seen)),
          detectors: [...score.detectors, places],
          odds: Float64Array.from({ length: placeCount }, (_, tile) => (tile < hidden * placeCount ? 8 : -8)),
        },
        properties: {},
        history: undefined,
        isStopped: true,
      }).reasons.map(({ text }) => text);
    expect(explain(0.25)).toContain('something hides or blurs a part of the view: upper part, 25 % of the picture');
    expect(explain(0.75).filter((text) => text.includes('hides'))).toEqual([]);
    expect(explain(0.75, makeImage())).toEqual(['something hides or blurs most of the view: 75 % of the picture']);
  });

  it('of rows that an earlier version wrote have a group, too', () => {
    expect(readGroup({ statistic: 'lumaMean', direction: 'low' })).toBe('dark');
    // What is a kind now was a group once.
    expect(readGroup({ group: 'flat' as 'hazy', statistic: 'lumaRange', direction: 'low' })).toBe('hazy');
    expect(readGroup({ statistic: 'fingerprint', direction: 'new' })).toBe('file');
    expect(readGroup({ statistic: 'embedding', direction: 'high' })).toBe('scene');
    expect(readGroup({ statistic: 'mscnHalfDiagonal1LeftVariance', direction: 'high' })).toBe('texture');
  });
});
