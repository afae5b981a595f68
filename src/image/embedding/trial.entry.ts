/** The process in which a model is loaded for the first time; trial.ts starts it, limits it and feeds it. */

import { writeFileSync } from 'node:fs';
import { loadCore } from '../../core/index.ts';
import { asStoplineError } from '../../errors.ts';
import type { Limits } from '../frame.ts';
import type { ModelCard } from './cardschema.ts';
import { collectAnswers } from './embedder.ts';
import { openPrepared } from './open.ts';

const resultPipe = 3;

async function answer(): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const all = Buffer.concat(chunks);
  const end = all.indexOf(10);
  const { card, limits, sizes } = JSON.parse(all.toString('utf8', 0, end)) as {
    card: ModelCard;
    limits: Limits;
    sizes: number[];
  };
  let at = end + 1;
  const files = sizes.map((size) => {
    at += size;
    return all.subarray(at - size, at);
  });
  const embedder = await openPrepared({ card, files, limits, answers: [] }, { core: loadCore() });
  return { answers: await collectAnswers(embedder) };
}

const result = await answer().catch((error: unknown) => ({ error: asStoplineError(error) }));
writeFileSync(resultPipe, JSON.stringify(result));
// Destroying what a hostile model left behind is not worth the risk.
process.exit(0);
