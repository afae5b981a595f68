// A model from the first image of the fit to the last answer of the service.

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { beforeAll, describe, expect, it } from 'vitest';
import { fit } from '../../src/fit/fit.ts';
import type { FitOptions } from '../../src/fit/options.ts';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import type { EmbedderInfo } from '../../src/image/embedding/embedder.ts';
import { proposeFor, readModel } from '../../src/image/embedding/prepare.ts';
import type { Frame } from '../../src/image/frame.ts';
import { createProfile, describeProfile, type Profile } from '../../src/profile/description.ts';
import { decodeProfile, encodeProfile, saveProfile } from '../../src/profile/file.ts';
import type { FlipRate } from '../../src/profile/flips.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import { renderReport } from '../../src/report/page.ts';
import { createPool } from '../../src/run/pool.ts';
import { verdictSchema } from '../../src/server/http/schemas.ts';
import { encodeFrame, jpegFrame, renderFolder, renderFrame } from '../fixtures/camera.ts';
import { readError, runHere, startService, stopline } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { layoutClassifier, smallClassifier } from '../fixtures/onnxfile.ts';
import { hasOnnx } from '../fixtures/onnxruntime.ts';

if (!hasOnnx) console.warn('embeddings are not computed: onnxruntime-node is not installed');

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const size = { width: 160, height: 90 };
const model = at('layout.onnx');
const other = at('other.onnx');
writeFileSync(model, layoutClassifier());
writeFileSync(other, smallClassifier());
const path = at('camera.stopline');
let profile: Profile;
let inspector: Inspector;

const fitted = (options: Partial<FitOptions> = {}) =>
  fit({
    ...{ paths: [at('few')], groupBy: 'none', simulations: 0, power: 0, example: false, model, threads: 1 },
    ...options,
  });

beforeAll(async () => {
  // Enough for a Profile; only what is promised needs more.
  await renderFolder(at('few'), 60);
  await renderFolder(at('frames'), 150);
  if (!hasOnnx) return;
  ({ profile } = await fitted({ paths: [at('frames')], keepPaths: true }));
  await saveProfile(profile, path);
  inspector = await createInspector({ profile, model });
});

/** The same pixels with the sky below: what is where is another, how it was taken is not. */
async function upsideDown(index: number): Promise<Uint8Array> {
  const frame: Frame = renderFrame(index, size);
  const row = frame.width * 3;
  const data = new Uint8Array(frame.data.length);
  for (let y = 0; y < frame.height; y++) {
    data.set(frame.data.subarray(y * row, (y + 1) * row), (frame.height - 1 - y) * row);
  }
  return encodeFrame({ ...frame, data });
}

const withoutTime = ({ timingMs: _, ...verdict }: { timingMs: unknown } & Record<string, unknown>) => verdict;

