import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { decode } from '../../image/decode.ts';
import { thumbnail } from '../../image/thumbnail.ts';
import type { Profile } from '../../profile/description.ts';
import { nameCause } from '../../profile/likelycause.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { html, type Markup } from '../../report/html.ts';
import { page } from '../../report/page.ts';
import { percent } from '../terminal.ts';

/** One frame to show, with what was said about it. */
export interface GalleryExample {
  /** File name without ending; the first example of a name is kept as a file. */
  name: string;
  label: string;
  bytes: Uint8Array;
  verdict: Verdict;
}

/**
 * Writes the examples into `folder`: `frames/NAME.jpg`, and all of them with their verdicts as `index.html`, which opens from
 * disk and loads nothing.
 * @throws {StoplineError} OUTPUT_UNWRITABLE
 */
export async function writeGallery(
  folder: string,
  { profile, examples }: { profile: Profile; examples: readonly GalleryExample[] },
): Promise<{ page: string; frames: string }> {
  const files = { page: join(folder, 'index.html'), frames: join(folder, 'frames') };
  const named = examples.filter(({ name }, i) => examples.findIndex((other) => other.name === name) === i);
  const text = await drawGallery(profile, examples);
  try {
    await mkdir(files.frames, { recursive: true });
    for (const { name, bytes } of named) await writeFile(join(files.frames, `${name}.jpg`), bytes);
    await writeFile(files.page, text);
  } catch (cause) {
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `Expected to write into "${folder}" but ${(cause as Error).message}.`,
      { cause },
    );
  }
  return files;
}

async function drawGallery(profile: Profile, examples: readonly GalleryExample[]): Promise<string> {
  const { reference, falseAlarmRate } = profile;
  const { warn, block } = falseAlarmRate.promised;
  const labels = [...new Set(examples.map(({ label }) => label))];
  const sections: Markup[] = [];
  for (const label of labels) {
    const figures: Markup[] = [];
    for (const example of examples) if (example.label === label) figures.push(await drawExample(example));
    sections.push(html`<section><h2>${label}</h2><div class="pictures worst">${figures}</div></section>`);
  }
  return page(
    'Stopline demo',
    html`<header><p class="eyebrow">Stopline demo</p><h1>Frames and their verdicts</h1>
<p class="lead">The Profile "${profile.name}" was learnt from ${reference.images} rendered frames. It promises that at most ${percent(warn)} of frames like them are warned of or blocked, and ${percent(block)} blocked.</p></header>
<main>${sections}</main>`,
  );
}

async function drawExample({ name, label, bytes, verdict }: GalleryExample): Promise<Markup> {
  const { frame } = await decode(bytes);
  const { source, width, height } = await thumbnail(frame);
  // A frame that passes has nothing to explain.
  const reasons = verdict.verdict === 'pass' ? [] : verdict.reasons.slice(0, 3);
  const cause = verdict.verdict === 'pass' ? undefined : nameCause(verdict);
  const named = cause && html`<em>probable cause: ${cause}</em>`;
  return html`<figure id="${name}"><img src="${source}" alt="${label}" width="${width}" height="${height}"><figcaption><b><span class="verdict ${verdict.verdict}">${verdict.verdict}</span></b>
<em>p-value ${Number(verdict.pValue.toPrecision(2))}</em>${named}${reasons.length > 0 && html`<ol>${reasons.map(({ text }) => html`<li>${text}</li>`)}</ol>`}</figcaption></figure>`;
}
