/*
 * How well a change of content is seen, by the statistics and by models, where camera and image quality stay the same.
 * node models/train/evaluate.ts [--each] [--only=TEXT] MODEL.onnx...      (each with its card beside it; images from ../shared/data)
 *
 * Every image of a test is cut and made small alike, simulated alike, given the same noise and saved again at JPEG quality 85,
 * so that cameras, simulations and encoders cannot tell two contents apart. The reference is cut into blocks of
 * eight files, every other one fitted, the rest are clean negatives. AUROC of the other content against them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { auroc } from '../../scripts/evaluate/measures.ts';
import { loadCore } from '../../src/core/index.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { decode } from '../../src/image/decode.ts';
import type { Embedder } from '../../src/image/embedding/embedder.ts';
import { openPrepared } from '../../src/image/embedding/open.ts';
import { prepareModel } from '../../src/image/embedding/prepare.ts';
import { measureBytes } from '../../src/image/measure.ts';
import { type Columns, distances, methods, statisticsDistance, together } from './distances.ts';

const data = new URL('../../../shared/data/', import.meta.url).pathname;

/** A part of each image (left, top, width, height as shares of it), then what is done to it. */
interface Cut {
  part?: [number, number, number, number];
  edit?: 'upsideDown' | 'mirrored' | 'halvesSwapped';
}
interface Files extends Cut {
  folders: string[];
  name?: RegExp;
}
interface Test {
  name: string;
  size: [number, number];
  reference: Files;
  other: Files;
}

const towns = ['reference_permissive/carla_towns_640x380', 'control/carla_towns_640x380_iid'];
const camera = ['reference/camvid_0016E5_day'];
const crops = ['crops/carla_real_crops'];
const streets = ['drift/fog_dawn', 'drift/tl_photos_hev', 'drift/carla_site_just_traffic_light', ...camera, ...towns];

const tests: Test[] = [
  {
    name: 'traffic lights | other crops of the same frames',
    size: [64, 112],
    reference: { folders: crops, name: /green|red|yellow/ },
    other: { folders: crops, name: /none/ },
  },
  {
    name: 'red and yellow lights | green lights',
    size: [64, 112],
    reference: { folders: crops, name: /red|yellow/ },
    other: { folders: crops, name: /green/ },
  },
  {
    name: 'one simulated town | another town',
    size: [240, 142],
    reference: { folders: towns, name: /Town03/ },
    other: { folders: towns, name: /Town01/ },
  },
  {
    name: 'one simulated town | a third town',
    size: [240, 142],
    reference: { folders: towns, name: /Town03/ },
    other: { folders: towns, name: /Town02/ },
  },
  {
    name: 'one street camera | unrelated photographs',
    size: [240, 180],
    reference: { folders: camera },
    other: { folders: ['generic_photos', 'ood/bsds500_train'] },
  },
  {
    name: 'unrelated photographs | street scenes',
    size: [240, 180],
    reference: { folders: ['generic_photos'] },
    other: { folders: [...camera, 'reference/camvid_Seq05VD_day'] },
  },
  {
    name: 'photographs of things | of animals',
    size: [240, 180],
    reference: { folders: ['generic_photos'], name: /^n0(2[6-9]|[347])/ },
    other: { folders: ['generic_photos'], name: /^n0(1|2[0-5])/ },
  },
  {
    name: 'unrelated photographs | the same upside down',
    size: [240, 180],
    reference: { folders: ['generic_photos'] },
    other: { folders: ['generic_photos'], edit: 'upsideDown' },
  },
  {
    name: 'one drive | another drive of the same camera',
    size: [240, 180],
    reference: { folders: camera },
    other: { folders: ['reference/camvid_Seq05VD_day'] },
  },
  {
    name: 'simulated towns | unrelated photographs',
    size: [240, 180],
    reference: { folders: towns },
    other: { folders: ['generic_photos', 'ood/bsds500_train'] },
  },
  {
    name: 'the road of a street camera | the houses beside it',
    size: [120, 90],
    reference: { folders: camera, part: [0.3, 0.5, 0.4, 0.4] },
    other: { folders: camera, part: [0, 0.1, 0.4, 0.4] },
  },
  {
    name: 'houses on the left | houses on the right',
    size: [120, 90],
    reference: { folders: camera, part: [0, 0.1, 0.4, 0.4] },
    other: { folders: camera, part: [0.6, 0.1, 0.4, 0.4] },
  },
  {
    name: 'street camera | the same upside down',
    size: [240, 180],
    reference: { folders: camera },
    other: { folders: camera, edit: 'upsideDown' },
  },
  {
    name: 'street camera | the same mirrored',
    size: [240, 180],
    reference: { folders: camera },
    other: { folders: camera, edit: 'mirrored' },
  },
  {
    name: 'street camera | lower half above the upper',
    size: [240, 180],
    reference: { folders: camera },
    other: { folders: camera, edit: 'halvesSwapped' },
  },
  {
    name: 'traffic lights | the same upside down',
    size: [64, 112],
    reference: { folders: crops, name: /green|red|yellow/ },
    other: { folders: crops, name: /green|red|yellow/, edit: 'upsideDown' },
  },
  {
    name: 'simulated towns | the same upside down',
    size: [240, 142],
    reference: { folders: towns },
    other: { folders: towns, edit: 'upsideDown' },
  },
  {
    name: 'simulated towns | the same mirrored',
    size: [240, 142],
    reference: { folders: towns },
    other: { folders: towns, edit: 'mirrored' },
  },
  {
    name: 'green lights | red and yellow lights',
    size: [64, 112],
    reference: { folders: crops, name: /green/ },
    other: { folders: crops, name: /red|yellow/ },
  },
  {
    name: 'red lights | green lights',
    size: [64, 112],
    reference: { folders: crops, name: /red/ },
    other: { folders: crops, name: /green/ },
  },
  {
    name: 'one simulated town | the same upside down',
    size: [240, 142],
    reference: { folders: towns, name: /Town03/ },
    other: { folders: towns, name: /Town03/, edit: 'upsideDown' },
  },
  {
    name: 'the left of simulated streets | the right',
    size: [120, 142],
    reference: { folders: towns, part: [0, 0, 0.5, 1] },
    other: { folders: towns, part: [0.5, 0, 0.5, 1] },
  },
  {
    name: 'the left of a street camera | the right',
    size: [90, 135],
    reference: { folders: camera, part: [0, 0, 0.5, 1] },
    other: { folders: camera, part: [0.5, 0, 0.5, 1] },
  },
  {
    name: 'two drives of a street camera | the same upside down',
    size: [240, 180],
    reference: { folders: [...camera, 'reference/camvid_Seq05VD_day'] },
    other: { folders: [...camera, 'reference/camvid_Seq05VD_day'], edit: 'upsideDown' },
  },
  {
    name: 'fog and junctions | the same upside down',
    size: [240, 160],
    reference: { folders: ['drift/fog_dawn', 'drift/tl_photos_hev'] },
    other: { folders: ['drift/fog_dawn', 'drift/tl_photos_hev'], edit: 'upsideDown' },
  },
  {
    name: 'fog and junctions | unrelated photographs',
    size: [240, 160],
    reference: { folders: ['drift/fog_dawn', 'drift/tl_photos_hev'] },
    other: { folders: ['generic_photos', 'ood/bsds500_train'] },
  },
  {
    name: 'streets of many cameras | unrelated photographs',
    size: [240, 160],
    reference: { folders: streets },
    other: { folders: ['generic_photos', 'ood/bsds500_train'] },
  },
  {
    name: 'streets of many cameras | the same upside down',
    size: [240, 160],
    reference: { folders: streets },
    other: { folders: streets, edit: 'upsideDown' },
  },
];