describe.skipIf(!hasOnnx)('a Profile with a model', () => {
  it('sees content that the statistics do not, and says so', async () => {
    const frames = 40;
    const seen: Record<string, number> = { statistics: 0, embedding: 0, content: 0, combined: 0 };
    let named = 0;
    for (let i = 0; i < frames; i++) {
      const { detectors, reasons } = await inspector.inspect(await upsideDown(5000 + i));
      for (const { name, pValue } of detectors) seen[name] += pValue <= 0.05 ? 1 : 0;
      const reason = reasons.find(({ statistic }) => statistic === 'embedding');
      if (reason?.text.startsWith('shows something that the reference does not: ')) named += 1;
    }
    expect(seen.statistics / frames).toBeLessThan(0.3);
    for (const name of ['embedding', 'content', 'combined']) expect(seen[name] / frames).toBeGreaterThan(0.6);
    expect(named / frames).toBeGreaterThan(0.5);
  });

  it('keeps its promise on fresh frames', async () => {
    const fresh = 120;
    const flagged: Record<string, number> = { combined: 0, content: 0, embedding: 0 };
    for (let i = 0; i < fresh; i++) {
      const { detectors } = await inspector.inspect(await jpegFrame(9000 + i));
      for (const { name, pValue } of detectors) flagged[name] += pValue <= 0.05 ? 1 : 0;
    }
    // The promise is on average over references; this one has 150 images, whose own scatter is as large again.
    for (const name of ['combined', 'content', 'embedding']) {
      expect(clopperPearson(flagged[name], fresh).low, name).toBeLessThan(0.06);
    }
  });

  it('is the same file whatever the number of threads, and has no paths unless they are asked for', async () => {
    const createdAt = new Date('2026-01-01T00:00:00Z');
    const [one, two] = [await fitted({ createdAt, threads: 1 }), await fitted({ createdAt, threads: 2 })];
    expect(Buffer.from(encodeProfile(two.profile))).toEqual(Buffer.from(encodeProfile(one.profile)));
    expect(one.profile.model).not.toHaveProperty('paths');
    expect(one.warnings.join()).toContain('What the model is fed with is only assumed: ');
  });

  it('says which model it is, and comes back from its file', () => {
    expect(profile.components).toEqual(['distance', 'embeddingDistance', 'embeddingNeighbours', 'categories']);
    expect(profile.detectors.map(({ name }) => name)).toEqual([
      'combined',
      'statistics',
      'container',
      'content',
      'embedding',
    ]);
    expect(describeProfile(profile).model).toEqual({
      name: 'layout',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      dimension: 48,
      assumed: expect.arrayContaining(['input.scale', 'outputs.classes']),
    });
    expect(profile.model?.card.answers).toHaveLength(3);
    const again = decodeProfile(encodeProfile(profile));
    expect(again).toEqual(profile);
  });

  it('names the nearest images of the reference: of one of them, itself', async () => {
    const { nearest } = await inspector.inspect(readFileSync(at('frames', 'frame7.jpg')));
    expect(nearest).toHaveLength(3);
    expect(nearest?.[0]).toEqual({ path: 'frames/frame7.jpg', distance: expect.closeTo(0, 3) });
    const silent = await createInspector({ profile: (await fitted()).profile, model });
    expect(await silent.inspect(await jpegFrame(1))).not.toHaveProperty('nearest');
  });

  it('judges a decoded frame by its embedding, too, and says how long that took', async () => {
    const { detectors, timingMs } = await inspector.inspectFrame(renderFrame(5001, size));
    expect(detectors.map(({ name }) => name)).toContain('embedding');
    expect(timingMs.embedding).toBeGreaterThan(0);
    expect(timingMs.total).toBeCloseTo(
      timingMs.decode + timingMs.statistics + (timingMs.embedding ?? 0) + timingMs.score,
      6,
    );
  });

  it('is judged by another model never: it says which to name', async () => {
    await expect(createInspector({ profile, model: other })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MODEL_CHECKSUM',
      message: expect.stringMatching(
        /the model "layout", sha256 [0-9a-f]{16}, .*"[^"]*other\.onnx" is another\. .*--model FILE/,
      ),
    });
    await expect(createPool({ profile: path, model: other, threads: 1 })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MODEL_CHECKSUM',
    });
    await expect(createInspector({ profile, model: at('none.onnx') })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MODEL_UNREADABLE',
    });
    // Without a name the model of the package is meant, which is another or not there.
    await expect(createInspector({ profile })).rejects.toMatchObject({
      code: expect.stringMatching(/MODEL_(CHECKSUM|UNREADABLE)$/),
      message: expect.stringContaining('"layout"'),
    });
  });

  it.each<[string, (changed: Profile) => void]>([
    ['another card', ({ model: its }) => Object.assign(its?.card ?? {}, { sha256: '0'.repeat(64) })],
    ['a gap between the parts', ({ model: its }) => Object.assign(its?.parts[0] ?? {}, { at: 1 })],
    ['a dimension that the parts have not', ({ model: its }) => Object.assign(its ?? {}, { dimension: 49 })],
    ['no coreset', ({ tensors }) => delete tensors.embeddingCoreset],
    ['a factor that is none', ({ tensors }) => tensors.embeddingFactor.data.fill(0)],
    ['a path too few', ({ model: its }) => its?.paths?.pop()],
    ['components of another order', ({ components }) => components.reverse()],
    ['no model', (changed) => delete changed.model],
  ])('with %s is refused', (_, change) => {
    const changed = structuredClone(profile);
    change(changed);
    const { sha256, tensors, ...description } = changed;
    expect(sha256).toBe(profile.sha256);
    expect(() => decodeProfile(encodeProfile(createProfile(description, tensors)))).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_PROFILE_INVALID' }),
    );
  });

  it('gives the same verdict in a pool, whose threads compute the embeddings', async () => {
    const pool = await createPool({ profile: path, model, threads: 2 });
    try {
      await pool.ready();
      expect(pool.info.embedder).toMatchObject({ model: 'layout', provider: 'cpu', dimension: 48 });
      const bytes = await upsideDown(5002);
      const expected = withoutTime({ ...(await inspector.inspect(bytes)) });
      expect(withoutTime({ ...(await pool.inspect(bytes)) })).toEqual(expected);
    } finally {
      await pool.destroy();
    }
  });

  it('with causes and a classifier has a capture detector, a report of power, and a harm map', async () => {
    const paths = [at('frames')];
    const options = { paths, simulations: 10, power: 5, model: other, classifier: model };
    const { profile: whole, warnings } = await fitted(options);
    expect(whole.components).toEqual([
      'distance',
      'causeSpace',
      'causeOdds',
      'embeddingDistance',
      'embeddingNeighbours',
      'embeddingEarly',
      'places',
      'categories',
    ]);
    const video = expect.any(Number);
    expect(whole.detectors).toEqual([
      { name: 'combined', components: [0, 1, 2, 3, 4, 5, 6, 7], discounts: [0.4, 0.05, 0, 0.5, 0.5, 0.5, 0, 0], video },
      { name: 'capture', components: [1, 2, 6, 7], video },
      { name: 'content', components: [0, 3, 4], video },
      { name: 'embedding', components: [3, 4], video },
      { name: 'places', components: [6], video },
    ]);
    expect(whole.power?.images).toBe(5);
    const again = decodeProfile(encodeProfile(whole));
    expect(again.model?.parts.map(({ kind }) => kind)).toContain('peak');
    expect(warnings.join()).toContain('What the classifier is fed with is only assumed: ');
    const { classifier, images, causes, answered, stopped } = again.harm as NonNullable<Profile['harm']>;
    expect(answered).toBe(1);
    expect(stopped?.flipped.reduce((a, b) => a + b)).toBeGreaterThan(0);
    expect(again.model?.card.assumed).toContain('input.scale');
    expect(classifier).toEqual({ name: 'layout', sha256: profile.model?.sha256 });
    // Those that causes were learnt from, and those of the report, of which some may be the same.
    expect(images).toBeGreaterThanOrEqual(10);
    expect(images).toBeLessThanOrEqual(15);
    expect(causes.map(({ cause }) => cause)).toEqual(whole.power?.causes.map(({ cause }) => cause));
    const meanFlips = (severity: number) =>
      causes.reduce((sum, { flips }) => sum + flips[severity - 1], 0) / causes.length;
    expect(meanFlips(5)).toBeGreaterThan(meanFlips(1));

    // What is strange is expected to flip more often, and can be blocked for that.
    const calm = await createInspector({ profile: whole, model: other, blockWhen: 'expectedFlipRate < 2' });
    const usual = await calm.inspect(await jpegFrame(9001));
    const spoilt = await calm.inspect(await encodeFrame(await corrupt(renderFrame(9001, size), 'gaussianNoise', 5, 1)));
    const [few, many] = [usual, spoilt].map(({ expectedFlipRate }) => expectedFlipRate as FlipRate);
    expect(few.rate).toBeLessThan(many.rate);
    for (const { rate, low, high } of [few, many]) expect(low <= rate && rate <= high).toBe(true);
    expect([usual.verdict, usual.reasons[0].statistic]).toEqual(['block', 'blockWhen']);
    expect(usual.reasons[0].text).toBe(
      `blocked by the rule "expectedFlipRate < 2": expectedFlipRate ${Number(few.rate.toPrecision(3))}`,
    );
    expect([...Value.Errors(verdictSchema, usual)]).toEqual([]);
    const { harmWeights: _, ...tensors } = whole.tensors;
    const { sha256: __, tensors: ___, ...description } = whole;
    expect(() => decodeProfile(encodeProfile(createProfile(description, tensors)))).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_PROFILE_INVALID' }),
    );

    const file = at('harm.stopline');
    await saveProfile(whole, file);
    const image = at('calm.jpg');
    writeFileSync(image, await jpegFrame(9001));
    const judging = ['--profile', file, '--model', other];
    const shown = await runHere(['inspect', image, ...judging, '--block-when', 'expectedFlipRate < 2']);
    expect(shown.code).toBe(4);
    expect(shown.stdout).toMatch(/^ {2}expected flip rate [\d.]+ % \([\d.]+ % to [\d.]+ %\): how often/m);
    expect(shown.stdout).toMatch(/block by the rule\)/);
    const rows = await runHere(['score', image, ...judging, '--format', 'csv', '--out', '-']);
    const [head, row] = rows.stdout.split('\r\n').map((line) => line.split(','));
    expect(Number(row[head.indexOf('expectedFlipRate')])).toBe(few.rate);
    expect(await renderReport(whole)).toMatch(/<data class="at-flip s\d+"/);
  });
});

