import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { largeClassifier } from '../../test/fixtures/onnxfile.ts';
import { type Outcome, post, quickFit, type Stage } from './target.ts';

/** What is promised elsewhere is kept by a service: images of 24 megapixels, and a model of 100 MB, in both isolations. */
export async function run(stage: Stage): Promise<Outcome> {
  const wrong: string[] = [];
  const source = sharp(stage.frame).resize(6000, 4000, { fit: 'fill' });
  const files = {
    webp: await source.clone().webp({ quality: 60, effort: 0 }).toBuffer(),
    jpeg: await source.jpeg().toBuffer(),
  };
  const model = join(stage.folder, 'large.onnx');
  const card = join(stage.folder, 'large.card.json');
  writeFileSync(model, largeClassifier());
  for (const args of [
    ['inspect', model, '--out', card],
    ['check', model],
  ]) {
    const { code, stderr } = await stage.command(['model', ...args]);
    if (code !== 0) wrong.push(`model ${args[0]}: ${code} ${stderr.slice(-200)}`);
  }
  const profile = join(stage.folder, 'large.stopline');
  const fitted = await stage.command(
    ['fit', join(stage.folder, 'reference'), '--out', profile, ...quickFit, '--model', model],
    { timeoutMs: 300_000 },
  );
  if (fitted.code !== 0) wrong.push(`fit: ${fitted.code} ${fitted.stderr.slice(-200)}`);
  for (const isolation of ['process', 'thread']) {
    const args = ['--isolation', isolation, '--threads', '1', '--max-wait-ms', '60000'];
    const target = await stage.start({ args });
    for (const [kind, bytes] of Object.entries(files)) {
      const { status } = await post(target.url, bytes, { 'content-type': `image/${kind}` });
      if (status !== 200) wrong.push(`${kind} of 24 megapixels, ${isolation}: ${status}`);
    }
    target.kill('SIGKILL');
    await target.exit;
    const large = await stage.start({ args: [...args, '--model', model], profile }).catch((error: Error) => error);
    if (large instanceof Error) wrong.push(`a model of 100 MB, ${isolation}: ${large.message.slice(-200)}`);
    else {
      const { status } = await post(large.url, stage.frame);
      if (status !== 200) wrong.push(`a model of 100 MB, ${isolation}: ${status}`);
      large.kill('SIGKILL');
      await large.exit;
    }
  }
  return {
    ok: wrong.length === 0,
    figures: `WebP and JPEG of 24 megapixels and a model of 100 MB, in two isolations: ${wrong.length} wrong${wrong.length > 0 ? ` (${wrong.join('; ')})` : ''}`,
  };
}
