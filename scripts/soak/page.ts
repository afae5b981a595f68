/**
 * Looks at the dashboard for as long as an operator does, while images come: 50 a second from 100 cameras. The first content must
 * be there within half a second, the heap of the page stay flat, no frame take longer than 100 ms, and nothing be reported as an
 * error or asked of another host. Browser, service and sender share this machine, so what it takes for a page of one line of
 * text, which does nothing, stands beside: less is not possible here.
 *
 *     npm run soak:page                  ten minutes
 *     npm run soak:page -- --minutes 1
 */
import type { Browser, CDPSession } from 'playwright-core';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import { browserPath, openBrowser, watchPage } from '../../test/fixtures/browser.ts';
import { readArguments } from '../arguments.ts';
import { isReadyWithin, post, quantile, type Stage, setStage, sleep } from '../faults/target.ts';

const { values } = readArguments({
  command: 'npm run soak:page --',
  about: 'Leaves the dashboard open under load: its memory stays as it is.',
  options: { minutes: { default: 10, says: 'of it' } },
});
const seconds = values.minutes * 60;
const rate = 50;
const cameras = 100;
/** Images on their way at a time; a service that is slower than that shows as a rate that is not kept. */
const maxAtOnce = 16;
const longestMs = 100;
/** What garbage collection leaves differs by less from one time to the next. */
const maxGrowth = 0.02;
/** Until the page is there and its charts are drawn, frames are not counted. */
const settleMs = 5000;
const samples = 30;
const paintMs = 500;
/** How often each figure is taken; the median counts. */
const loads = 9;
/** One line of text, from the same service. */
const bare = '/health/live';

/** Notes in the page how long each frame was, and what the browser says of long ones. */
const frameWatch = `(() => {
  const seen = { frames: 0, tooLong: 0, longest: 0, long: [], isPaused: false };
  window.frameWatch = seen;
  let last;
  const tick = (now) => {
    if (seen.isPaused) now = undefined;
    else if (last !== undefined) {
      seen.frames++;
      if (now - last > ${longestMs}) seen.tooLong++;
      seen.longest = Math.max(seen.longest, now - last);
    }
    last = now;
    requestAnimationFrame(tick);
  };
  setTimeout(() => {
    requestAnimationFrame(tick);
    new PerformanceObserver((list) => {
      for (const { duration, scripts } of list.getEntries())
        if (duration > ${longestMs} && !seen.isPaused && seen.long.length < 20)
          seen.long.push(Math.round(duration) + ' ms: ' + scripts.map((script) =>
            script.sourceURL.split('/').at(-1) + ' ' + script.invoker + ' ' + Math.round(script.duration) + ' ms').join(', '));
    }).observe({ type: 'long-animation-frame' });
  }, ${settleMs});
})()`;

interface Watched {
  name: string;
  faults: string[];
  /** Bytes of the page's heap after garbage collection. */
  heap(): Promise<number>;
  frames(): Promise<{ frames: number; tooLong: number; longest: number; long: string[] }>;
}

/** Milliseconds until a page of the browser has content, median of several, for each address in turn. */
async function firstPaints(browser: Browser, addresses: readonly string[]): Promise<number[]> {
  const taken: number[][] = addresses.map(() => []);
  for (let i = 0; i < loads; i++) {
    for (const [n, address] of addresses.entries()) {
      const page = await browser.newPage();
      await page.goto(address);
      const paint = await page.evaluate<number>(`new Promise((resolve) => new PerformanceObserver((list) => {
        for (const { name, startTime } of list.getEntries()) if (name === 'first-contentful-paint') resolve(startTime);
      }).observe({ type: 'paint', buffered: true }))`);
      taken[n].push(paint);
      await page.close();
    }
  }
  return taken.map((all) => quantile(all, 0.5));
}

async function watch(browser: Browser, name: string, address: string): Promise<Watched> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const faults = watchPage(page, new URL(address).origin);
  await page.addInitScript(frameWatch);
  await page.goto(address);
  await page.locator('.page h1, pre').first().waitFor();
  const session: CDPSession = await page.context().newCDPSession(page);
  return {
    name,
    faults,
    async heap() {
      // Garbage that is collected for the sake of measuring is no fault of the page.
      await page.evaluate('void (window.frameWatch.isPaused = true)');
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize } = await session.send('Runtime.getHeapUsage');
      await page.evaluate('new Promise((resolve) => setTimeout(resolve, 100))');
      await page.evaluate('void (window.frameWatch.isPaused = false)');
      return usedSize;
    },
    frames: () => page.evaluate('window.frameWatch'),
  };
}

/** Different images from every camera, one in twenty in fog. */
async function renderImages(): Promise<Uint8Array[]> {
  const size = { width: 320, height: 180 };
  return Promise.all(
    Array.from({ length: 97 }, async (_, i) => {
      const frame = renderFrame(1000 + i, size);
      return encodeFrame(i % 20 === 0 ? await corrupt(frame, 'fog', 4, i) : frame);
    }),
  );
}

