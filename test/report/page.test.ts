import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { chooseExample, makeExample } from '../../src/fit/example.ts';
import { blindTo, type Power } from '../../src/fit/power.ts';
import type { UnseenSample } from '../../src/fit/samples.ts';
import { corruptions, families } from '../../src/image/corruptions/corruptions.ts';
import { decode } from '../../src/image/decode.ts';
import { createProfile, describeProfile, type Profile } from '../../src/profile/description.ts';
import { loadProfile, saveProfile } from '../../src/profile/file.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { spellCause } from '../../src/profile/labels.ts';
import { findQuantile } from '../../src/profile/maths/ranks.ts';
import { histogram } from '../../src/report/distributions.ts';
import { shade } from '../../src/report/heatmap.ts';
import { html, toText } from '../../src/report/html.ts';
import { renderReport } from '../../src/report/page.ts';
import { sentenceAbout } from '../../src/report/summary.ts';
import { decimal, listed, percent, wholePercent } from '../../src/report/words.ts';
import { jpegFrame, renderFrame } from '../fixtures/camera.ts';
import { readError, runHere, stopline } from '../fixtures/cli.ts';
import { fitOnce, plainProfile, wholeProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
let profile: Profile;
let reference: string;
let page: string;

beforeAll(async () => {
  ({ profile, reference } = await fitOnce(wholeProfile));
  await saveProfile(profile, at('camera.stopline'));
  page = await renderReport(profile);
});

/** A Profile with another description over the same numbers. */
function changed(change: Partial<Profile>): Profile {
  const { tensors, sha256: _, ...description } = { ...profile, ...change };
  return createProfile(description, tensors);
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#96': '`' };
/** What a reader sees of a piece of HTML. */
function extractText(piece: string): string {
  return piece
    .replace(/<(style|title)>.*?<\/\1>/gs, '')
    .replace(/<[^>]*>/g, '')
    .replace(/&([a-z]+|#\d+);/g, (whole, name) => entities[name] ?? whole);
}

/** The rows of the heat map: cause, exact shares, and the text of the last column. */
function heatRows(text: string) {
  const tables = [...text.matchAll(/<table class="heat"><caption>(\w+)<\/caption>(.*?)<\/table>/gs)];
  return tables.flatMap(([, family, table]) =>
    [...table.matchAll(/<tr><th scope="row"[^>]*>([\w ]+)<\/th>(.*?)<\/tr>/gs)].map(([, cause, cells]) => {
      const shares = (kind: string) =>
        [...cells.matchAll(new RegExp(`<data class="${kind} s\\d+" value="([^"]+)">(\\d+)</data>`, 'g'))].map(
          ([, value, shown]) => ({ value: Number(value), shown: Number(shown) }),
        );
      const from = extractText(/<td class="from">(.*)<\/td>/s.exec(cells)![1]);
      return { family, cause, warn: shares('at-warn'), block: shares('at-block'), from };
    }),
  );
}

/** As pages show them: one family after the other, in which causes stand as they were added. */
const causesByFamily = families.flatMap((wanted) => corruptions.filter(({ family }) => family === wanted));

function orderByFamily<T extends { cause: string }>(causes: readonly T[]): T[] {
  return causesByFamily.flatMap(({ name }) => causes.find(({ cause }) => cause === name) ?? []);
}

describe('the heat map', () => {
  it('has a row for every cause, under its family, with the shares of the Profile', () => {
    const power = profile.power!;
    const rows = heatRows(page);
    expect(rows.map(({ cause, family }) => ({ name: cause, family }))).toEqual(
      causesByFamily.map(({ name, family }) => ({ name: spellCause(name), family })),
    );
    const blind = blindTo(power);
    for (const [i, { cause, warn, block, detectedFrom }] of orderByFamily(power.causes).entries()) {
      expect(rows[i].warn.map(({ value }) => value)).toEqual(warn);
      expect(rows[i].block.map(({ value }) => value)).toEqual(block);
      expect(rows[i].warn.map(({ shown }) => shown)).toEqual(warn.map((share) => Math.round(share * 100)));
      expect(rows[i].from).toBe(blind.includes(cause) ? 'blind' : `${detectedFrom ?? '–'}`);
    }
  });

  it('says each value where the mouse rests on it', () => {
    const { cause, warn, block } = profile.power!.causes[0];
    const title = `${spellCause(cause)}, severity 3: ${percent(warn[2])} stopped, ${percent(block[2])} blocked`;
    expect(page).toContain(`title="${title}"`);
  });

  it('reaches its full colour at the share from which a cause counts as detected', () => {
    expect([0, 0.0949, 0.095, 0.5, 0.9499, 0.95, 1].map(shade)).toEqual([0, 0, 1, 5, 9, 10, 10]);
  });
});

describe('what the page says of the Profile', () => {
  it('is one sentence with images, rates, causes seen and causes missed', () => {
    const causes = (from: (number | undefined)[]): Power['causes'] =>
      from.map((detectedFrom, i) => {
        const shares = detectedFrom === undefined ? [0, 0, 0, 0, 0.4] : [1, 1, 1, 1, 1];
        const seen = detectedFrom === undefined ? {} : { detectedFrom };
        return { cause: ['fog', 'rain', 'elastic'][i], warn: shares, block: shares, ...seen };
      });
    const clean = { images: 20, flagged: 1, low: 0.001, high: 0.25 };
    const falseAlarmRate = { asked: { warn: 0.01, block: 0.001 }, promised: { warn: 0.05, block: 0.025 } };
    const about = changed({ falseAlarmRate, power: { images: 20, clean, causes: causes([1, 3, undefined]) } });
    expect(sentenceAbout(about).replaceAll('\u00a0', ' ')).toBe(
      'front camera learnt what 60 images look like; of images like these it promises to stop at most 5 % and to block at ' +
        'most 2.5 %; it reliably sees 2 of 3 simulated causes, and is blind to 1: elastic.',
    );
    const { power: _, ...untried } = about;
    expect(sentenceAbout(untried)).toMatch(/; what it can see was not tried\.$/);
  });

  it('holds the false alarms achieved and those of clean images encoded again, with their intervals', () => {
    const { clean } = profile.power!;
    const { warn } = profile.falseAlarmRate.achieved!;
    const text = extractText(page);
    for (const { low, high } of [clean, warn]) {
      expect(text).toContain(`95 % interval ${percent(low)} to ${percent(high)}`);
    }
    expect(text).toContain(`${clean.flagged} of ${clean.images} are stopped`);
  });

  it('holds the checksum, the decoder, the folders, the categories and the constants', () => {
    const text = extractText(page);
    for (const fact of [profile.sha256, profile.decode.decoder, profile.decode.rule, profile.createdAt, 'frames']) {
      expect(text).toContain(fact);
    }
    expect(page).toMatch(new RegExp(`<th scope="row">160x90</th><td>${profile.categories.size['160x90']}</td>`));
    for (const [name, value] of Object.entries(profile.constants)) {
      const row = new RegExp(`<th scope="row" title="${name}">[^<]+</th><td><data value="${value}">`);
      expect(page).toMatch(row);
    }
    for (const warning of profile.warnings) expect(text).toContain(warning);
  });

  it('draws every scored statistic with the quantiles that verdicts compare with', () => {
    const cards = [...page.matchAll(/<article class="distribution">(.*?)<\/article>/gs)].map(([, card]) => card);
    expect(cards.map((card) => extractText(/<h4>(.*?)<small>/s.exec(card)![1])).sort()).toEqual(
      profile.statistics.map(({ name }) => name).sort(),
    );
    const { shape, data } = profile.tensors.calibrationValues;
    for (const [i, { name }] of profile.statistics.entries()) {
      const sorted = data.subarray(i * shape[1], (i + 1) * shape[1]);
      const card = cards.find((piece) => extractText(/<h4>(.*?)<small>/s.exec(piece)![1]) === name)!;
      const values = [...card.matchAll(/<data value="([^"]+)">/g)].map(([, value]) => Number(value));
      expect(values).toEqual([0.01, 0.5, 0.99].map((share) => findQuantile(sorted, share)));
      expect(card).toMatch(/<svg [^>]*aria-label="Histogram of \w+ over \d+ images"><path d="M[\d.]/);
    }
  });

  it('is the same for the same Profile', async () => {
    expect(await renderReport(await loadProfile(at('camera.stopline')))).toBe(page);
  });
});

describe('the pictures', () => {
  /** Number of shown pictures; the clean one stands in front of every family. */
  const pictures = (text: string) => [...text.matchAll(/<img src="data:image\/webp;base64,[\w+/=]+" alt="([^"]+)"/g)];

  it('show every cause at the mildest severity detected, or at 5 with a mark', () => {
    const families = new Set(corruptions.map(({ family }) => family)).size;
    const alts = pictures(page).map(([, alt]) => alt);
    expect(alts.filter((alt) => alt === 'the clean image')).toHaveLength(families);
    expect(alts.filter((alt) => alt !== 'the clean image')).toEqual(
      orderByFamily(profile.power!.causes).map(
        ({ cause, detectedFrom }) => `${spellCause(cause)} at severity ${detectedFrom ?? 5}`,
      ),
    );
    const missed = profile.power!.causes.filter(({ detectedFrom }) => detectedFrom === undefined);
    expect(page.split('>not reliably seen').length - 1).toBe(missed.length);
  });

  it('come from the image whose score is the median, by models that have not seen it', async () => {
    const unseen = (id: string, score: number): UnseenSample => {
      const sample = { id, path: '', group: '', fold: 0, statistics: new Float64Array(), properties: {} };
      return { sample, score, calibration: score, scores: [score], z: new Float32Array() };
    };
    const images = [unseen('e', 3), unseen('d', 2), unseen('a', 9), unseen('b', 2), unseen('c', 2), unseen('f', -1)];
    expect(chooseExample(images).id).toBe('c');
    expect(chooseExample(images.reverse()).id).toBe('c');
    const { example, tensors } = profile;
    const names = Array.from({ length: 60 }, (_, i) => join(reference, `frame${i}.jpg`));
    const hash = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
    const chosen = names.find((path) => hash(path) === example!.sha256)!;
    const inspector = await createInspector({ profile });
    const { score } = await inspector.inspect(readFileSync(chosen));
    const scores = tensors.combinedScores.data;
    // The Profile's own model has seen it, and does not find it strange.
    expect(score).toBeLessThan(scores[Math.floor(0.75 * scores.length)]);
    expect(describeProfile(profile)).not.toHaveProperty('example');
  });

  it('come from a JPEG of at most 320 pixels and 20 kB, into which nothing of the file goes but pixels', async () => {
    const { data, width, height } = renderFrame(3, { width: 960, height: 540 });
    const withPlace = sharp(data, { raw: { width, height, channels: 3 } }).withExif({ IFD0: { Artist: 'somebody' } });
    writeFileSync(at('large.jpg'), await withPlace.jpeg({ quality: 95 }).toBuffer());
    expect(readFileSync(at('large.jpg')).includes('somebody')).toBe(true);
    const example = await makeExample('a'.repeat(64), at('large.jpg'));
    const jpeg = Buffer.from(example.jpeg, 'base64');
    const { frame, container } = await decode(jpeg);
    expect({ format: container.format, width: frame.width, height: frame.height }).toEqual({
      format: 'jpeg',
      width: 320,
      height: 180,
    });
    expect(example).toMatchObject({ sha256: 'a'.repeat(64), width: 960, height: 540 });
    expect(jpeg.length).toBeLessThanOrEqual(20_000);
    expect(jpeg.includes('somebody')).toBe(false);
  });

  it('are left out, with the reason, where the Profile has no example; an image of the user takes its place', async () => {
    const { example: _, ...bare } = profile;
    const text = await renderReport(bare);
    expect(pictures(text)).toEqual([]);
    expect(extractText(text)).toContain('fitted without an example image (--no-example)');
    expect(heatRows(text)).toHaveLength(corruptions.length);
    const given = await renderReport(bare, { example: await jpegFrame(5) });
    expect(pictures(given).length).toBeGreaterThan(corruptions.length);
    expect(extractText(given)).toContain('Shown on the image given at its full size, 160×90.');
  });

  it('are left out where the example is no image, but an image of the user that is none is an error', async () => {
    const example = { ...profile.example!, jpeg: Buffer.from('not a jpeg').toString('base64') };
    const text = await renderReport(changed({ example }));
    expect(pictures(text)).toEqual([]);
    expect(extractText(text)).toContain('the example in the Profile cannot be used');
    await expect(renderReport(profile, { example: Buffer.from('GIF89a') })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_IMAGE_UNSUPPORTED',
    });
  });

  it('say how much coarser they look than the full frame', async () => {
    const text = await renderReport(changed({ example: { ...profile.example!, width: 480, height: 270 } }));
    expect(extractText(text)).toContain('look up to 3 times coarser');
  });
});

test('a fit without an example stores none', async () => {
  const { profile: bare } = await fitOnce({ ...plainProfile, example: false });
  expect(bare).not.toHaveProperty('example');
  const text = await renderReport(bare);
  expect(extractText(text)).toContain('Not tried: this Profile was fitted without a power report');
  expect(extractText(text)).toContain('none (--simulations 0)');
  expect(heatRows(text)).toEqual([]);
});

describe('the file', () => {
  it('loads nothing, runs nothing, and is small', () => {
    expect(Buffer.byteLength(page)).toBeLessThan(5_000_000);
    // Base64 may spell anything.
    const markup = page.replace(/data:image\/webp;base64,[\w+/=]+/g, 'data:image/');
    expect(markup.match(/<(script|link|iframe|object|embed|form|base)\b/i)).toBeNull();
    expect(markup.match(/\b(https?:)?\/\/[a-z]/i)).toBeNull();
    expect(markup.match(/@import|url\(/i)).toBeNull();
    const sources = [...page.matchAll(/\b(?:src|href)="([^"]{0,12})/g)].map(([, source]) => source);
    expect(sources.length).toBeGreaterThan(corruptions.length);
    for (const source of sources) expect(source).toMatch(/^(data:image\/|#)/);
    expect(markup).toContain(`content="default-src 'none'; img-src data:; style-src 'unsafe-inline'`);
  });

  it('has every element closed and every link a target', () => {
    const open: string[] = [];
    for (const [, close, name] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*?(?<!\/)>/g)) {
      if (['meta', 'img', 'input', 'wbr', 'br'].includes(name)) continue;
      if (close) expect(open.pop()).toBe(name);
      else open.push(name);
    }
    expect(open).toEqual([]);
    for (const [, id] of page.matchAll(/(?:href="#|for=")([\w-]+)"/g)) expect(page).toContain(`id="${id}"`);
  });

  it('escapes everything that comes from the Profile', async () => {
    const hostile = `"><script>alert(1)</script><img src=x onerror='alert(2)'>&\u202eevil`;
    const row = { cause: hostile, warn: [0, 0, 0, 0, 0], block: [0, 0, 0, 0, 0] };
    const attacked = changed({
      name: hostile,
      createdAt: hostile,
      stopline: hostile,
      decode: { rule: hostile, decoder: hostile },
      categories: { [hostile]: { [hostile]: 3 }, __proto__: {} },
      constants: { [hostile]: 1 },
      warnings: [hostile],
      reference: {
        ...profile.reference,
        split: { ...profile.reference.split, by: hostile },
        folders: [{ folder: hostile, images: 60 }],
      },
      statistics: profile.statistics.map((row, i) => ({ ...row, name: `${hostile}${i}` })),
      power: { ...profile.power!, causes: [...profile.power!.causes, row] },
    });
    const text = await renderReport(attacked);
    expect(text.match(/<script|<img src=x|\u202e/)).toBeNull();
    // Everywhere it stands it stands as text.
    expect(text.split('&lt;script&gt;alert(1)&lt;/script&gt;').length).toBeGreaterThan(profile.statistics.length + 9);
    const tags = (piece: string) => new Set([...piece.matchAll(/<([a-z][a-z0-9]*)/g)].map(([, name]) => name));
    expect([...tags(text)].filter((name) => !tags(page).has(name))).toEqual([]);
    expect(text.match(/\son\w+=["'][^>]*>/)).toBeNull();
  });
});

describe('stopline report', () => {
  it('writes the file, says how large it is, and needs no options', async () => {
    const { code, stdout } = await stopline(['report', at('camera.stopline'), '--json'], { cwd: folder });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ file: 'report.html', bytes: statSync(at('report.html')).size });
    expect(readFileSync(at('report.html'), 'utf8')).toBe(page);
  });

  it('takes an image to show the causes on', async () => {
    writeFileSync(at('mine.jpg'), await jpegFrame(7));
    const args = ['report', at('camera.stopline'), '--out', at('mine.html'), '--example', at('mine.jpg')];
    const { code, stdout } = await runHere(args);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(at('mine.html')) });
    expect(extractText(readFileSync(at('mine.html'), 'utf8'))).toContain('Shown on the image given');
  });

  it('refuses what is no Profile, what cannot be written and what is no image, and leaves no file', async () => {
    writeFileSync(at('page.txt'), '<html>not a profile</html>');
    mkdirSync(at('taken'));
    const cases: [string[], string, number][] = [
      [[at('page.txt'), '--out', at('no.html')], 'PROFILE_INVALID', 78],
      [[at('missing.stopline'), '--out', at('no.html')], 'PROFILE_UNREADABLE', 78],
      [[at('camera.stopline'), '--out', at('nowhere/no.html')], 'OUTPUT_UNWRITABLE', 73],
      [[at('camera.stopline'), '--out', at('taken')], 'OUTPUT_UNWRITABLE', 73],
      [[at('camera.stopline'), '--out', at('no.html'), '--example', at('page.txt')], 'IMAGE_UNSUPPORTED', 65],
      [[at('camera.stopline'), '--out', at('no.html'), '--example', at('none.jpg')], 'INPUT_NOT_FOUND', 66],
    ];
    for (const [args, name, exit] of cases) {
      const run = await runHere(['report', ...args, '--json']);
      expect({ code: run.code, error: readError(run).code }).toEqual({ code: exit, error: `STOPLINE_ERR_${name}` });
    }
    expect(existsSync(at('no.html'))).toBe(false);
  });
});

describe('pieces', () => {
  it('html escapes text and attributes, keeps its own markup, joins lists and leaves nothing for nothing', () => {
    const inner = html`<b>${'<&>'}</b>`;
    expect(toText(html`<p title="${'"\'`'}">${[inner, 7, undefined, false, ['a']]}</p>`)).toBe(
      '<p title="&quot;&#39;&#96;"><b>&lt;&amp;&gt;</b>7a</p>',
    );
    // An object that was read from JSON is not markup.
    const forged = JSON.parse('{"markup":"<script>","Symbol(markup)":"<script>"}');
    expect(() => toText(html`${forged}`)).toThrow();
  });

  it('histogram counts every value once, in equal bins by the rule of Rice', () => {
    const { counts, low, high } = histogram(Float64Array.from({ length: 64 }, (_, i) => i));
    expect({ counts, low, high }).toEqual({ counts: new Array(8).fill(8), low: 0, high: 63 });
    expect(histogram(new Float64Array(1000).map((_, i) => i)).counts).toHaveLength(20); // 2 * 1000^(1/3)
    const single = histogram(Float64Array.of(3, 3, 3)).counts;
    expect(single.reduce((sum, n) => sum + n, 0)).toBe(3);
    expect(Math.max(...single)).toBe(3);
  });

  it('numbers: percent to three digits, 0 and 100 only where exact, thin spaces and a true minus', () => {
    expect(percent(0.02041)).toBe('2.04\u00a0%');
    expect([0, 0.001, 0.5, 0.9999, 1].map(wholePercent)).toEqual([0, 1, 50, 99, 100]);
    expect(decimal(1234567)).toBe('1\u202f234\u202f567');
    expect(decimal(-0.5, 2)).toBe('\u22120.50');
    expect(decimal(-0.001, 2)).toBe('0.00');
    expect([[], ['a'], ['a', 'b'], ['a', 'b', 'c']].map(listed)).toEqual(['', 'a', 'a and b', 'a, b and c']);
  });
});
