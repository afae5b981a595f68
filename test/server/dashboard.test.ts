import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import { createProfile, type Profile } from '../../src/profile/description.ts';
import { loadProfile, saveProfile } from '../../src/profile/file.ts';
import { type Service, serve } from '../../src/server/serve.ts';
import { browserPath, openBrowser, patience, watchPage } from '../fixtures/browser.ts';
import { encodeFrame, jpegFrame, renderFrame, smallSize } from '../fixtures/camera.ts';
import { fitOnce, wholeProfile } from '../fixtures/fitted.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** What a page would run if it took text for HTML. */
const hostile = '<img src=x onerror=window.hit=1>';
const pages = {
  overview: '#/',
  camera: '#/camera/rear',
  quarantine: '#/quarantine',
  held: '#/quarantine/',
  events: '#/events',
  service: '#/service',
  profile: '#/profile',
  try: '#/try',
};

const folder = mkdtempSync(join(tmpdir(), 'stopline-dashboard-'));
const at = (name: string) => join(folder, name);
let service: Service;
let browser: Browser;
let fresh: Uint8Array[];
let foggy: Uint8Array[];

if (!browserPath) console.warn('skipped: no chromium on this machine (Debian package chromium)');

const start = async (more: { quarantine?: string } = {}) => {
  const own = {
    profile: at('camera.stopline'),
    stateDir: at('state'),
    port: 0,
    threads: 1,
    isolation: 'thread',
    logLevel: 'silent',
    maxWaitMs: 30_000,
    // On a machine that is busy with something else no image is given up for that.
    maxImageMs: 60_000,
  };
  const flags = { ...own, ...more };
  return serve(loadConfig({ env: {}, flags }).config);
};

const post = async (source: string, bytes: Uint8Array) => {
  const response = await fetch(`${service.url}/inspect?source=${source}`, { method: 'POST', body: Buffer.from(bytes) });
  return response.status;
};

beforeAll(async () => {
  if (!browserPath) return;
  const { profile } = await fitOnce(wholeProfile);
  await saveProfile(withHostileNames(profile), at('camera.stopline'));
  fresh = await Promise.all(Array.from({ length: 30 }, (_, i) => jpegFrame(1000 + i)));
  foggy = await Promise.all(
    Array.from({ length: 14 }, async (_, i) =>
      encodeFrame(await corrupt(renderFrame(2000 + i, smallSize), 'fog', 4, i)),
    ),
  );
  service = await start({ quarantine: at(`kept ${hostile}`) });
  browser = await openBrowser();
  for (const [i, bytes] of fresh.entries()) expect(await post(i % 3 === 0 ? 'front' : 'rear', bytes)).toBe(200);
  for (const bytes of foggy) expect(await post('rear', bytes)).toBe(200);
});

afterAll(async () => {
  await browser?.close();
  await service?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The name of a reference image is shown beside images that are like it, and the name of the Profile everywhere. */
function withHostileNames({ tensors, sha256: _, ...description }: Profile): Profile {
  const model = description.model as NonNullable<Profile['model']>;
  const paths = (model.paths as string[]).map((path) => path.replace(/^frames/, `frames${hostile}`));
  return createProfile({ ...description, name: `front ${hostile}`, model: { ...model, paths } }, tensors);
}

/** How many the service knows. */
async function cameras(): Promise<number> {
  const answer = (await (await fetch(`${service.url}/drift`)).json()) as { total: number };
  return answer.total;
}

/** Images that are to be looked at, or that were accepted. */
async function countListed(isAccepted: boolean): Promise<number> {
  const answer = (await (await fetch(`${service.url}/quarantine`)).json()) as { count: number; accepted: number };
  return isAccepted ? answer.accepted : answer.count;
}

/** A page without a fault, open at `hash`. */
async function open(hash: string, options: { width?: number; colorScheme?: 'light' | 'dark' } = {}) {
  const { width = 1280, colorScheme = 'light' } = options;
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme, reducedMotion: 'reduce' });
  page.setDefaultTimeout(patience);
  const faults = watchPage(page, service.url);
  await page.goto(`${service.url}/${hash}`);
  await page.locator('.page h1').waitFor();
  return { page, faults };
}

