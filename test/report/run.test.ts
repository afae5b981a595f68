import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Population } from '../../src/drift/population.ts';
import { fit } from '../../src/fit/fit.ts';
import type { Profile } from '../../src/profile/description.ts';
import { saveProfile } from '../../src/profile/file.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { renderRunReport } from '../../src/report/run.ts';
import { percent } from '../../src/report/words.ts';
import { browserPath, openBrowser, patience } from '../fixtures/browser.ts';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { readError, runHere } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const hostile = '"><img src=x onerror=alert(1)>';
let profile: Profile;
let clean: Verdict[];
let compressed: Verdict[];
let picture: Uint8Array;

beforeAll(async () => {
  await renderFolder(at('reference'), 100);
  const options = { model: 'none', simulations: 0, power: 0, threads: 1, name: `front ${hostile}` } as const;
  ({ profile } = await fit({ paths: [at('reference')], ...options }));
  await saveProfile(profile, at('camera.stopline'));
  const { inspect } = await createInspector({ profile });
  const verdicts = (count: number, first: number, quality?: number) =>
    Promise.all(Array.from({ length: count }, async (_, i) => inspect(await jpegFrame(first + i, quality))));
  clean = await verdicts(40, 1000);
  compressed = await verdicts(20, 2000, 20);
  picture = await jpegFrame(2000, 20);
});