/** Sends images at the rate until `until`; a moment at which the machine was busy elsewhere is made up for. */
async function send(url: string, images: readonly Uint8Array[], until: number) {
  const startedAt = performance.now();
  const counts = { sent: 0, judged: 0 };
  let atOnce = 0;
  while (performance.now() < until) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * rate);
    while (counts.sent < due && atOnce < maxAtOnce) {
      const n = counts.sent++;
      atOnce++;
      void post(url, images[n % images.length], {}, `/inspect?source=camera-${n % cameras}`).then(({ status }) => {
        atOnce--;
        if (status === 200) counts.judged++;
      });
    }
    await sleep(5);
  }
  return counts;
}

/** Slope of a straight line through the last third, times its length, as a share of its mean. */
function measureGrowth(heap: readonly number[]): number {
  const last = heap.slice(-Math.ceil(heap.length / 3));
  const mean = last.reduce((sum, value) => sum + value, 0) / last.length;
  const middle = (last.length - 1) / 2;
  const slope =
    last.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0) /
    last.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
  return (slope * (last.length - 1)) / mean;
}

async function soak(stage: Stage, browser: Browser): Promise<boolean> {
  const images = await renderImages();
  const { url } = await stage.start({ args: ['--threads', '1', '--log-level', 'warn'] });
  if (!(await isReadyWithin(url, 60_000))) throw new Error('Expected the service to become ready within a minute.');
  // Every camera is there, so that what is measured is a page with all of them.
  for (let n = 0; n < cameras; n++) await post(url, images[n % images.length], {}, `/inspect?source=camera-${n}`);
  const [paint, barePaint] = await firstPaints(browser, [`${url}/#/`, url + bare]);
  const isSoon = paint < paintMs;
  console.log(
    `${isSoon ? 'pass' : 'FAIL'} first content after ${paint.toFixed(0)} ms; of a bare page after ${barePaint.toFixed(0)} ms (medians of ${loads})`,
  );
  const pages = [
    await watch(browser, 'overview', `${url}/#/`),
    await watch(browser, 'camera', `${url}/#/camera/camera-7`),
  ];
  const floor = await watch(browser, 'bare', url + bare);
  const startedAt = performance.now();
  const sending = send(url, images, startedAt + seconds * 1000);
  const heaps: number[][] = pages.map(() => []);
  for (let i = 0; i < samples; i++) {
    await sleep(startedAt + ((i + 1) * seconds * 1000) / samples - performance.now());
    for (const [p, page] of pages.entries()) heaps[p].push(await page.heap());
  }
  const { sent, judged } = await sending;
  const isFed = judged >= 0.98 * seconds * rate;
  console.log(
    `${isFed ? 'pass' : 'FAIL'} images: ${judged} of ${sent} judged, ${(judged / seconds).toFixed(1)} a second`,
  );
  const bareFrames = await floor.frames();
  let isGood = isSoon && isFed;
  for (const [p, { name, faults, frames }] of pages.entries()) {
    const { frames: count, tooLong, longest, long } = await frames();
    const heap = heaps[p];
    const growth = measureGrowth(heap);
    const isFlat = growth < maxGrowth;
    const isGoodPage = isFlat && count > 0 && longest <= longestMs && faults.length === 0;
    const MB = (bytes: number) => (bytes / 1e6).toFixed(2);
    console.log(
      `${isGoodPage ? 'pass' : 'FAIL'} ${name}: heap ${MB(heap[0])} MB at first, ${MB(heap.at(-1) as number)} MB at last, ` +
        `${(100 * growth).toFixed(2)} % more in the last third; longest of ${count} frames ${longest.toFixed(0)} ms, ` +
        `${tooLong} over ${longestMs} (of ${bareFrames.frames} of a bare page ${bareFrames.longest.toFixed(0)} ms, ${bareFrames.tooLong}); ` +
        `${faults.length} faults`,
    );
    for (const fault of faults.slice(0, 10)) console.log(`  ${fault}`);
    if (longest > longestMs) for (const entry of long) console.log(`  frame of ${entry}`);
    isGood &&= isGoodPage;
  }
  return isGood;
}

if (!browserPath) throw new Error('Expected chromium on this machine (Debian package chromium) but found none.');
// With what draws the whole page: a network, and pictures of what is alike.
const stage = await setStage({ fitted: { simulations: 10, model: undefined, keepPaths: true } });
const browser = await openBrowser();
try {
  if (!(await soak(stage, browser))) process.exitCode = 1;
} finally {
  await browser.close();
  stage.close();
}
// Connections that are kept alive would keep the process alive, too.
process.exit();
