/**
 * Takes a picture of every page of the dashboard and of the reports in every state that they can be in, wide and narrow, light
 * and dark, and of the reports on paper, to be looked at one by one. The states are those of a real service that real images were sent to.
 *
 *     npm run screens                          all of them, into artifacts/screens
 *     npm run screens -- --out DIR             into another folder
 *     npm run screens -- --only camera-        only those whose name has this in it, such as dark-390
 *     npm run screens -- --stay                afterwards the service stays, to be looked at in a browser
 *
 * A page that is wider than its window, reports an error or asks another host for anything is named at the end, and fails.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContext, Page, Request } from 'playwright-core';
import { loadConfig } from '../../src/config.ts';
import { type Service, serve } from '../../src/server/serve.ts';
import { browserPath, openBrowser, watchPage } from '../../test/fixtures/browser.ts';
import { fitOnce } from '../../test/fixtures/fitted.ts';
import { readArguments } from '../arguments.ts';
import { sleep } from '../faults/target.ts';
import { writeReports } from './reports.ts';
import { Street, size, staleAfterMs } from './street.ts';

const { values } = readArguments({
  command: 'npm run screens --',
  about: 'Takes pictures of every page, wide and narrow, light and dark.',
  options: {
    out: { default: 'artifacts/screens', says: 'folder for them' },
    only: { default: '', says: 'pages whose names hold this' },
    stay: { default: false, says: 'leave the service running' },
  },
});

const looks = [
  { width: 1280, colorScheme: 'light' },
  { width: 1280, colorScheme: 'dark' },
  { width: 390, colorScheme: 'light' },
  { width: 390, colorScheme: 'dark' },
] as const;

/** One page in one state. */
interface Shot {
  name: string;
  address: string;
  /** What is done on the page before its picture is taken. */
  act?: (page: Page) => Promise<unknown>;
  /** Whether the service is gone before the picture is taken. */
  isLost?: boolean;
  /** Whether the service refuses something that the page asks, which a browser reports as an error. */
  isRefused?: boolean;
}

/** What a page is waiting for: everything but the events that it follows for ever. */
class OpenRequests {
  readonly #open = new Set<Request>();

  constructor(page: Page) {
    page.on('request', (request) => new URL(request.url()).pathname.endsWith('/events') || this.#open.add(request));
    for (const event of ['requestfinished', 'requestfailed'] as const)
      page.on(event as 'requestfinished', (request) => this.#open.delete(request));
  }

  /** Nothing was asked for a while, or for ten seconds there was always something. */
  async settle(): Promise<void> {
    for (let quiet = 0, tries = 0; quiet < 4 && tries < 100; tries++) {
      await sleep(100);
      quiet = this.#open.size === 0 ? quiet + 1 : 0;
    }
  }
}

/** Takes the pictures, and remembers what no page may do. */
class Photographer {
  readonly faults: string[] = [];
  readonly #browser: Browser;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  async take(shots: readonly Shot[]): Promise<void> {
    for (const look of looks) {
      const { width, colorScheme } = look;
      const context = await this.#browser.newContext({
        viewport: { width, height: 900 },
        colorScheme,
        reducedMotion: 'reduce',
      });
      for (const shot of shots) {
        const look = `${colorScheme}-${width}`;
        if (`${shot.name}-${look}`.includes(values.only)) await this.#takeOne(context, shot, look);
      }
      await context.close();
    }
  }

  /** A page as it comes out of a printer, on A4. */
  async print({ name, address }: Shot): Promise<void> {
    if (!`${name}-paper`.includes(values.only)) return;
    const page = await this.#browser.newPage();
    await page.goto(address);
    await page.pdf({ path: join(values.out, `${name}-paper.pdf`), format: 'A4', printBackground: true });
    await page.close();
  }

  async #takeOne(
    context: BrowserContext,
    { name, address, act, isLost, isRefused }: Shot,
    look: string,
  ): Promise<void> {
    const page = await context.newPage();
    const found = watchPage(page, new URL(address).protocol === 'file:' ? 'file:' : new URL(address).origin);
    const requests = new OpenRequests(page);
    await page.goto(address);
    await page.locator('h1').first().waitFor();
    await requests.settle();
    await act?.(page);
    await requests.settle();
    if (isLost) {
      await page.route('**/*', (route) => route.abort());
      await page.locator('#live[data-state=lost]').waitFor({ timeout: 30_000 });
    }
    await page.waitForTimeout(300);
    const beyond = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    if (beyond > 0) found.push(`${beyond} pixels wider than its window`);
    if (isRefused)
      found.splice(0, found.length, ...found.filter((fault) => !fault.includes('Failed to load resource')));
    // What cannot be reached is an error to the browser.
    if (!isLost) this.faults.push(...found.map((fault) => `${name} ${look}: ${fault}`));
    await page.screenshot({ path: join(values.out, `${name}-${look}.png`), fullPage: true });
    await page.close();
  }
}

/** Takes alerts as somebody's chat does; one in three times it is not there. */
async function openReceiver(): Promise<{ url: string; close: () => void }> {
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(calls++ % 3 === 1 ? 503 : 200).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => server.close() };
}