describe('the report of a run', () => {
  it('says in one page whether the images match, where not, and what moved', async () => {
    const population = new Population(profile);
    for (const [i, verdict] of clean.entries()) population.add({ path: `day1/${i}.jpg`, ...verdict });
    for (const [i, verdict] of compressed.entries()) population.add({ path: `day2/${hostile}${i}.jpg`, ...verdict });
    population.add({ path: 'day2/x.jpg', error: { code: 'STOPLINE_ERR_IMAGE_CORRUPT', message: 'broken' } });
    const transition = { source: 'day2', image: 12, from: 'ok', to: 'drifted', text: 'images are stranger' } as const;
    const read = async (path: string) => {
      if (path.endsWith('0.jpg')) throw new Error('gone');
      return picture;
    };
    const page = await renderRunReport(profile, { population, transitions: [transition] }, read);
    const text = page.replace(/<[^>]+>/g, ' ').replaceAll('\u00a0', ' ');
    const { images, warn, block, failed } = population.counts;
    const { low, high } = clopperPearson(block + failed, images);
    const shown = (share: number) => percent(share).replaceAll('\u00a0', ' ');
    expect(text).toContain(
      `Images are stopped: ${shown((warn + block + failed) / images)} of ${images} images are warned about or blocked, where`,
    );
    expect(text).toContain(`${block + failed}; 95 % interval ${shown(low)} to ${shown(high)}`);
    expect(page).toMatch(/<th scope="row">day2<\/th><td>21<\/td><td>100\u00a0%/);
    expect(page.replaceAll('<wbr>', '')).toMatch(
      /<h3>\d+\. smaller as a file than the reference<\/h3><article class="distribution"><h4>Bytes for each pixel <small>codedBytesPerPixel/,
    );
    expect(text).toContain('STOPLINE_ERR_IMAGE_CORRUPT, such as day2/x.jpg');
    expect(text).toMatch(/day2\s+12\s+ok \u2192\s+drifted\s+images are stranger/);
    expect(page.match(/<img src="data:image\/webp;base64,/g)?.length).toBeGreaterThan(8);
    expect(text).toContain('no picture: the file is not there');
    expect(page).not.toContain('<img src=x');
    expect(page).not.toMatch(/<script|https?:\/\//);
    expect(page).toContain("default-src 'none'");
    expect(text).not.toContain('What does harm');
  });

  it('says of a Profile with a harm map what became of the answers, and under which causes they flip', async () => {
    const harmed: Profile = {
      ...profile,
      harm: {
        images: 20,
        classifier: { name: `lights ${hostile}`, sha256: 'a'.repeat(64) },
        causes: [{ cause: 'fog', flips: [0, 0.1, 0.35, 0.6, 0.95], fall: [0, 0, 0, 0, 0] }],
      },
    };
    const population = new Population(harmed);
    const fog = [{ cause: 'fog', probability: 0.9 }];
    const rates = [1 / 32, 1 / 16, 1 / 4, 1 / 2, 7 / 8];
    for (const [i, rate] of rates.entries()) {
      const verdict =
        i < 2
          ? { ...clean[i], verdict: 'pass' as const }
          : { ...compressed[i], verdict: 'block' as const, causes: fog };
      const expectedFlipRate = { rate, low: rate - 1 / 64, high: rate + 1 / 8 };
      population.add({ path: `${i}.jpg`, ...verdict, expectedFlipRate });
    }
    expect(population.harm()?.rate.rate).toBeCloseTo(0.34375, 12);
    expect(population.harm()?.causes).toEqual([
      { cause: 'fog', images: 3, flips: 1.625 },
      { cause: undefined, images: 2, flips: 0.09375 },
    ]);
    const page = await renderRunReport(harmed, { population, transitions: [] }, async () => picture);
    const text = page.replace(/<[^>]+>/g, ' ').replaceAll('\u00a0', ' ');
    expect(text).toContain('on 34.4 % of them (32.8 % to 46.9 %)');
    expect(page).toMatch(/<th scope="row">fog<\/th><td>3<\/td><td>1\.6<\/td><td>54\.2\u00a0%/);
    expect(page).toContain('title="fog, severity 3: 35\u00a0% of answers flipped"');
    expect(page).toMatch(/<data class="flip s10" value="0\.95">95</);
    expect(page).not.toContain('<img src=x');
  });

  it('breaks paths at their separators, folds folders in which every image passed, and fits a phone and paper', async () => {
    const population = new Population(profile);
    const long = 'drives/2026-01-01_front-left_camera_of_the_test_vehicle/segment';
    for (const [i, verdict] of clean.entries()) {
      population.add({ path: `${long}/calm/${i}.jpg`, ...verdict, verdict: 'pass' });
    }
    for (const [i, verdict] of compressed.entries()) {
      population.add({ path: `${long}/worse/${i}.jpg`, ...verdict, verdict: 'block' });
    }
    const page = await renderRunReport(profile, { population, transitions: [] }, async () => picture);
    expect(page).toContain('drives/<wbr>2026-<wbr>01-<wbr>01_<wbr>front-<wbr>left_');
    const [folded] = /<details><summary>1\u00a0folder in which every image passed.*?<\/details>/s.exec(page) ?? [''];
    expect(folded.replaceAll('<wbr>', '')).toContain(`${long}/calm`);
    expect(folded).not.toContain('worse');
    if (!browserPath) return console.warn('not opened: no chromium on this machine');
    writeFileSync(at('long.html'), page);
    const browser = await openBrowser();
    const phone = await browser.newPage({ viewport: { width: 390, height: 844 } });
    phone.setDefaultTimeout(patience);
    await phone.goto(`file://${at('long.html')}`);
    expect(await phone.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
    // A cell with a path is as wide as its longest part, never a letter.
    const width = "document.querySelector('.folders tbody th').clientWidth";
    expect(await phone.evaluate<number>(width)).toBeGreaterThan(90);
    await phone.emulateMedia({ media: 'print' });
    const columns = `getComputedStyle(document.querySelector('.pictures.worst')).gridTemplateColumns.split(' ').length`;
    expect(await phone.evaluate(columns)).toBe(3);
    expect(page).toContain('@page{margin:16mm 14mm}');
    await browser.close();
  });

  it('of 10,000 images is far below 5 MB, and little to lay out', async () => {
    const population = new Population(profile);
    for (let i = 0; i < 10_000; i++) {
      const verdict = i % 7 === 0 ? compressed[i % 20] : clean[i % 40];
      population.add({ path: `drive${i % 300}/frame${i}.jpg`, ...verdict });
    }
    const page = await renderRunReport(profile, { population, transitions: [] }, async () => picture);
    expect(Buffer.byteLength(page)).toBeLessThan(5e6);
    const file = at('run.html');
    writeFileSync(file, page);
    if (!browserPath) return console.warn('not opened: no chromium on this machine');
    const browser = await openBrowser();
    const opened = await browser.newPage();
    opened.setDefaultTimeout(patience);
    const faults: string[] = [];
    opened.on('console', (message) => faults.push(message.text()));
    opened.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) faults.push(request.url());
    });
    await opened.goto(`file://${file}`);
    const elements = await opened.evaluate<number>("document.querySelectorAll('*').length");
    console.log(`10,000 images: ${Math.round(Buffer.byteLength(page) / 1000)} kB, ${elements} elements`);
    // What a browser has to lay out does not grow with the images.
    expect(elements).toBeLessThan(5000);
    expect(faults).toEqual([]);
    mkdirSync(join(import.meta.dirname, '../../artifacts'), { recursive: true });
    await opened.screenshot({ path: join(import.meta.dirname, '../../artifacts/run-report.png'), fullPage: true });
    await browser.close();
  });

  it('is written by score --report, and by report from the rows', async () => {
    const flags = ['--profile', at('camera.stopline'), '--threads', '1'];
    const [rows, file] = [at('rows.jsonl'), at('score.html')];
    const scored = await runHere(['score', at('reference'), ...flags, '--out', rows, '--report', file]);
    expect(scored.code, scored.stderr).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('Like the reference: ');
    const again = at('again.html');
    const drawn = await runHere(['report', rows, '--profile', at('camera.stopline'), '--out', again, '--json']);
    expect(JSON.parse(drawn.stdout)).toEqual({ file: again, bytes: readFileSync(file).length });
    expect(readFileSync(again, 'utf8')).toBe(readFileSync(file, 'utf8'));
    const refused = await runHere([
      'score',
      at('reference'),
      ...flags,
      '--out',
      at('x.csv'),
      '--report',
      file,
      '--json',
    ]);
    expect(readError(refused).message).toContain('Expected a .jsonl file for --out together with --report');
  });
});
