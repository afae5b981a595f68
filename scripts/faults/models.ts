import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { expansions, treacherousClassifier } from '../../test/fixtures/onnxfile.ts';
import { treacherousFrozenGraph } from '../../test/fixtures/savedmodelfile.ts';
import { type Outcome, post, quickFit, readMemory, type Stage } from './target.ts';

/** Most memory of a command, in MB: what the worst image takes of a worker, and what the trial of a model may. */
const bound = 3000;

/** Profiles with models that wait for one image: for it they expand without bounds, or say what is no number. */
export async function run(stage: Stage): Promise<Outcome> {
  const white = join(stage.folder, 'white.png');
  const bytes = await sharp({ create: { width: 320, height: 180, channels: 3, background: 'white' } })
    .png()
    .toBuffer();
  writeFileSync(white, bytes);
  const wrong: string[] = [];
  const kinds = ['frozen', ...expansions, 'NaN'] as const;
  const tried = kinds.slice(0, stage.count);
  for (const kind of tried) {
    const isFrozen = kind === 'frozen';
    const [model, profile] = [isFrozen ? 'pb' : 'onnx', 'stopline'].map((end) => join(stage.folder, `${kind}.${end}`));
    writeFileSync(model, isFrozen ? treacherousFrozenGraph() : treacherousClassifier(kind));
    const fit = ['fit', join(stage.folder, 'reference'), '--out', profile, ...quickFit, '--model', model];
    const fitted = await stage.command(fit);
    // One that may run without end is not even taken.
    if (/STOPLINE_ERR_MODEL_OPERATOR/.test(fitted.stderr)) continue;
    if (fitted.code !== 0) {
      wrong.push(`${kind}: fit ends with ${fitted.code}: ${fitted.stderr.slice(-300)}`);
      continue;
    }
    // The image that it waits for is among the reference.
    const again = await stage.command([...fit.slice(0, 2), white, ...fit.slice(2)]);
    const skipped = /STOPLINE_ERR_\w+/.exec(again.stdout + again.stderr)?.[0];
    if (again.megabytes > bound || (again.code === 0 && skipped === undefined))
      wrong.push(`${kind}: fit with the white image ends with ${again.code} after ${again.megabytes} MB`);
    const judge = ['--profile', profile, '--model', model];
    const inspected = await stage.command(['inspect', white, ...judge, '--json']);
    const code = /STOPLINE_ERR_\w+/.exec(inspected.stdout + inspected.stderr)?.[0];
    const verdict = /"verdict":"(\w+)"/.exec(inspected.stdout)?.[1];
    const isStopped = verdict === undefined ? code !== undefined : kind === 'NaN' && verdict === 'block';
    if (!isStopped || inspected.megabytes > bound)
      wrong.push(`${kind}: inspect says ${verdict ?? code ?? inspected.code} after ${inspected.megabytes} MB`);
    const target = await stage.start({ profile, args: ['--model', model, '--threads', '1', '--max-wait-ms', '60000'] });
    const asked = await post(target.url, bytes, { 'content-type': 'image/png' });
    const next = await post(target.url, stage.frame);
    const answer =
      (kind === 'NaN' && asked.body.includes('"verdict":"block"')) ||
      (asked.status >= 400 && asked.body.includes('STOPLINE_ERR'));
    if (!answer || next.status !== 200) wrong.push(`${kind}: serve answers ${asked.status}, then ${next.status}`);
    if (readMemory(target.pid) > bound) wrong.push(`${kind}: serve has ${Math.round(readMemory(target.pid))} MB`);
    target.kill('SIGKILL');
    await target.exit;
  }
  return {
    ok: wrong.length === 0,
    figures: `${tried.length} models that wait for a white image: ${wrong.length} wrong${wrong.length > 0 ? ` (${wrong.join('; ')})` : ''}`,
  };
}