function start(profile: string, more: Record<string, string>): Promise<Service> {
  const flags = {
    profile,
    port: 0,
    threads: 1,
    logLevel: 'silent',
    maxWaitMs: 60_000,
    maxImageMs: 60_000,
    staleAfterMs,
  };
  return serve(loadConfig({ env: {}, flags: { ...flags, ...more } }).config);
}

async function chooseFile(page: Page, name: string, bytes: Uint8Array): Promise<void> {
  await page.setInputFiles('input[type=file]', { name, mimeType: 'image/jpeg', buffer: Buffer.from(bytes) });
  await page.locator('.said, .error').first().waitFor();
}

/** Pages of a service that nobody has sent anything. */
function listEmpty(url: string): Shot[] {
  return [
    { name: 'overview-none', address: `${url}/#/` },
    { name: 'camera-unknown', address: `${url}/#/camera/never-seen`, isRefused: true },
    { name: 'quarantine-off', address: `${url}/#/quarantine`, isRefused: true },
    { name: 'events-none', address: `${url}/#/events` },
    { name: 'service-none', address: `${url}/#/service` },
  ];
}

/** Pages of a street with cameras in every state. */
async function listStreet(url: string, street: Street): Promise<Shot[]> {
  const { sources } = (await (await fetch(`${url}/drift?limit=1000`)).json()) as { sources: { source: string }[] };
  const named = sources.map(({ source }) => source).filter((source) => !/^lane-(?!01)/.test(source));
  const { items } = (await (await fetch(`${url}/quarantine`)).json()) as { items: { id: string }[] };
  const unreadable = Buffer.from('no image');
  return [
    { name: 'overview-thirty', address: `${url}/#/` },
    { name: 'overview-lost', address: `${url}/#/`, isLost: true },
    ...named.map((source) => ({ name: `camera-${source}`, address: `${url}/#/camera/${source}` })),
    { name: 'camera-lost', address: `${url}/#/camera/in-fog`, isLost: true },
    ...['hour', 'day'].map((range) => ({
      name: `camera-range-${range}`,
      address: `${url}/#/camera/was-blurred`,
      act: (page: Page) => page.getByRole('button', { name: range, exact: true }).click(),
    })),
    { name: 'quarantine', address: `${url}/#/quarantine` },
    { name: 'item', address: `${url}/#/quarantine/${items[0]?.id}` },
    { name: 'events', address: `${url}/#/events` },
    { name: 'service', address: `${url}/#/service` },
    { name: 'profile', address: `${url}/#/profile` },
    { name: 'try-empty', address: `${url}/#/try` },
    { name: 'try-block', address: `${url}/#/try`, act: (page) => chooseFile(page, 'fog.jpg', street.pools.fog[0]) },
    { name: 'try-pass', address: `${url}/#/try`, act: (page) => chooseFile(page, 'clear.jpg', street.pools.fresh[0]) },
    {
      name: 'try-refused',
      address: `${url}/#/try`,
      isRefused: true,
      act: (page) => chooseFile(page, 'notes.txt', unreadable),
    },
  ];
}

async function takeAll(photographer: Photographer, folder: string): Promise<void> {
  const { profilePath, profile } = await fitOnce({
    images: 160,
    size,
    simulations: 12,
    power: 3,
    keepPaths: true,
    name: 'street',
  });
  const street = await Street.open();
  const reports = await writeReports(join(folder, 'reports'), { profile, profilePath, street });
  const files = reports.map(({ name, path }) => ({ name, address: pathToFileURL(path).href }));
  await photographer.take(files);
  for (const file of files) await photographer.print(file);
  // Pages that are files need no street.
  if (/^(report|causes|gallery)/.test(values.only)) return;
  const empty = await start(profilePath, {});
  await photographer.take(listEmpty(empty.url));
  await street.send(empty.url, 'gate');
  await photographer.take([{ name: 'overview-one', address: `${empty.url}/#/` }]);
  await empty.close();

  street.turnBack();
  const receiver = await openReceiver();
  const service = await start(profilePath, {
    quarantine: join(folder, 'kept'),
    stateDir: join(folder, 'state'),
    alertWebhook: receiver.url,
  });
  await street.run(service.url, 20);
  await photographer.take(await listStreet(service.url, street));
  if (values.stay) {
    console.log(`The street stays at ${service.url} until Ctrl-C.`);
    await new Promise((resolve) => process.once('SIGINT', resolve));
  }
  await service.close();
  receiver.close();
}

if (!browserPath) throw new Error('Expected chromium on this machine (Debian package chromium) but found none.');
mkdirSync(values.out, { recursive: true });
const folder = mkdtempSync(join(tmpdir(), 'stopline-screens-'));
const browser = await openBrowser();
const photographer = new Photographer(browser);
try {
  await takeAll(photographer, folder);
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
for (const fault of photographer.faults) console.log(`FAIL ${fault}`);
console.log(`Pictures are in ${values.out}.`);
process.exit(photographer.faults.length > 0 ? 1 : 0);