async function chooseFile(page: Page, name: string, bytes: Uint8Array) {
  await page.setInputFiles('input[type=file]', { name, mimeType: 'image/jpeg', buffer: Buffer.from(bytes) });
  await page.locator('.said').waitFor();
}

/** What axe-core finds against the rules of WCAG 2.1, levels A and AA. */
async function audit(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(`axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 200)).join(' | ')))`);
}

describe.skipIf(!browserPath)('the dashboard in a browser', () => {
  it('comes with little, after few requests, and with a policy that lets nothing else in', async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(patience);
    const answer = await page.goto(service.url);
    await page.locator('.cameras tbody tr').first().waitFor();
    // What the first look waits for, on the slowest machine too: no more than is asked for until all cameras are there.
    const asked = await page.evaluate<string[]>(
      `performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)`,
    );
    console.log(`all cameras are there after ${new Set(asked).size} requests`);
    expect(new Set(asked).size).toBeLessThan(30);
    await page.getByRole('link', { name: 'rear' }).click();
    await page.locator('.chart canvas').first().waitFor();
    const policy = answer?.headers()['content-security-policy'] ?? '';
    expect(policy).toContain("default-src 'none'");
    // WebAssembly may be compiled, for the judge in the page; no text becomes code.
    expect(policy.replace("'wasm-unsafe-eval'", '')).not.toMatch(/unsafe|https:|\*/);
    const bytes = await page.evaluate<number>(
      `[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .reduce((sum, { transferSize }) => sum + transferSize, 0)`,
    );
    console.log(`${Math.round(bytes / 1000)} kB in all`);
    expect(bytes).toBeLessThan(150_000);
    expect(bytes).toBeGreaterThan(50_000);
    await page.close();
  });

  it('answers for every camera, trouble first, and follows what comes', async () => {
    const { page, faults } = await open('#/');
    const rows = page.locator('.cameras tbody tr');
    await expect.poll(() => rows.count()).toBe(2);
    await expect
      .poll(() => rows.first().innerText())
      .toMatch(/rear\s+no\s+1[34] of the last \d+ images blocked, likely fog/);
    await expect.poll(() => page.locator('.page h1').innerText()).toBe('Do not trust the classifier on rear');
    expect(await page.title()).toBe('Do not trust rear \u00b7 Stopline');
    expect(await page.locator('link[rel=icon]').getAttribute('href')).toBe('dashboard/icon-bad.svg');
    await expect.poll(() => page.locator('#live').innerText()).toBe('live');
    // A camera that was not there when the page was opened.
    expect(await post('garage', fresh[0])).toBe(200);
    await expect.poll(() => rows.count()).toBe(3);
    for (let i = 0; i < 12; i++) await post('garage', fresh[0]);
    await expect
      .poll(() => page.locator('tr', { hasText: 'garage' }).innerText())
      .toMatch(/no\s+The same picture came 1\d times in a row/);
    expect(faults).toEqual([]);
    await page.close();
  });

  it('shows of one camera what moved, the strangest images with pictures, and what comes while it is looked at', async () => {
    const { page, faults } = await open('#/');
    await page.getByRole('link', { name: 'rear' }).click();
    await page.locator('.multiples article').nth(2).waitFor();
    await expect.poll(() => page.locator('.now').innerText()).toMatch(/1\d of the last \d\d images blocked/);
    expect(await page.title()).toMatch(/^rear: do not trust/);
    // What people see comes first, what the unit means beside it; names of statistics are behind a click.
    const seen = page.locator('.multiples article').first();
    expect(await seen.locator('h3').innerText()).toMatch(/ (than|against) the reference$/);
    expect(await seen.locator('.unit').innerText()).toMatch(/^[A-Z0-9].*\.$/);
    expect(await page.locator('.multiples').innerText()).not.toMatch(/mscn|lumaP/);
    await seen.locator('summary').click();
    expect(await seen.locator('code').first().innerText()).toMatch(/^[a-z]\w+$/);
    await expect
      .poll(() => page.evaluate<number>(`document.querySelector('.strange img[src*="/pictures/"]')?.naturalWidth`))
      .toBe(smallSize.width);
    // What it sees now, beside what it should look like, in the same size.
    const boxes = await page.evaluate<[number, number][]>(
      `[...document.querySelectorAll('.sight img')].map((image) => [image.clientWidth, image.clientHeight])`,
    );
    expect(boxes).toHaveLength(2);
    expect(boxes[0]).toEqual(boxes[1]);
    // Fog is one episode, however many images of it came.
    expect(await page.locator('.strange article', { hasText: /fog|haze/ }).count()).toBe(1);
    expect(await page.locator('.strange').innerText()).toContain(hostile);
    await expect.poll(() => page.locator('.evidence').innerText()).toContain('false alarm');
    const drawn = await page.locator('.multiples article').count();
    await expect.poll(() => page.locator('.chart canvas').count()).toBe(drawn + 2);
    const counted = page.locator('.counts');
    expect(await counted.innerText()).toMatch(/Last 34\u00a0images/);
    for (const bytes of foggy.slice(0, 3)) await post('rear', bytes);
    await expect.poll(() => counted.innerText()).toMatch(/Last 37\u00a0images/);
    expect(faults).toEqual([]);
    await page.close();
  });

  it('judges an image that is dropped on it, and shows where the evidence lies', async () => {
    const { page, faults } = await open('#/try');
    // Large enough for all tiles.
    const large = renderFrame(2000, { width: 320, height: 180 });
    const bytes = await encodeFrame(await corrupt(large, 'fog', 4, 0));
    const data = await page.evaluateHandle(`(() => {
      const transfer = new DataTransfer();
      const bytes = Uint8Array.from(atob('${Buffer.from(bytes).toString('base64')}'), (character) => character.charCodeAt(0));
      transfer.items.add(new File([bytes], '${hostile}.jpg', { type: 'image/jpeg' }));
      return transfer;
    })()`);
    await page.dispatchEvent('.drop', 'drop', { dataTransfer: data });
    await page.locator('.said').waitFor();
    expect(await page.locator('.said h2').innerText()).toBe(`BLOCK ${hostile}.jpg`);
    expect(await page.locator('.tiles').count()).toBe(4);
    expect(await page.locator('.tiles').first().locator('i').count()).toBe(48);
    expect(await page.locator('.bars').innerText()).toContain('fog');
    expect(await page.locator('.ranges').first().locator('tbody tr').count()).toBe(16);
    // It counted for no camera.
    const total = await cameras();
    await page.setInputFiles('input[type=file]', {
      name: 'x.jpg',
      mimeType: 'image/jpeg',
      buffer: Buffer.from('none'),
    });
    await page.locator('.error').waitFor();
    expect(await page.locator('.error').innerText()).toMatch(/x\.jpg cannot be judged: Expected/);
    expect(await cameras()).toBe(total);
    expect(faults.filter((fault) => !fault.includes('415'))).toEqual([]);
    await page.close();
  });

  it('shows what was stopped by episode, to be accepted, put back, deleted or downloaded', async () => {
    const { page, faults } = await open('#/quarantine');
    const cards = page.locator('.cards article');
    const listed = (await (await fetch(`${service.url}/quarantine`)).json()) as { count: number };
    expect(listed.count).toBeGreaterThan(10);
    await expect.poll(() => cards.count()).toBe(listed.count);
    expect(await page.title()).toContain(`Quarantine (${listed.count})`);
    // Where it is kept is for who runs the service.
    expect(await page.locator('.lead').innerText()).toContain('kept in the folder that the setting quarantine names');
    await expect
      .poll(() => page.evaluate<number>(`document.querySelector('.cards img').naturalWidth`))
      .toBe(smallSize.width);
    await page.getByLabel('Verdict').selectOption('warn');
    await expect.poll(() => page.locator('.tag.block').count()).toBe(0);
    await page.getByLabel('Verdict').selectOption('');
    await page.getByLabel('Camera').selectOption('rear');
    await expect.poll(() => page.locator('.tag.block').count()).toBeGreaterThan(10);
    const place = () => page.locator('.cards article').first().locator('a').getAttribute('href');
    const first = await place();

    // What is dealt with keeps its place until the list is read again, so nothing moves under the hand.
    const before = await cards.nth(1).boundingBox();
    await cards.first().getByRole('button', { name: 'Accept' }).click();
    await page.locator('.told', { hasText: 'accepted' }).waitFor();
    expect(await cards.nth(1).boundingBox()).toEqual(before);
    expect(await place()).toBe(first);
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.locator('.told', { hasText: 'Taken back' }).waitFor();
    expect(await countListed(false)).toBe(listed.count);

    await cards.first().getByRole('button', { name: 'Accept' }).click();
    await page.getByRole('button', { name: 'accepted', exact: true }).click();
    await expect.poll(() => cards.count()).toBe(1);
    expect(await page.locator('.now pre').innerText()).toContain('QUARANTINE/accepted/ \\\n  --profile');
    await cards.first().getByRole('button', { name: 'Put back' }).click();
    await page.locator('.told', { hasText: 'put back' }).waitFor();
    await page.getByRole('button', { name: 'to look at' }).click();
    await expect.poll(place).toBe(first);

    await cards.first().locator('a').click();
    await page.locator('.held img').waitFor();
    await expect
      .poll(() => page.evaluate<number>(`document.querySelector('.held img').naturalWidth`))
      .toBe(smallSize.width);
    expect(await page.locator('.said').innerText()).toMatch(/BLOCK p-value .* than the reference/s);
    expect(await page.locator('.ranges').first().locator('tbody tr').count()).toBe(16);
    expect(await page.locator('.facts').innerText()).toContain(hostile);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download' }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^rear-.*\.jpeg$/);
    const bytes = readFileSync(await download.path());
    expect(foggy.concat(fresh).some((image) => bytes.equals(image))).toBe(true);

    // Deleting waits, so that it can be undone; whoever leaves has had time enough.
    const id = first?.replace('#/', '');
    await page.getByRole('button', { name: 'Discard' }).click();
    await page.locator('.told', { hasText: 'deleted for good in 10 s' }).waitFor();
    expect((await fetch(`${service.url}/${id}`)).status).toBe(200);
    await page.reload();
    await expect.poll(async () => (await fetch(`${service.url}/${id}`)).status).toBe(404);
    expect(faults.filter((fault) => !fault.includes('404'))).toEqual([]);
    await page.close();
  });

  it('goes through the quarantine with the keyboard: next, select an episode, accept, undo', async () => {
    const { page } = await open('#/quarantine');
    const current = page.locator('.cards .current');
    await current.waitFor();
    const total = await countListed(false);
    const first = await current.getAttribute('id');
    await page.keyboard.press('j');
    await expect.poll(() => current.getAttribute('id')).not.toBe(first);
    await page.keyboard.press('k');
    await expect.poll(() => current.getAttribute('id')).toBe(first);
    await page.keyboard.press('x');
    await expect.poll(() => page.locator('.cards .selected').count()).toBe(1);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Shift+A');
    const episode = await page.locator('.episode').first().locator('article').count();
    await expect.poll(() => page.locator('.cards .selected').count()).toBe(episode);
    await page.keyboard.press('a');
    await expect.poll(() => countListed(true)).toBe(episode);
    await expect.poll(() => page.locator('.cards .done').count()).toBe(episode);
    await page.keyboard.press('u');
    await expect.poll(() => countListed(false)).toBe(total);
    // The service knows before the page does, which takes no key meanwhile.
    await page.locator('.told', { hasText: 'Taken back' }).waitFor();
    await page.keyboard.press('d');
    await page.locator('.told', { hasText: 'discarded' }).waitFor();
    await page.keyboard.press('u');
    await page.locator('.told', { hasText: 'Taken back' }).waitFor();
    expect(await countListed(false)).toBe(total);
    await page.keyboard.press('Control+a');
    await expect.poll(() => page.locator('.cards .selected').count()).toBe(total);
    await page.keyboard.press('Escape');
    await expect.poll(() => page.locator('.cards .selected').count()).toBe(0);
    const opened = (await current.getAttribute('id'))?.replace('image-', '');
    await page.keyboard.press('Enter');
    await page.locator('.held img').waitFor();
    expect(page.url()).toMatch(new RegExp(`#/quarantine/${opened}$`));
    expect(await page.title()).toMatch(/^\w+: (block|warn) /);
    await page.keyboard.press('Escape');
    await current.waitFor();
    await page.close();
  });

  it('finds cameras, statistics, pages and events from every page, and every document that it links to is there', async () => {
    const { page, faults } = await open('#/service');
    await page.keyboard.press('/');
    await page.keyboard.type('rea');
    await page.locator('.found li', { hasText: 'rear' }).first().waitFor();
    await page.keyboard.press('Enter');
    await page.locator('.now').waitFor();
    expect(page.url()).toMatch(/#\/camera\/rear$/);
    await page.keyboard.press('/');
    await page.keyboard.type('median bright');
    await page.locator('.found a', { hasText: 'Median brightness' }).click();
    await page.locator('h2', { hasText: 'What is normal' }).waitFor();
    await expect.poll(() => page.locator('[aria-label="Statistics of the reference"] tbody tr').count()).toBe(1);
    const links = new Set<string>();
    const collectLinks = async () => {
      for (const hash of ['#/camera/rear', '#/quarantine', '#/events', '#/profile', '#/service']) {
        await page.goto(`${service.url}/${hash}`);
        await page.locator('a[href^="dashboard/manual/"]').first().waitFor();
        const found = await page.evaluate<string[]>(
          `[...document.querySelectorAll('main a[href]')].map(({ href }) => href).filter((href) => !href.includes('#'))`,
        );
        for (const link of found) links.add(link);
      }
      return links.size;
    };
    // What a page had before may still stand there while the next one is drawn.
    await expect.poll(collectLinks, { timeout: patience }).toBeGreaterThan(6);
    for (const link of links) expect((await fetch(link)).status, link).toBe(200);
    expect(faults).toEqual([]);
    await page.close();
  });

  it('tells what happened, finds it, and says whether the service is well', async () => {
    const { page, faults } = await open('#/events');
    const entries = page.locator('.events li:not(.day)');
    await page.locator('.events li', { hasText: 'images blocked, likely fog' }).first().waitFor();
    expect((await fetch(`${service.url}/inspect`, { method: 'POST', body: 'no image' })).status).toBe(415);
    await page.reload();
    await page.locator('.events li', { hasText: 'POST /inspect was refused: STOPLINE_ERR_' }).first().waitFor();
    await page.getByRole('button', { name: 'refusals' }).click();
    await expect.poll(() => entries.count()).toBeLessThan(5);
    await page.getByRole('button', { name: 'all', exact: true }).click();
    await page.getByLabel('Find a camera or a word').fill('likely fog');
    await expect.poll(() => entries.count()).toBe(1);
    expect(await entries.first().innerText()).toContain('rear');

    await page.goto(`${service.url}/#/service`);
    await page.locator('h1', { hasText: 'The service takes images' }).waitFor();
    expect(await page.locator('.figures').innerText()).toMatch(/Images judged\s+\d+/);
    expect(await page.locator('.facts').innerText()).toMatch(/workers\s+1/);
    expect(faults).toEqual([]);
    // The document itself is plain text, for which the browser looks for an icon.
    await page.getByRole('link', { name: 'Running it' }).click();
    await page.getByText('## The dashboard').first().waitFor();
    await page.close();
  });

  it('never says trust where it does not know: contact is lost, and found again', async () => {
    const { page } = await open('#/');
    const headline = page.locator('.page h1');
    await expect.poll(() => headline.innerText()).toMatch(/^Do not trust/);
    // The service ends under the page.
    await page.route('**/*', (route) => route.abort());
    await expect.poll(() => headline.innerText()).toMatch(/^No contact with the service since/);
    expect(await page.title()).toBe('No contact \u00b7 Stopline');
    expect(await page.locator('link[rel=icon]').getAttribute('href')).toBe('dashboard/icon-lost.svg');
    expect(await page.locator('.cameras tbody').innerText()).not.toMatch(/yes/);
    expect(await page.locator('.cameras tbody tr').first().innerText()).toMatch(/not known/);
    await page.unroute('**/*');
    await expect.poll(() => headline.innerText()).toMatch(/^Do not trust/);
    await page.close();
  });

  it('takes no text for HTML, wherever it comes from', async () => {
    for (const hash of [`#/camera/${encodeURIComponent(hostile)}`, '#/camera/rear', '#/quarantine']) {
      const { page } = await open(hash);
      expect(await page.evaluate(`'hit' in window`)).toBe(false);
      expect(await page.locator('img[src="x"]').count()).toBe(0);
      await page.close();
    }
    const refused = await fetch(`${service.url}/inspect?source=${encodeURIComponent(hostile)}`, {
      method: 'POST',
      body: Buffer.from(fresh[0]),
    });
    expect(refused.status).toBe(400);
  });

  it('can be used with the keyboard alone', async () => {
    const { page } = await open('#/');
    await page.locator('.cameras').waitFor();
    const focused = () => page.evaluate<string>('document.activeElement.textContent.trim()');
    const order: string[] = [];
    const pageNames = ['Cameras', 'Quarantine', 'Events', 'Profile', 'Try it', 'Service'];
    // The field that finds things has no text of its own.
    const bar = ['Skip to the content', 'Stopline', ...pageNames, '', 'local time'];
    for (const _ of [...bar, 'the first camera']) {
      await page.keyboard.press('Tab');
      order.push(await focused());
    }
    expect(order.slice(0, -1)).toEqual(bar);
    const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle');
    expect(outline).toBe('solid');
    await page.keyboard.press('Enter');
    await page.locator('.now').waitFor();
    expect(await page.locator('.page h1').innerText()).toBe(order.at(-1));
    await page.close();
  });

  it.each([
    ['light', 1280, true],
    ['light', 390, false],
    ['dark', 1280, false],
    ['dark', 390, true],
  ] as const)('is legible, %s and %d pixels wide', async (colorScheme, width, isAudited) => {
    const { page, faults } = await open('#/', { width, colorScheme });
    const { items } = (await (await fetch(`${service.url}/quarantine`)).json()) as { items: { id: string }[] };
    for (const [name, hash] of Object.entries(pages)) {
      await page.goto(`${service.url}/${hash}${name === 'held' ? items[0].id : ''}`);
      await page.locator(name === 'held' ? '.held' : '.page h1').waitFor();
      if (name === 'try') await chooseFile(page, 'fog.jpg', foggy[1]);
      if (name === 'camera') await page.locator('.multiples article').nth(2).waitFor();
      if (isAudited) expect(await audit(page), name).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), name).toBeLessThanOrEqual(0);
    }
    expect(faults).toEqual([]);
    await page.close();
  });

  it('still has the history after a restart, says how to keep images, and draws by another Profile as soon as it is in force', async () => {
    await service.close();
    service = await start();
    const { page } = await open('#/camera/rear');
    await page.getByRole('button', { name: 'hour' }).click();
    await page.getByText(/3\d\u00a0images in the last hour/).waitFor();
    // Any other time, beginning with the one that is shown.
    await page.getByRole('button', { name: 'from, to' }).click();
    await page.getByText(/3\d\u00a0images between these times/).waitFor();
    const [from, to] = [page.getByLabel('From', { exact: true }), page.getByLabel('to', { exact: true })];
    const shown = await from.inputValue();
    await from.fill('2001-02-03T04:05');
    await to.fill('2001-02-03T05:05');
    await page.getByText('No images between these times').waitFor();
    await from.fill('2001-02-03T06:05');
    await page.getByText('Expected a start before the end').waitFor();
    await to.fill('2099-01-01T00:00');
    await from.fill(shown);
    await page.getByText(/3\d\u00a0images between these times/).waitFor();
    await expect.poll(() => page.locator('.evidence').innerText()).toMatch(/images\s+3\d, worth/);
    await page.goto(`${service.url}/#/quarantine`);
    await page.locator('pre', { hasText: '--quarantine kept/' }).waitFor();

    await page.goto(`${service.url}/#/profile`);
    await page.locator('h1', { hasText: 'front' }).waitFor();
    await post('rear', fresh[0]);
    const { tensors, sha256: _, ...description } = await loadProfile(at('camera.stopline'));
    await saveProfile(createProfile({ ...description, name: 'another' }, tensors), at('camera.stopline'));
    expect((await fetch(`${service.url}/profile/reload`, { method: 'POST' })).status).toBe(200);
    await post('rear', fresh[0]);
    await page.locator('h1', { hasText: 'another' }).waitFor();
    await page.close();
  });
});
