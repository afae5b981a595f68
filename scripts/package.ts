/**
 * Proves that the published package works: packs it, installs the tarball into an empty folder without running any install
 * script, and uses the command line, the library and its types there.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { browserPath, openBrowser } from '../test/fixtures/browser.ts';
import { renderFolder } from '../test/fixtures/camera.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The package brings a native core for Linux on two processors; elsewhere WebAssembly. */
const machine = `${process.platform}-${process.arch}`;
const expectedBuild = /^linux-(x64|arm64)$/.test(machine) ? 'native' : 'wasm';
const folder = mkdtempSync(join(tmpdir(), 'stopline-package-'));
const run = (cwd: string, command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const check = (ok: boolean, expected: string) => {
  if (!ok) throw new Error(`Expected ${expected}`);
  console.log(`ok: ${expected}`);
};

const library = `
import { access, readFile } from 'node:fs/promises';
import { createInspector, createPool, loadProfile, type Frame, type Verdict } from 'stopline';
import expressGate from 'stopline/express';
import stopline, { type Passage, type StoplineOptions } from 'stopline/fastify';
import { createFrameJudge } from 'stopline/frame';
import honoGate from 'stopline/hono';
import koaGate from 'stopline/koa';
import nodeGate from 'stopline/node';

const profile = await loadProfile('demo/camera.stopline');
const inspector = await createInspector({ profile });
const frame: Frame = { data: new Uint8Array(64 * 48 * 3), width: 64, height: 48, channels: 3 };
const verdict: Verdict = await inspector.inspectFrame(frame);
const { model } = profile;
const judge = await createFrameJudge({
  profile: await readFile('demo/camera.stopline'),
  embed: () => new Float32Array(model?.dimension ?? 0),
});
if ((await judge.inspect(frame)).profile.sha256 !== profile.sha256) throw new Error('Expected a judge of pixels');
await access('demo/frames/clean.jpg');
const pool = await createPool({ profile: 'demo/camera.stopline', threads: 1 });
const judged = await pool.inspectFile('demo/frames/clean.jpg');
await pool.close();
const options: StoplineOptions = { profile, mode: 'enforce', routes: [{ path: '/classify', protocol: 'image' }] };
const passage: Passage = { action: 'skip' };
for (const door of [stopline, expressGate, honoGate, koaGate, nodeGate]) {
  if (typeof door !== 'function' || options.mode === passage.action) throw new Error('Expected a gate for every framework');
}
const listening = await nodeGate({ profile, threads: 1 });
listening.guard((request, response) => response.end(request.stopline?.action));
await listening.close();
// @ts-expect-error a verdict has no such field
verdict.isDrift;
console.log(JSON.stringify({ frame: verdict.verdict, format: judged.image.format, build: inspector.core.info.build }));
`;

try {
  const packed = run(root, 'npm', 'pack', '--silent', '--pack-destination', folder);
  const tarball = packed.trim().split('\n').at(-1) as string;
  writeFileSync(
    join(folder, 'package.json'),
    '{ "name": "trial", "version": "1.0.0", "private": true, "type": "module" }\n',
  );
  run(folder, 'npm', 'install', '--silent', '--ignore-scripts', '--omit=dev', `./${tarball}`);
  const installed = join(folder, 'node_modules', 'stopline');
  check(existsSync(join(installed, 'dist/core/stopline.wasm')), 'the WebAssembly core beside the compiled code');
  check(
    existsSync(join(installed, 'dist/server/dashboard/app.js')),
    'the pages of the dashboard beside the compiled code',
  );
  if (expectedBuild === 'native') {
    // The package works without each of them, only slower or with more rights, so that nothing else would notice.
    for (const name of ['stopline.node', 'confine.node'])
      check(existsSync(join(installed, `prebuilds/${machine}/${name}`)), `${name} for ${machine} in the package`);
  }
  check(!readdirSync(installed).includes('test'), 'no tests in the package');

  const version = run(folder, 'npx', '--no-install', 'stopline', '--version').trim();
  check(/^\d+\.\d+\.\d+/.test(version), 'npx stopline --version to print a version');
  run(folder, 'npx', '--no-install', 'stopline', 'demo', '--frames', '50', '--out', 'demo');
  check(existsSync(join(folder, 'demo/camera.stopline')), 'npx stopline demo to write a Profile');

  const { usable, checks, core, confined } = JSON.parse(
    run(folder, 'npx', '--no-install', 'stopline', 'doctor', '--json'),
  );
  check(core.build === expectedBuild, `npx stopline doctor to find the ${expectedBuild} core`);
  check(expectedBuild === 'wasm' || confined.includes('no-new-privileges'), 'decoders with fewer rights');
  check(usable && checks.every(({ ok }: { ok: boolean }) => ok), 'npx stopline doctor to find nothing wrong');
  // The lowest version that `engines` promises, and the newest.
  const bin = join(installed, 'dist/cli/bin.js');
  const judge = (node: string) => {
    const args = [bin, 'inspect', '--json', '--profile', 'demo/camera.stopline', 'demo/frames/clean.jpg'];
    const { pValue } = JSON.parse(spawnSync(node, args, { cwd: folder, encoding: 'utf8' }).stdout);
    return pValue;
  };
  for (const release of ['22.14.0', '26']) {
    const place = join(folder, `node-${release}`);
    run(folder, 'npm', 'install', '--silent', '--prefix', place, `node@${release}`);
    const node = join(place, 'node_modules/.bin/node');
    const { usable, versions } = JSON.parse(run(folder, node, bin, 'doctor', '--json'));
    check(
      usable && judge(node) === judge(process.execPath),
      `Node ${versions.node} to judge an image as this one does`,
    );
  }

  const { components } = JSON.parse(run(folder, 'npm', 'sbom', '--sbom-format', 'cyclonedx'));
  const bill = new Map(
    components.map(({ name, licenses }: { name: string; licenses?: unknown[] }) => [name, licenses]),
  );
  const needed = Object.keys(JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).dependencies);
  const unlicensed = ['stopline', ...needed].filter((name) => !(bill.get(name) as unknown[] | undefined)?.length);
  check(unlicensed.length === 0, `a bill of materials of ${components.length} packages with their licences`);

  writeFileSync(join(folder, 'use.ts'), library);
  const options = [
    '--ignoreConfig',
    '--strict',
    '--noEmit',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'es2023',
  ];
  const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node'];
  run(folder, 'tsc', ...options, ...types, 'use.ts');
  check(true, 'types that a strict program compiles against');
  const { frame, format, build } = JSON.parse(run(folder, 'node', 'use.ts'));
  check(
    frame === 'block' && format === 'jpeg' && build === expectedBuild,
    'the library and its worker threads to judge images',
  );
  await tryExamples();
  await tryRuntimes();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs every program of examples/ against the installed package, on the Profile and the frames of the demo. */
async function tryExamples(): Promise<void> {
  cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true });
  const profile = 'demo/camera.stopline';
  const example = (name: string, ...args: string[]) => run(folder, 'node', `examples/${name}`, ...args);

  const judged = example('judge-folder.mjs', profile, 'demo/frames').trim().split('\n');
  check(judged.length === readdirSync(join(folder, 'demo/frames')).length, 'judge-folder.mjs to print a line a frame');
  check(/^block /.test(judged[0]), 'the strangest frame to be first, and blocked');
  check(example('gate.mjs', profile, 'demo/frames/clean.jpg').startsWith('answered: a car'), 'gate.mjs to answer');
  check(example('gate.mjs', profile, 'demo/frames/fog-3.jpg').startsWith('refused: '), 'gate.mjs to refuse fog');
  run(folder, 'npx', '--no-install', 'stopline', 'score', 'demo/frames', '--profile', profile, '--out', 'rows.jsonl');
  check(
    example('drift.mjs', profile, 'rows.jsonl').includes(`${judged.length} images, learning`),
    'drift.mjs to watch',
  );

  const app = spawn('node', ['examples/fastify-gate.mjs', profile, '0'], { cwd: folder });
  await during(app, async (address) => {
    const post = (frame: string) => {
      const headers = { 'content-type': 'image/jpeg' };
      const body = readFileSync(join(folder, 'demo/frames', frame));
      return fetch(`${address}/classify`, { method: 'POST', headers, body });
    };
    check((await post('clean.jpg')).status === 200, 'fastify-gate.mjs to let a clean frame through');
    check((await post('fog-3.jpg')).status === 422, 'fastify-gate.mjs to refuse fog');
  });

  check(
    run(folder, 'python3', 'examples/python/read_rows.py', 'rows.jsonl').includes('block: '),
    'read_rows.py to count',
  );
  const serve = ['node_modules/stopline/dist/cli/bin.js', 'serve', '--profile', profile, '--port', '0'];
  const service = spawn('node', serve, { cwd: folder });
  await during(service, (address) => {
    const answer = run(folder, 'python3', 'examples/python/inspect_image.py', 'demo/frames/fog-3.jpg', address);
    check(/^block p = .*\n- /.test(answer), 'inspect_image.py to print a verdict and its reasons');
    return Promise.resolve();
  });
}