describe.skipIf(!hasOnnx)('on the command line', () => {
  it('fit, inspect, score and serve agree', async () => {
    const file = at('line.stopline');
    const some = ['--simulations', '0', '--power', '0', '--group-by', 'none', '--keep-paths'];
    const run = await stopline(['fit', at('few'), '--out', file, '--model', model, ...some]);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toMatch(/^ {2}model +layout [0-9a-f]{16}, embeddings of 48 numbers$/m);

    const image = at('odd.jpg');
    writeFileSync(image, await upsideDown(5003));
    const inspected = await stopline(['inspect', image, '--profile', file, '--model', model, '--json']);
    const verdict = withoutTime(JSON.parse(inspected.stdout));
    expect(verdict.nearest).toHaveLength(3);
    const shown = await runHere(['inspect', image, '--profile', file], { env: { STOPLINE_MODEL: model } });
    expect(shown.stdout).toContain('Most alike in the reference\n  few/frame');

    const rows = await runHere(['score', image, '--profile', file, '--model', model, '--out', '-']);
    const { path: scored, ...row } = JSON.parse(rows.stdout);
    expect(scored).toBe(image);
    expect(withoutTime(row)).toEqual(verdict);

    // Without a graphics card every provider but the CPU fails, and says why wherever one looks.
    const service = await startService([
      ...['--profile', file, '--model', model, '--log-level', 'silent'],
      ...['--device', 'gpu'],
    ]);
    try {
      const answer = await service.post(readFileSync(image), 'image/jpeg');
      expect(withoutTime((await answer.json()) as never)).toEqual(verdict);
      const get = async (path: string) => JSON.parse(await (await fetch(`${service.url}${path}`)).text());
      const about = await get('/profile');
      expect(about).toMatchObject({ model: { name: 'layout', dimension: 48 } });
      const server = await get('/v2');
      expect(server).toMatchObject({
        name: 'stopline',
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        extensions: ['inspect'],
        stopline: { profile: { name: 'reference', sha256: about.sha256 }, core: { build: expect.any(String) } },
      });
      const { provider, failed } = server.stopline.model as EmbedderInfo;
      expect(about.model).toMatchObject({ provider, failed });
      const tried = [...failed.map(({ provider: one }) => one), provider];
      expect(tried).toEqual(['cuda', 'tensorrt', 'webgpu', 'cpu'].slice(0, tried.length));
      for (const { reason } of failed) expect(reason).not.toBe('');
      const metrics = await (await fetch(`${service.url}/metrics`)).text();
      expect(metrics).toMatch(new RegExp(`^stopline_model_info\\{model="layout",.*provider="${provider}"\\} 1$`, 'm'));
      for (const { provider: one } of failed)
        expect(metrics).toContain(`stopline_model_failed_provider{provider="${one}"} 1`);
      expect(metrics).toMatch(/^stopline_stage_duration_seconds_count\{stage="embedding"\} 1$/m);
    } finally {
      await service.stop();
    }
  });

  it('a network without class scores is no classifier, and a classifier needs images to be asked about', async () => {
    await expect(fitted({ simulations: 10, power: 4, classifier: other })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining('at least 5 images for power'),
    });
    const card = at('silent.card.json');
    copyFileSync(other, at('silent.onnx'));
    const { card: proposed } = proposeFor(other, await readModel(other));
    const { classes: __, ...outputs } = proposed.outputs;
    writeFileSync(card, JSON.stringify({ ...proposed, outputs }));
    const some = ['--simulations', '10', '--power', '5', '--json', '--out', at('none.stopline')];
    const run = await runHere(['fit', at('few'), '--classifier', at('silent.onnx'), ...some]);
    expect(run.code).toBe(78);
    expect(readError(run)).toMatchObject({
      code: 'STOPLINE_ERR_MODEL_UNSUPPORTED',
      message: expect.stringContaining('outputs.classes'),
    });
  });

  it('another model is refused before anything is judged', async () => {
    for (const command of ['inspect', 'score']) {
      const out = command === 'score' ? ['--out', at('rows.jsonl')] : [];
      const image = at('frames', 'frame1.jpg');
      const run = await runHere([command, image, '--profile', path, '--model', other, '--json', ...out]);
      expect(run.code).toBe(78);
      expect(readError(run).code).toBe('STOPLINE_ERR_MODEL_CHECKSUM');
    }
  });
});