/** At most this many images of each side of a test. */
const most = 240;

function listed({ folders, name }: Files): string[] {
  const files = folders.flatMap((folder) =>
    readdirSync(join(data, folder))
      .filter((file) => /\.(jpe?g|png)$/i.test(file) && (name === undefined || name.test(file)))
      .sort()
      .map((file) => join(data, folder, file)),
  );
  const step = Math.max(1, files.length / most);
  return Array.from({ length: Math.min(files.length, most) }, (_, i) => files[Math.floor(i * step)]);
}

async function cut(file: string, { part, edit }: Cut, [width, height]: [number, number]): Promise<Buffer> {
  let image = sharp(readFileSync(file), { failOn: 'none' }).toColourspace('srgb').removeAlpha();
  if (part) {
    const { width: w, height: h } = await image.metadata();
    const [left, top, across, down] = [part[0] * w, part[1] * h, part[2] * w, part[3] * h].map(Math.round);
    image = image.extract({ left, top, width: across, height: down });
  }
  // The centred part of the aspect, so that nothing is stretched; crops differ in aspect by themselves and are.
  const fit = /crops/.test(file) ? 'fill' : 'cover';
  const { data: pixels } = await image.resize({ width, height, fit }).raw().toBuffer({ resolveWithObject: true });
  if (edit === 'halvesSwapped') {
    const half = pixels.length / 2;
    pixels.set(Buffer.concat([pixels.subarray(half), pixels.subarray(0, half)]));
  }
  simulate(pixels, hashText(file));
  let edited = sharp(pixels, { raw: { width, height, channels: 3 } });
  if (edit === 'upsideDown') edited = edited.rotate(180);
  if (edit === 'mirrored') edited = edited.flop();
  return edited.jpeg({ quality: 85, chromaSubsampling: '4:4:4' }).toBuffer();
}

function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}

/**
 * The same camera for every image: automatic simulation to one mean and contrast of luma, and one sensor noise, which hides
 * what other cameras and encoders left.
 */
