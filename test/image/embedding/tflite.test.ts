import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCore } from '../../../src/core/index.ts';
import { measureDifference } from '../../../src/image/embedding/embedder.ts';
import { openLiteRt } from '../../../src/image/embedding/litert.ts';
import { openPrepared } from '../../../src/image/embedding/open.ts';
import { prepareModel, proposeFor, readModel } from '../../../src/image/embedding/prepare.ts';
import { readTflite, readTfliteConstants } from '../../../src/image/embedding/tflite.ts';
import type { Frame } from '../../../src/image/frame.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { anyFrame, random } from '../../fixtures/frames.ts';
import { smallClassifier } from '../../fixtures/onnxfile.ts';
import { hasOnnx } from '../../fixtures/onnxruntime.ts';
import { type LiteParts, liteModel, smallLiteParts } from '../../fixtures/tflitefile.ts';
import { tensorflowConvolutions } from '../../fixtures/tfnetwork.ts';

const folder = temporaryFolder();
const core = loadCore();
if (!hasOnnx) console.warn('TFLite models are not compared with ONNX: onnxruntime-node is not installed');

const frames: Frame[] = [0, 1].map((seed) => ({
  data: anyFrame(101, 67, 3, seed),
  width: 101,
  height: 67,
  channels: 3,
}));

