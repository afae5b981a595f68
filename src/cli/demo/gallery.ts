import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { decode } from '../../image/decode.ts';
import type { Profile } from '../../profile/description.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { html, toText, verbatim } from '../../report/html.ts';
import { tokens } from '../../report/style.ts';
import { drawSheet } from './contactsheet.ts';

/** One frame to show, with what was said about it. */
export interface GalleryExample {
  /** File name without ending; the first example of a name is kept as a file. */
  name: string;
  label: string;
  bytes: Uint8Array;
  verdict: Verdict;
}

/**
 * Writes the examples into `folder`: `frames/NAME.jpg`, all of them as one picture in `sheet.png`, and `index.html`, which
 * opens from disk and loads nothing but these.
 * @throws {StoplineError} OUTPUT_UNWRITABLE
 */
export async function writeGallery(
  folder: string,
  { profile, examples }: { profile: Profile; examples: readonly GalleryExample[] },
): Promise<{ sheet: string; page: string; frames: string }> {
  const cells = await Promise.all(
    examples.map(async ({ bytes, label, verdict }) => {
      const { frame } = await decode(bytes);
      return { frame, label: `${label}: ${verdict.verdict} p=${shortP(verdict.pValue)}`, tone: verdict.verdict };
    }),
  );
  const sheet = await drawSheet({
    title: 'Stopline demo: frames and their verdicts',
    columns: 6,
    cells,
    thumbnailWidth: 260,
  });
  const files = { sheet: join(folder, 'sheet.png'), page: join(folder, 'index.html'), frames: join(folder, 'frames') };
  const shown = examples.filter(({ name }, i) => examples.findIndex((other) => other.name === name) === i);
  try {
    await mkdir(files.frames, { recursive: true });
    await writeFile(files.sheet, sheet);
    for (const { name, bytes } of shown) await writeFile(join(files.frames, `${name}.jpg`), bytes);
    await writeFile(files.page, page(profile, shown));
  } catch (cause) {
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `Expected to write into "${folder}" but ${(cause as Error).message}.`,
      { cause },
    );
  }
  return files;
}

const shortP = (p: number) => (p < 0.01 ? p.toPrecision(1) : p.toFixed(2));

function page(profile: Profile, examples: readonly GalleryExample[]): string {
  const { reference, falseAlarmRate } = profile;
  const cards = examples.map(({ name, label, verdict }) => {
    const reasons = verdict.reasons.slice(0, 3).map(({ text }) => html`<li>${text}</li>`);
    const [cause] = verdict.verdict === 'pass' ? [] : (verdict.causes ?? []);
    const named = cause && html`<p>Probable cause: ${cause.cause}, ${Math.round(100 * cause.probability)} %</p>`;
    return html`<article>
  <img src="frames/${name}.jpg" alt="${label}" width="320" height="180">
  <h2>${label} <b class="${verdict.verdict}">${verdict.verdict}</b></h2>
  <p>p-value ${Number(verdict.pValue.toPrecision(2))}, score ${verdict.score.toFixed(2)}</p>
  ${named}
  <ol>${reasons}</ol>
</article>`;
  });
  const written = html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Stopline demo</title>
<style>
  ${verbatim(tokens)}
  body { font: 15px/1.45 var(--sans); margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: var(--ink); background: var(--paper); }
  main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 1.5rem; }
  h1 { font-size: 1.5rem; } h2 { font-size: 1rem; margin: .4rem 0 0; }
  p, ol { margin: .2rem 0; } ol { padding-left: 1.2rem; font-size: .9em; }
  a { color: var(--seen); }
  img { width: 100%; height: auto; border-radius: 6px; }
  b { padding: 0 .5em; border-radius: 3px; }
  .pass { color: var(--on-good); background: var(--good); } .warn { color: var(--on-watch); background: var(--watch); } .block { color: var(--on-bad); background: var(--bad); }
</style>
<h1>Stopline demo: frames and their verdicts</h1>
<p>Profile "${profile.name}" of ${reference.images} frames.
Promised false alarms: warn ${falseAlarmRate.promised.warn.toPrecision(2)}, block ${falseAlarmRate.promised.block.toPrecision(2)}.
All examples: <a href="sheet.png">sheet.png</a>.</p>
<main>
${cards}
</main>
</html>
`;
  return toText(written);
}