describe('without a model', () => {
  const some = ['--simulations', '0', '--power', '0', '--no-example', '--json'];
  /** onnxruntime-node hidden from a process of its own and its threads. */
  const hidden = at('hide.mjs');
  writeFileSync(
    hidden,
    `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      if (/^onnxruntime|^@tensorflow/.test(name)) throw Object.assign(new Error('Cannot find package ' + name), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    } });`,
  );
  const env = { NODE_OPTIONS: `--import ${hidden}` };

  it('and without any package, fit, inspect and score work by statistics alone', async () => {
    const file = at('alone.stopline');
    const run = await stopline(['fit', at('few'), '--out', file, ...some], { env });
    expect(run.code, run.stdout).toBe(0);
    expect(JSON.parse(run.stdout)).toMatchObject({ missingModel: expect.any(String) });
    expect(JSON.parse(run.stdout).profile).not.toHaveProperty('model');
    const inspected = await stopline(['inspect', at('frames', 'frame1.jpg'), '--profile', file, '--json'], { env });
    expect(JSON.parse(inspected.stdout)).toMatchObject({ verdict: 'pass' });
    const rows = await stopline(['score', at('frames', 'frame1.jpg'), '--profile', file, '--out', '-'], { env });
    expect(JSON.parse(rows.stdout)).toMatchObject({ verdict: 'pass' });
  });

  it('a model that was asked for is the error of its package', async () => {
    const run = await stopline(['fit', at('few'), '--out', at('x.stopline'), '--model', model, ...some], { env });
    expect(run.code).toBe(69);
    expect(readError(run)).toMatchObject({
      code: 'STOPLINE_ERR_MODEL_RUNTIME',
      message: expect.stringContaining('npm install onnxruntime-node'),
    });
  });

  it('--model none needs none, and cannot tell which images are nearest', async () => {
    const { profile: alone, missingModel } = await fitted({ model: 'none' });
    expect(alone.model).toBeUndefined();
    expect(missingModel).toBeUndefined();
    expect(alone.detectors.map(({ name }) => name)).toEqual(['combined', 'statistics', 'container']);
    await expect(fitted({ model: 'none', keepPaths: true })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
    });
    // A setting of the environment does no harm where it is not needed.
    copyFileSync(other, at('unused.onnx'));
    const plain = await createInspector({ profile: alone, model: at('unused.onnx') });
    expect((await plain.inspect(await jpegFrame(3))).timingMs).not.toHaveProperty('embedding');
  });
});
