import { describe, expect, it } from 'vitest';
import { measurePicking } from '../../../scripts/evaluate/picking.ts';
import type { LabelRow } from '../../../src/run/labelling/labelrow.ts';
import { pickImages } from '../../../src/run/labelling/pick.ts';
import { causesProfile, fitOnce } from '../../fixtures/fitted.ts';
import { makeLabelRow } from '../../fixtures/labels.ts';

const paths = async (rows: LabelRow[], count: number) =>
  (await pickImages(rows, { count })).map(({ row: { path } }) => path);

describe('pickImages', () => {
  it('takes the strangest first, and then what is unlike it before more of the same', async () => {
    const dark = (path: string, by: number) => makeLabelRow({ path, pValue: 1e-6, statistics: { lumaMean: 20 + by } });
    const ordinary = Array.from({ length: 40 }, (_, i) =>
      makeLabelRow({ path: `fine${i}`, pValue: 0.5, statistics: { lumaMean: 100 + (i % 10) } }),
    );
    const bright = makeLabelRow({ path: 'bright', pValue: 1e-4, statistics: { lumaMean: 250 } });
    const rows = [...ordinary, dark('dark0', 0), dark('dark1', 0.01), dark('dark2', 0.02), bright];
    expect(await paths(rows, 2)).toEqual(['dark0', 'bright']);
  });

  it('prefers images on which the classifier is probably wrong', async () => {
    const rows = [0.01, 0.9, 0.2].map((rate, i) =>
      makeLabelRow({ path: `image${i}`, pValue: 0.001, expectedFlipRate: { rate } }),
    );
    const [first] = await pickImages(rows, { count: 1 });
    expect(first).toMatchObject({ row: { path: 'image1' }, strangeness: 3, harm: 0.9 });
    expect(first.novelty).toBeUndefined();
  });

  it('takes the same file only when nothing else is left', async () => {
    const image = { format: 'jpeg', width: 64, height: 48 };
    const rows = ['a', 'a', 'b'].map((sha256, i) =>
      makeLabelRow({
        path: `image${i}`,
        pValue: i < 2 ? 1e-9 : 0.9,
        image: { ...image, sha256 },
        statistics: { lumaMean: i },
      }),
    );
    expect(await paths(rows, 3)).toEqual(['image0', 'image2', 'image1']);
  });

  it('chooses the same from the same rows, all where fewer are there, and none of none', async () => {
    const rows = Array.from({ length: 30 }, (_, i) =>
      makeLabelRow({
        path: `image${i}`,
        pValue: 1 / (1 + (i % 7)),
        statistics: { lumaMean: i % 5, noiseSigma: i % 3 },
      }),
    );
    expect(await paths(rows, 10)).toEqual(await paths(rows, 10));
    expect(new Set(await paths(rows, 100))).toEqual(new Set(rows.map(({ path }) => path)));
    expect(await paths([], 10)).toEqual([]);
  });

  it('finds more that happened to images than the strangest alone, and than chance', async () => {
    const { profile } = await fitOnce(causesProfile);
    const size = { width: 160, height: 90 };
    const results = await measurePicking({ profile, size, firstFrame: 1000, images: 240, count: 12, seed: 5 });
    const [pick, strangest, , chance] = results;
    expect(pick.changed).toBeGreaterThan(2 * chance.changed);
    expect(pick.causes).toBeGreaterThan(2 * chance.causes);
    expect(pick.causes).toBeGreaterThanOrEqual(strangest.causes);
  });
});
