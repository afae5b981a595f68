/** Measures how often the judge of a page gives the verdict of the service for JPEG files: `npm run evaluate:browser`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { print } from '../../src/cli/terminal.ts';
import { loadConfig } from '../../src/config.ts';
import { corrupt, corruptions, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { serve } from '../../src/server/serve.ts';
import { openBrowser } from '../../test/fixtures/browser.ts';
import { renderFrame } from '../../test/fixtures/camera.ts';
import { fitOnce } from '../../test/fixtures/fitted.ts';
import { openFramePage } from '../../test/fixtures/framepage.ts';

const images = 1200;
const atOnce = 50;

const { profile, profilePath } = await fitOnce({ images: 60, simulations: 10, power: 0, model: 'none' });
const inspector = await createInspector({ profile, core: 'wasm' });
const folder = mkdtempSync(join(tmpdir(), 'stopline-browser-'));
const flags = { profile: profilePath, stateDir: folder, port: 0, threads: 1, logLevel: 'silent' };
const service = await serve(loadConfig({ env: {}, flags }).config);
const browser = await openBrowser();
const random = new Random(1);
let same = 0;
let identical = 0;
const verdicts: Record<string, number> = {};
try {
  const page = await openFramePage(browser, service.url);
  for (let done = 0; done < images; done += atOnce) {
    const files = await Promise.all(Array.from({ length: atOnce }, (_, i) => makeJpeg(done + i)));
    const judged = await page.judge(files);
    for (const [i, answer] of judged.entries()) {
      const expected = await inspector.inspect(files[i]);
      if (!('verdict' in answer)) continue;
      if (answer.verdict === expected.verdict) same++;
      if (Math.abs(answer.score - expected.score) <= 1e-9 * Math.abs(expected.score)) identical++;
      verdicts[expected.verdict] = (verdicts[expected.verdict] ?? 0) + 1;
    }
  }
} finally {
  await browser.close();
  await service.close();
  rmSync(folder, { recursive: true });
}
print(`${images} JPEG files in ${browser.version()}: ${JSON.stringify(verdicts)}`);
print(`same verdict ${((100 * same) / images).toFixed(2)} %, same score ${((100 * identical) / images).toFixed(2)} %`);

/** A frame of the rendered camera, half of them under a cause, as a JPEG of any usual quality, sampling and coding. */
async function makeJpeg(index: number): Promise<Uint8Array> {
  const frame = renderFrame(5000 + index, { width: 160, height: 90 });
  const { name } = corruptions[random.integer(corruptions.length)];
  const severity = (1 + random.integer(5)) as Severity;
  const { data, width, height } = index % 2 === 0 ? frame : await corrupt(frame, name, severity, index);
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({
      quality: 30 + random.integer(70),
      chromaSubsampling: random.uniform() < 0.7 ? '4:2:0' : '4:4:4',
      progressive: random.uniform() < 0.3,
    })
    .toBuffer();
}
