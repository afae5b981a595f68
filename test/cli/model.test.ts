import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { checkCard } from '../../src/image/embedding/checkcard.ts';
import { readError, runHere } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { anyFrame } from '../fixtures/frames.ts';
import { model, node, smallClassifier, value } from '../fixtures/onnxfile.ts';
import { hasOnnx } from '../fixtures/onnxruntime.ts';

const folder = temporaryFolder();
if (!hasOnnx) console.warn('models are not run: onnxruntime-node is not installed');

const path = join(folder, 'small.onnx');
const card = join(folder, 'small.card.json');
writeFileSync(path, smallClassifier());

describe('stopline model', () => {
  it('inspect says what the graph is and what it does not say', async () => {
    const { code, stdout } = await runHere(['model', 'inspect', path]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^graph +12 nodes, 6449 parameters, from stopline-test, opset 13$/m);
    expect(stdout).toMatch(/^input +image: N x 3 x 64 x 64$/m);
    expect(stdout).toMatch(/^content +features$/m);
    expect(stdout).toMatch(/ {2}- outputs\.content: what the last Gemm reads/);
    expect(stdout).toContain('--out');
    expect(existsSync(card)).toBe(false);
  });

  it.skipIf(!hasOnnx)(
    'inspect --probe compares ways to feed it, and says what stays assumed; check --confirm settles it',
    async () => {
      const images = join(folder, 'images');
      mkdirSync(images);
      for (let i = 0; i < 8; i++)
        await sharp(anyFrame(48, 48, 3, i), { raw: { width: 48, height: 48, channels: 3 } })
          .png()
          .toFile(join(images, `${i}.png`));
      const labels = join(folder, 'labels.csv');
      writeFileSync(labels, `file,class\n${Array.from({ length: 8 }, (_, i) => `${i}.png,${i % 5}`).join('\n')}\n`);
      const out = join(folder, 'probed.card.json');
      const run = await runHere(['model', 'inspect', path, '--probe', images, '--labels', labels, '--out', out]);
      expect(run.code).toBe(0);
      expect(run.stdout).toMatch(/^fed with +confidence +variety +agreement +correct$/m);
      expect(run.stdout).toMatch(/^Recommended: (RGB|BGR), .+(that is clear|stays assumed)\.$/m);
      const { assumed } = checkCard(JSON.parse(readFileSync(out, 'utf8')));
      expect(assumed).toEqual(expect.arrayContaining(['input.kernel', 'input.fit']));
      const confirmed = await runHere([
        'model',
        'check',
        path,
        '--card',
        out,
        '--confirm',
        'input.kernel',
        'input.fit',
      ]);
      expect(confirmed.code).toBe(0);
      const left = checkCard(JSON.parse(readFileSync(out, 'utf8'))).assumed;
      expect(left).toEqual(assumed?.filter((field) => !/kernel|fit/.test(field)));
      expect(
        readError(await runHere(['model', 'check', path, '--card', out, '--confirm', 'input.odd', '--json'])).message,
      ).toMatch(/or all, but received "input\.odd"/);
      const few = await runHere(['model', 'inspect', path, '--probe', join(images, '1.png'), '--json']);
      expect(readError(few).message).toContain('at least 8 images');
      const alone = await runHere(['model', 'inspect', path, '--labels', labels, '--json']);
      expect(readError(alone).code).toBe('STOPLINE_ERR_OPTION_INVALID');
    },
  );

  it('check needs a card, and says how to make one', async () => {
    const run = await runHere(['model', 'check', path, '--json']);
    expect(run.code).toBe(78);
    expect(readError(run)).toMatchObject({
      code: 'STOPLINE_ERR_MODEL_CARD',
      message: expect.stringContaining('model inspect'),
    });
  });

  it.skipIf(!hasOnnx)(
    'inspect --out writes a card with known answers; check finds them again, and others',
    async () => {
      const { code, stdout } = await runHere(['model', 'inspect', path, '--out', card, '--json']);
      expect(code).toBe(0);
      const written = checkCard(JSON.parse(readFileSync(card, 'utf8')));
      expect(JSON.parse(stdout)).toMatchObject({
        card: written,
        graph: { nodes: 12, operators: { Conv: 4, Relu: 4 } },
      });
      expect(written.answers).toHaveLength(3);

      const again = await runHere(['model', 'inspect', path, '--out', card]);
      expect(again.code).toBe(73);
      expect(again.stderr).toContain('there already');

      const checked = await runHere(['model', 'check', path]);
      expect(checked.code).toBe(0);
      expect(checked.stdout).toMatch(/^runs on +onnxruntime-node [\d.]+, cpu$/m);
      expect(checked.stdout).toContain('The model gives its known answers.');

      writeFileSync(card, JSON.stringify({ ...written, input: { ...written.input, colour: 'BGR' } }));
      const changed = await runHere(['model', 'check', path, '--json']);
      expect(changed.code).toBe(78);
      expect(JSON.parse(changed.stdout)).toMatchObject({ ok: false, provider: 'cpu' });

      const recorded = await runHere(['model', 'check', path, '--record']);
      expect(recorded.code).toBe(0);
      expect(checkCard(JSON.parse(readFileSync(card, 'utf8')))).toMatchObject({ input: { colour: 'BGR' } });
      expect((await runHere(['model', 'check', path])).code).toBe(0);
    },
  );

  it('refuses a hostile model without running it, and prints nothing of it that could move the cursor', async () => {
    const bad = join(folder, 'bad.onnx');
    const name = '\u001b[2Jx';
    const parts = {
      nodes: [node('Loop', ['x'], [name])],
      inputs: [value('x', [1, 3, 8, 8])],
      outputs: [value('y', [1])],
    };
    writeFileSync(bad, model(parts));
    const { code, stderr } = await runHere(['model', 'inspect', bad]);
    expect(code).toBe(78);
    expect(stderr).toMatch(/^stopline: STOPLINE_ERR_MODEL_OPERATOR: .*Loop, which may run without end/);
    expect(stderr).not.toContain('\u001b');
  });

  it.each([
    ['an unknown part', ['model', 'inspekt', path], /unknown command 'inspekt'/],
    ['an unknown device', ['model', 'check', path, '--device', 'tpu'], /cpu, gpu/],
    ['an unknown option', ['model', 'inspect', path, '--output', 'x'], /unknown option '--output'/],
    ['a missing model', ['model', 'check'], /missing required argument 'model'/],
  ])('%s exits with 2', async (_, args, message) => {
    const { code, stderr } = await runHere(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

it('doctor says what runs models, and why a graphics card does not', async () => {
  const { code, stdout } = await runHere(['doctor', '--device', 'gpu', '--json']);
  expect(code).toBe(0);
  const { onnx, tensorflow } = JSON.parse(stdout).models;
  if (hasOnnx) {
    const tried = [...onnx.providers, ...onnx.failed.map(({ provider }: { provider: string }) => provider)].sort();
    expect(tried).toEqual(['cpu', 'cuda', 'tensorrt', 'webgpu']);
    expect(onnx.providers).toContain('cpu');
  } else expect(onnx.missing).toContain('npm install');
  expect(tensorflow.installed).toContain('@tensorflow/tfjs-core');
});
