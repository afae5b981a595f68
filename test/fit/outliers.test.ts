import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import { Measurements } from '../../src/run/measurements.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const data = fileURLToPath(new URL('../../../shared/data/', import.meta.url));
const isHere = existsSync(join(data, 'reference'));
if (!isHere) process.stderr.write('skipped: outliers on photographs, ../shared/data is absent\n');

const folder = temporaryFolder();
/** The drives are the same in each mixture: they are measured once. */
const measurements = Measurements.open(join(folder, 'measurements'));
afterAll(() => measurements.close());
const images = (name: string) =>
  readdirSync(join(data, name))
    .filter((file) => /\.(jpe?g|png)$/i.test(file))
    .sort()
    .map((file) => join(data, name, file));

describe.skipIf(!isHere)('on drives of one car camera', () => {
  /** The drives, with every n-th image of another folder in between, 5 % of all. */
  function mix(name: string, strangers: readonly string[]): string {
    const own = [...images('reference/camvid_0016E5_day'), ...images('reference/camvid_Seq05VD_day')];
    mkdirSync(join(folder, name));
    for (const path of own) copyFileSync(path, join(folder, name, basename(path)));
    for (const [i, path] of strangers.slice(0, Math.round(own.length / 19)).entries()) {
      copyFileSync(path, join(folder, name, `${basename(own[i * 17], '.jpg')}-stranger-${basename(path)}`));
    }
    return join(folder, name);
  }
  const fitOutliers = async (path: string) => {
    const { outliers, warnings } = await fit({
      paths: [path],
      simulations: 0,
      power: 0,
      threads: 1,
      example: false,
      measurements,
    });
    const strangers = outliers.images.filter((image) => image.path.includes('-stranger-'));
    return { outliers, strangers: strangers.length, warnings: warnings.join('\n') };
  };

  it('few are listed, and nothing is warned about', async () => {
    const { outliers, warnings } = await fitOutliers(mix('clean', []));
    expect(outliers.count).toBeLessThanOrEqual(4);
    expect(warnings).not.toContain('unlike the rest');
  });

  it.each(['drift/fog_dawn', 'drift/dusk_camvid_0001TP_a', 'drift/rain_photos_sirr', 'ood/bsds500_train'])(
    'of 13 images of %s among 256 at least ten are listed, and warned about',
    async (name) => {
      const { outliers, strangers, warnings } = await fitOutliers(mix(basename(name), images(name)));
      expect(strangers).toBeGreaterThanOrEqual(10);
      expect(outliers.count - strangers).toBeLessThanOrEqual(4);
      expect(warnings).toMatch(/of 256 reference images are unlike the rest/);
    },
  );
});