function write(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const failure = (run: () => unknown) => {
  try {
    run();
    return undefined;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { code: code?.replace('STOPLINE_ERR_', ''), message };
  }
};

describe('a TFLite model', () => {
  it('is known by its bytes, and its layers are found as in ONNX', async () => {
    const path = write('small.tflite', liteModel(smallLiteParts()));
    const read = await readModel(path);
    expect(read.kind).toBe('tflite');
    const { card } = proposeFor(path, read);
    expect(card).toMatchObject({
      name: 'small',
      input: { name: 'image', layout: 'NHWC', width: 64, height: 64, channels: 3 },
      outputs: { content: 'features', early: ['a2', 'a3'], classes: 'logits' },
    });
    expect(card.input).not.toHaveProperty('type');
  });

  it('has the kernels of the same network in TensorFlow', () => {
    const bytes = liteModel(smallLiteParts());
    const constants = readTfliteConstants(bytes, readTflite(bytes));
    for (const { kernel, bias } of tensorflowConvolutions()) {
      expect(constants.get(kernel.name)?.shape).toEqual(kernel.shape);
      expect(Array.from(constants.get(kernel.name)?.values ?? [])).toEqual(Array.from(kernel.values));
      expect(Array.from(constants.get(bias.name)?.values ?? [])).toEqual(Array.from(bias.values));
    }
  });

  it.skipIf(!hasOnnx)('gives the embeddings and scores of the same network in ONNX, within 1e-4', async () => {
    const read = await readModel(write('same.onnx', smallClassifier()));
    const { card } = proposeFor('same', read);
    const onnx = await openPrepared({ files: read.files, card, answers: [] }, { core });
    const { model } = await prepareModel(write('twin.tflite', liteModel(smallLiteParts())));
    const lite = await openPrepared(model, { core });
    expect(lite.info).toMatchObject({
      runtime: expect.stringMatching(/^@litertjs\/core \d/),
      provider: 'wasm',
      device: 'cpu',
      dimension: onnx.info.dimension,
      maxBatch: 1,
    });
    const [expected, received] = [await onnx.answer(frames), await lite.answer(frames)];
    for (const [i, { embedding, classScores }] of received.entries()) {
      expect(measureDifference(embedding, expected[i].embedding)).toBeLessThan(1e-4);
      expect(measureDifference(classScores, expected[i].classScores)).toBeLessThan(1e-4);
    }
    await lite.close();
    await onnx.close();
  });

  it('of whole numbers takes pixels as they are, and its answers are what they stand for', async () => {
    const path = write('whole.tflite', liteModel(smallLiteParts({ whole: true })));
    const read = await readModel(path);
    const { card } = proposeFor(path, read);
    expect(card.input).toMatchObject({ name: 'pixels', type: 'uint8', scale: 1, mean: [0, 0, 0], std: [1, 1, 1] });
    expect(card.assumed).not.toContain('input.scale');
    const outputs = { ...card.outputs, classes: 'scores' };
    const whole = await openPrepared({ files: read.files, card: { ...card, outputs }, answers: [] }, { core });
    // Pixels that are whole already are the same to both.
    const exact = frames.map(
      ({ channels }, i): Frame => ({ data: anyFrame(64, 64, channels, i), width: 64, height: 64, channels }),
    );
    const other = await readModel(write('float.tflite', liteModel(smallLiteParts())));
    const floatCard = proposeFor('float', other).card;
    const unit = { ...floatCard, outputs: { ...floatCard.outputs, classes: 'probabilities' } };
    const float = await openPrepared({ files: other.files, card: unit, answers: [] }, { core });
    const [expected, received] = [await float.answer(exact), await whole.answer(exact)];
    for (const [i, { embedding, classScores }] of received.entries()) {
      expect(measureDifference(embedding, expected[i].embedding)).toBeLessThan(1e-4);
      // Scores of 8 bits are within half a step of 1/256.
      for (const [k, score] of classScores.entries())
        expect(Math.abs(score - expected[i].classScores[k])).toBeLessThan(0.51 / 256);
    }
    await whole.close();
    await float.close();
  });

  it('without LiteRT the error names what to type', () => {
    const url = (name: string) => JSON.stringify(new URL(`../../../src/image/embedding/${name}`, import.meta.url).href);
    const program = `import module from 'node:module';
      const { resolve } = module.Module._resolveFilename ? { resolve: module.Module._resolveFilename } : {};
      module.Module._resolveFilename = (name, ...rest) => {
        if (name.startsWith('@litertjs/')) throw new Error('Cannot find package');
        return resolve(name, ...rest);
      };
      const { readModel, proposeFor } = await import(${url('prepare.ts')});
      const { openLiteRt } = await import(${url('litert.ts')});
      const read = await readModel(${JSON.stringify(write('hidden.tflite', liteModel(smallLiteParts())))});
      const { card } = proposeFor('hidden', read);
      await openLiteRt({ bytes: read.files[0], card }).catch(({ code, message }) => console.log(code, message));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
    expect(stdout).toMatch(/^STOPLINE_ERR_MODEL_RUNTIME .*npm install @litertjs\/core/);
  });
});

describe('a hostile or broken TFLite model is refused', () => {
  const sound = liteModel(smallLiteParts());
  const withOperator = (code: number, custom?: string): LiteParts => {
    const parts = smallLiteParts();
    parts.tensors.push({ name: 'odd', shape: [1, 5] });
    parts.operators.push({ code, ...(custom && { custom }), inputs: ['probabilities'], outputs: ['odd'] });
    return { ...parts, outputs: ['odd'] };
  };
  it.each<[string, Uint8Array, string, RegExp]>([
    ['a loop', liteModel(withOperator(119)), 'MODEL_OPERATOR', /"While"/],
    ['chance', liteModel(withOperator(148)), 'MODEL_OPERATOR', /"RandomUniform"/],
    ['foreign code', liteModel(withOperator(32, 'FlexReadFile')), 'MODEL_OPERATOR', /"FlexReadFile"/],
    ['an operator of another time', liteModel(withOperator(201)), 'MODEL_OPERATOR', /"builtin 201"/],
    ['a file that ends early', sound.subarray(0, 400), 'MODEL_TRUNCATED', /of 400/],
    ['a few bytes', sound.subarray(0, 9), 'MODEL_TRUNCATED', /of 9/],
    [
      'a negative side',
      liteModel({ ...smallLiteParts(), tensors: smallLiteParts().tensors.map((t) => ({ ...t, shape: [-1] })) }),
      'MODEL_INVALID',
      /negative side/,
    ],
  ])('with %s', (_, bytes, code, message) => {
    expect(failure(() => readTflite(bytes))).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('or, with bytes changed anywhere, is read or refused by a code', () => {
    const uniform = random(5);
    const codes = new Set<string>();
    for (let run = 0; run < 600; run++) {
      const changed = Uint8Array.from(sound);
      // The numbers of the weights are most of the file; offsets and tables stand before and behind them.
      const reach = run % 2 === 0 ? 2000 : changed.length;
      for (let i = 0; i <= run % 4; i++) changed[8 + Math.floor(uniform() * (reach - 8))] = Math.floor(uniform() * 256);
      const bytes = run % 5 === 0 ? changed.subarray(0, 8 + Math.floor(uniform() * (changed.length - 8))) : changed;
      const outcome = failure(() => readTfliteConstants(bytes, readTflite(bytes)));
      codes.add(outcome === undefined ? 'read' : (outcome.code ?? `no code: ${outcome.message}`));
    }
    for (const code of codes) expect(code).toMatch(/^(read|MODEL_(INVALID|TRUNCATED|TOO_LARGE|OPERATOR))$/);
    expect(codes.size).toBeGreaterThanOrEqual(3);
  });

  it('and one that claims more memory than there is ends with its trial', async () => {
    const parts = smallLiteParts();
    const side = 30_000;
    parts.tensors.push({ name: 'wide', shape: [side, side, 5] });
    parts.tensors.push({ name: 'sides', shape: [3], type: 'int32', values: [side, side, 1] });
    parts.operators.push({ code: 69, inputs: ['probabilities', 'sides'], outputs: ['wide'] });
    const bytes = liteModel({ ...parts, outputs: ['wide'], signature: { wide: 'wide' } });
    const read = await readModel(write('wide.tflite', bytes));
    const { card } = proposeFor('wide', read);
    const outputs = { content: 'wide', early: [] };
    await expect(prepareModel(join(folder, 'wide.tflite'), { card: { ...card, outputs } })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MODEL_FAILED',
    });
  });

  it('and one whose run fails says so, in place of what lay in memory', async () => {
    const parts = smallLiteParts();
    const side = 60_000;
    // What is enlarged says that it is one number.
    parts.tensors.push({ name: 'wide', shape: [1, 1, 1, 1] });
    parts.tensors.push({ name: 'sides', shape: [2], type: 'int32', values: [side, side] });
    parts.operators.push({
      code: 97,
      inputs: ['image', 'sides'],
      outputs: ['wide'],
      options: { type: 74, fields: [] },
    });
    const bytes = liteModel({ ...parts, outputs: ['wide'], signature: { wide: 'wide' } });
    const { card } = proposeFor('lying', await readModel(write('lying.tflite', bytes)));
    const lying = { ...card, outputs: { content: 'wide', early: [] } };
    await expect(
      openLiteRt({ bytes, card: lying }).then((network) => network.run(new Float32Array(64 * 64 * 3), 1)),
    ).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MODEL_FAILED',
      message: expect.stringMatching(/overflowed|allocate/),
    });
  });
});
