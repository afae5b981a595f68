import { asStoplineError } from '../errors.ts';
import { corruptions } from '../image/corruptions/corruptions.ts';
import { decode } from '../image/decode.ts';
import type { Frame } from '../image/frame.ts';
import { causeThumbnails, thumbnail, thumbnailSide } from '../image/thumbnail.ts';
import type { Profile } from '../profile/description.ts';
import { html, type Markup, toText, verbatim } from './html.ts';
import { type CausePicture, picturesSection, powerSection, shownSeverity } from './power.ts';
import { distributionsSection, provenanceSection, referenceSection } from './reference.ts';
import { style } from './style.ts';
import { figures, sentenceAbout } from './summary.ts';

/** How a report is drawn; every field has a default. */
export interface ReportOptions {
  /** An encoded image on which the causes are shown, instead of the small one in the Profile. */
  example?: Uint8Array | undefined;
  /** Where drops sit and which way rain falls in the pictures; default 1. */
  seed?: number;
}

/**
 * A Profile as one HTML page that needs nothing else: no script, no network, no file beside it. The same Profile gives the
 * same page.
 *
 * @returns the text of the file
 * @throws {StoplineError} IMAGE_* for an example that cannot be decoded
 * @example
 * await writeFile('report.html', await renderReport(await loadProfile('camera.stopline')));
 */
export async function renderReport(profile: Profile, options: ReportOptions = {}): Promise<string> {
  const pictures = await drawPictures(profile, options);
  const notes =
    profile.warnings.length > 0 &&
    html`<ul class="notes">${profile.warnings.map((text) => html`<li>${text}</li>`)}</ul>`;
  return page(
    `${profile.name}: Stopline Profile`,
    html`<header><p class="eyebrow">Stopline Profile</p><h1>${profile.name}</h1>
<p class="lead">${sentenceAbout(profile)}</p>
${figures(profile)}
${notes}
<nav aria-label="Sections"><a href="#power">What it can see</a><a href="#pictures">What the causes look like</a><a href="#distributions">What is normal</a><a href="#reference">What the reference is</a><a href="#provenance">Where it comes from</a></nav></header>
<main>${powerSection(profile)}
${picturesSection(profile, pictures)}
${distributionsSection(profile)}
${referenceSection(profile)}
${provenanceSection(profile)}</main>
<footer>Made by <code>stopline report</code> from the Profile <code>${profile.sha256.slice(0, 16)}</code>. A promised rate holds for images drawn as the reference was. The causes are simulations: rain from a real sky may look otherwise.</footer>`,
  );
}

/** The shell of every report. The policy forbids the page to load or run anything, whatever its contents say. */
export function page(title: string, body: Markup): string {
  return toText(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${verbatim(style)}</style>
</head>
<body>
${body}
</body>
</html>
`);
}

/** The example under every cause, or why there is none. */
async function drawPictures(profile: Profile, { example, seed = 1 }: ReportOptions) {
  let frame: Frame;
  let caption: string;
  if (example) {
    ({ frame } = await decode(example));
    caption = makeCaption(frame, frame, 'the image given');
  } else if (profile.example) {
    try {
      ({ frame } = await decode(Buffer.from(profile.example.jpeg, 'base64')));
    } catch (error) {
      // The rest of the report does not depend on it.
      return { missing: `No pictures: the example in the Profile cannot be used (${asStoplineError(error).message})` };
    }
    caption = makeCaption(frame, profile.example, 'a typical reference image');
  } else {
    return {
      missing:
        'No pictures: this Profile was fitted without an example image (--no-example). stopline report --example FILE draws them on an image of yours.',
    };
  }
  const plan = corruptions.map(({ name }) => ({ cause: name, severity: shownSeverity(profile.power, name) }));
  const causes: CausePicture[] = await causeThumbnails(frame, plan, seed);
  return { clean: await thumbnail(frame), causes, caption };
}

/**
 * Sizes of blur, of noise and of JPEG's blocks are counted in pixels, so that a picture is only what the classifier would
 * get where nothing was made smaller.
 */
function makeCaption(frame: Frame, full: { width: number; height: number }, what: string): string {
  const size = `${full.width}\u00d7${full.height}`;
  if (full.width > frame.width) {
    const times = Number((full.width / frame.width).toPrecision(2));
    return `Shown on ${what}, made smaller from ${size} to ${frame.width}\u00d7${frame.height} before the cause was simulated: blur, noise and compression, which are counted in pixels, look up to ${times} times coarser than on the full frame, on which the shares above were measured.`;
  }
  if (Math.max(frame.width, frame.height) > thumbnailSide) {
    return `Simulated on ${what} at its full ${size} and then made smaller: noise, blur and compression look weaker here than in the image itself.`;
  }
  return `Shown on ${what} at its full size, ${size}.`;
}