/** Judges decoded pixels without Node: in Deno and Bun, which npm has, and in a page, where there is a browser. */
async function tryRuntimes(): Promise<void> {
  const quick = ['--model', 'none', '--simulations', '0', '--power', '0'];
  const profile = 'pixels.stopline';
  const [frame] = await renderFolder(join(folder, 'drives'), 60);
  run(folder, 'npx', '--no-install', 'stopline', 'fit', 'drives', '--out', profile, '--group-by', 'none', ...quick);
  const corrupt = ['corrupt', frame, '--cause', 'fog', '--severity', '5', '--out', 'foggy'];
  run(folder, 'npx', '--no-install', 'stopline', ...corrupt);
  const image = 'foggy/frame0-fog-5.png';
  const example = ['examples/judge-pixels.mjs', profile, image];
  const judged = run(folder, 'node', ...example);
  check(/"verdict":"(warn|block)"/.test(judged), 'judge-pixels.mjs to see fog');
  run(folder, 'npm', 'install', '--silent', '--prefix', 'runtimes', 'deno', 'bun');
  const runtimes = join(folder, 'runtimes/node_modules/.bin');
  const deno = run(folder, join(runtimes, 'deno'), 'run', '--allow-read', '--allow-env', ...example);
  check(deno === judged, 'Deno to judge pixels as Node does');
  check(run(folder, join(runtimes, 'bun'), ...example) === judged, 'Bun to judge pixels as Node does');

  if (browserPath === undefined) return console.log('skipped: no chromium, in which examples/page.html would run');
  cpSync(join(folder, 'examples/page.html'), join(folder, 'index.html'));
  cpSync(join(folder, profile), join(folder, 'camera.stopline'));
  // Unbuffered, so that it says where it is before it is asked.
  const server = spawn('python3', ['-u', '-m', 'http.server', '--bind', '127.0.0.1', '0'], { cwd: folder });
  await during(server, async (address) => {
    const browser = await openBrowser();
    const page = await browser.newPage();
    await page.goto(`${address}/`);
    await page.locator('#file:enabled').setInputFiles(join(folder, image));
    const shown = page.locator('#verdict', { hasText: 'p-value' });
    const { verdict, reasons } = JSON.parse(judged) as { verdict: string; reasons: string[] };
    const text = await shown.innerText();
    await browser.close();
    check(text.startsWith(`${verdict}, `) && text.includes(reasons[0]), 'page.html to judge as Node does');
  });
}

/** Waits for the address that a server prints, uses it, and ends the server. */
async function during(server: ChildProcess, use: (address: string) => Promise<void>): Promise<void> {
  const ended = once(server, 'exit');
  try {
    let printed = '';
    for await (const chunk of server.stdout as AsyncIterable<Buffer>) {
      printed += chunk;
      const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(printed) ?? [];
      if (address === undefined) continue;
      await use(address);
      return;
    }
    throw new Error(`Expected the address of a server but it printed: ${printed}`);
  } finally {
    server.kill('SIGTERM');
    await ended;
  }
}