function simulate(pixels: Buffer, seed: number): void {
  const [mean, deviation, sigma] = [112, 48, 6];
  let [sum, squares] = [0, 0];
  for (let i = 0; i < pixels.length; i += 3) {
    const luma = 0.299 * pixels[i] + 0.587 * pixels[i + 1] + 0.114 * pixels[i + 2];
    sum += luma;
    squares += luma * luma;
  }
  const n = pixels.length / 3;
  const gain = deviation / Math.max(4, Math.sqrt(squares / n - (sum / n) ** 2));
  const noise = new Random(seed).normals(pixels.length, 0, sigma);
  for (let i = 0; i < pixels.length; i++)
    pixels[i] = Math.min(255, Math.max(0, Math.round((pixels[i] - sum / n) * gain + mean + noise[i])));
}

async function measureColumns(files: Files, size: Test['size'], embedders: readonly Embedder[]): Promise<Columns> {
  const columns: Columns = { statistics: [], embeddings: embedders.map(() => []) };
  for (const [i, file] of listed(files).entries()) {
    // Only those files are changed that are not fitted as they are.
    if (files.edit && isFitted(i)) continue;
    const bytes = await cut(file, files, size);
    columns.statistics.push((await measureBytes(core, bytes)).statistics);
    const { frame } = await decode(bytes);
    for (const [m, embedder] of embedders.entries()) columns.embeddings[m].push((await embedder.embed([frame]))[0]);
  }
  return columns;
}

const isFitted = (i: number) => Math.floor(i / 8) % 2 === 0;
const every = <T>(rows: readonly T[], keep: (i: number) => boolean) => rows.filter((_, i) => keep(i));

const each = process.argv.includes('--each');
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice(7) ?? '';
const paths = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
if (!existsSync(data)) throw new Error('Expected the images in ../shared/data.');
const core = loadCore();
const embedders: Embedder[] = [];
for (const path of paths) embedders.push(await openPrepared((await prepareModel(path)).model, { core }));

/** What a Profile could combine. */
const combinations = (
  each
    ? [
        { how: 'largest', of: ['statistics', 'mahalanobis'] },
        { how: 'mean', of: ['statistics', 'mahalanobis'] },
        { how: 'largest', of: ['statistics', 'mahalanobis', 'early'] },
        { how: 'mean', of: ['statistics', 'mahalanobis', 'early'] },
        { how: 'mean', of: ['statistics', 'mahalanobis', 'nearest', 'early'] },
        { how: 'mean', of: ['mahalanobis', 'early'] },
        { how: 'largest', of: ['mahalanobis', 'early'] },
      ]
    : [
        { how: 'mean', of: ['mahalanobis', 'nearest', 'early'] },
        { how: 'mean', of: ['statistics', 'mahalanobis', 'nearest', 'early'] },
      ]
).map(({ how, of }) => ({ how: how as 'largest' | 'mean', of, name: `${how} of ${of.join(', ')}` }));

const models = paths.map((path) => basename(path, '.onnx'));
const shown = each ? methods : methods.filter(({ isMain }) => isMain);
const titles = [
  'statistics',
  ...models.flatMap((model) => [
    ...shown.map(({ name }) => `${model}: ${name}`),
    ...combinations.map(({ name }) => `${model}: ${name}`),
  ]),
];
const sums = titles.map(() => 0);
const rows: string[] = [];
const chosen = tests.filter(({ name }) => name.includes(only));
for (const { name, size, reference, other } of chosen) {
  const all = await measureColumns(reference, size, embedders);
  const current = await measureColumns(other, size, embedders);
  const fitted = every(all.statistics, isFitted);
  const held = every(all.statistics, (i) => !isFitted(i));
  const asked = [...held, ...current.statistics];
  const alone = statisticsDistance(fitted, asked);
  const aurocs = [auroc([...alone.asked.subarray(0, held.length)], [...alone.asked.subarray(held.length)])];
  for (const m of models.keys()) {
    const parts = embedders[m].info.parts;
    const known = every(all.embeddings[m], isFitted);
    const query = [...every(all.embeddings[m], (i) => !isFitted(i)), ...current.embeddings[m]];
    const found = distances(parts, known, query);
    const rate = (scores: Float64Array) =>
      auroc([...scores.subarray(0, held.length)], [...scores.subarray(held.length)]);
    for (const method of shown) aurocs.push(rate(found[method.name].asked));
    for (const { how, of } of combinations)
      aurocs.push(
        rate(
          together(
            of.map((method) => (method === 'statistics' ? alone : found[method])),
            how,
          ),
        ),
      );
  }
  aurocs.forEach((value, i) => {
    sums[i] += value / chosen.length;
  });
  rows.push(
    `| ${name.replace('|', '→')} | ${fitted.length} / ${held.length} / ${current.statistics.length} | ${aurocs.map((v) => v.toFixed(3)).join(' | ')} |`,
  );
}
process.stdout.write(
  [
    `| reference → other content | fitted / clean / other | ${titles.join(' | ')} |`,
    `| --- |${' ---: |'.repeat(titles.length + 1)}`,
    ...rows,
    `| mean | | ${sums.map((v) => v.toFixed(3)).join(' | ')} |`,
    '',
  ].join('\n'),
);
