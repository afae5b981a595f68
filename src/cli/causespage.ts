import { corrupt, corruptions, type Severity } from '../image/corruptions/corruptions.ts';
import type { Frame } from '../image/frame.ts';
import { thumbnail } from '../image/thumbnail.ts';
import { spellCause } from '../profile/labels.ts';
import { html, type Markup } from '../report/html.ts';
import { page } from '../report/page.ts';

/**
 * An image under every simulated cause, at each of the severities, as one HTML page that needs nothing else.
 * @param title name of the image
 */
export async function drawCauses(
  frame: Frame,
  { title, severities, seed }: { title: string; severities: readonly Severity[]; seed: number },
): Promise<string> {
  const original = await drawFigure(frame, 'original', 'The image as it is.', 'clean');
  const families = [...new Set(corruptions.map(({ family }) => family))];
  const sections: Markup[] = [];
  for (const family of families) {
    const figures: Markup[] = [];
    for (const { name, meaning } of corruptions.filter((corruption) => corruption.family === family)) {
      for (const severity of severities) {
        figures.push(
          await drawFigure(await corrupt(frame, name, severity, seed), `${spellCause(name)} ${severity}`, meaning),
        );
      }
    }
    sections.push(html`<section><h2>${family}</h2><div class="pictures">${original}${figures}</div></section>`);
  }
  return page(
    `${title} under simulated causes`,
    html`<header><p class="eyebrow">Stopline</p><h1>${title} under simulated causes</h1>
<p class="lead">The number after a name is the severity: 1 is mild, 5 is severe.</p></header>
<main>${sections}</main>`,
  );
}

async function drawFigure(frame: Frame, label: string, meaning: string, kind = ''): Promise<Markup> {
  const { source, width, height } = await thumbnail(frame);
  return html`<figure class="${kind}"><img src="${source}" alt="${label}" width="${width}" height="${height}"><figcaption><b>${label}</b><em>${meaning}</em></figcaption></figure>`;
}
