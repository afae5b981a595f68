import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StoplineError } from '../../src/errors.ts';
import { corrupt } from '../../src/image/corruptions/corruptions.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { jpegFrame, renderFrame } from '../fixtures/camera.ts';
import { runHere, startService } from '../fixtures/cli.ts';
import { fitOnce, wholeProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const profile = at('camera.stopline');
const frame = renderFrame(100, { width: 160, height: 90 });
let reference: string;
let inspector: Inspector;
let service: Awaited<ReturnType<typeof startService>>;

beforeAll(async () => {
  const fitted = await fitOnce({ images: 60, simulations: 0, power: 0, name: 'everywhere' });
  reference = fitted.reference;
  copyFileSync(fitted.profilePath, profile);
  inspector = await createInspector({ profile: await loadProfile(profile) });
  service = await startService(['--profile', profile]);
});

afterAll(async () => {
  const run = await service?.stop();
  expect(run?.code).toBe(0);
});

/** What the wall clock adds to a verdict is the only thing that may differ. */
function withoutTime(verdict: object): object {
  const { timingMs: _, ...rest } = JSON.parse(JSON.stringify(verdict));
  return rest;
}

/** The rows of one run over all these files, by their paths. */
async function scoreFiles(paths: readonly string[]): Promise<Map<string, object>> {
  const { code, stdout } = await runHere(['score', ...paths, '--profile', profile, '--out', '-']);
  expect(code).toBe(0);
  const rows = stdout.trimEnd().split('\n');
  return new Map(rows.map((line) => JSON.parse(line)).map((row) => [row.path, row]));
}

async function encode(name: string): Promise<Uint8Array> {
  const raw = { width: frame.width, height: frame.height, channels: 3 } as const;
  if (name === 'clean.jpg') return jpegFrame(100);
  if (name === 'compressed.jpg') return jpegFrame(100, 30);
  if (name === 'lossless.png') return sharp(frame.data, { raw }).png().toBuffer();
  if (name === 'lossy.webp') return sharp(frame.data, { raw }).webp().toBuffer();
  const { data } = await corrupt(frame, 'night', 3, 1);
  return sharp(data, { raw }).jpeg({ quality: 92 }).toBuffer();
}

describe('library, command line, rows and HTTP give the same verdict', () => {
  const names = ['clean.jpg', 'compressed.jpg', 'night.jpg', 'lossless.png', 'lossy.webp'];
  let scored: Map<string, object>;

  beforeAll(async () => {
    for (const name of names) writeFileSync(at(name), await encode(name));
    scored = await scoreFiles(names.map(at));
  });

  it.each(names)('%s', async (name) => {
    const bytes = readFileSync(at(name));
    const expected = withoutTime(await inspector.inspect(bytes));
    const inspected = await runHere(['inspect', at(name), '--profile', profile, '--json']);
    expect(withoutTime(JSON.parse(inspected.stdout))).toEqual(expected);
    expect(withoutTime(scored.get(at(name)) as object)).toEqual({ path: at(name), ...expected });
    const answer = await service.post(bytes);
    expect(answer.status).toBe(200);
    expect(withoutTime((await answer.json()) as object)).toEqual(expected);
  });

  it('and not the same numbers for every image', async () => {
    const numbers = names.map(async (name) => (await inspector.inspect(await encode(name))).statistics);
    expect(new Set((await Promise.all(numbers)).map((measured) => JSON.stringify(measured))).size).toBe(names.length);
  });
});

describe('each decides by the detector that it is told', () => {
  const path = at('causes.stopline');

  beforeAll(async () => {
    copyFileSync((await fitOnce(wholeProfile)).profilePath, path);
  });

  it.each(['capture', 'content'] as const)('%s', async (decideBy) => {
    const bytes = await encode('compressed.jpg');
    writeFileSync(at('asked.jpg'), bytes);
    const blockWhen = decideBy === 'capture' ? 'score > 0 and pValue < 0.5' : undefined;
    const expected = withoutTime(await (await createInspector({ profile: path, decideBy, blockWhen })).inspect(bytes));
    expect(expected).toMatchObject({ decidedBy: decideBy });
    if (blockWhen) expect(expected).toMatchObject({ blockWhen, verdict: 'block' });
    const asked = ['--profile', path, '--decide-by', decideBy, ...(blockWhen ? ['--block-when', blockWhen] : [])];
    const inspected = await runHere(['inspect', at('asked.jpg'), '--json', ...asked]);
    expect(withoutTime(JSON.parse(inspected.stdout))).toEqual(expected);
    const env = {
      STOPLINE_DECIDE_BY: decideBy,
      STOPLINE_PROFILE: path,
      ...(blockWhen && { STOPLINE_BLOCK_WHEN: blockWhen }),
    };
    const scored = await runHere(['score', at('asked.jpg'), '--out', '-'], { env });
    expect(withoutTime(JSON.parse(scored.stdout))).toEqual({ path: at('asked.jpg'), ...expected });
    const other = await startService(asked);
    try {
      expect(withoutTime((await (await other.post(bytes)).json()) as object)).toEqual(expected);
    } finally {
      await other.stop();
    }
  });

  it('and does not start when the Profile has no such detector', async () => {
    writeFileSync(at('asked.jpg'), await encode('clean.jpg'));
    const asked = ['--profile', profile, '--decide-by', 'capture'];
    const out = at('none.jsonl');
    const runs = [
      ['inspect', at('asked.jpg')],
      ['score', at('asked.jpg'), '--out', out],
      ['serve', '--port', '0'],
    ];
    for (const args of runs) {
      const { code, stderr } = await runHere([...args, ...asked]);
      expect(code).toBe(2);
      expect(stderr).toContain('(combined, statistics, container');
    }
    expect(existsSync(out)).toBe(false);
  });
});

describe('library, command line, rows and HTTP give the same error code', () => {
  const clean = () => jpegFrame(100);
  const images: [string, () => Promise<Uint8Array>][] = [
    ['empty', async () => new Uint8Array()],
    ['text', async () => Buffer.from('no image at all')],
    ['truncated', async () => (await clean()).subarray(0, 2500)],
    ['an SVG', async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>')],
    [
      'too small',
      () =>
        sharp({ create: { width: 4, height: 4, channels: 3, background: 'red' } })
          .png()
          .toBuffer(),
    ],
  ];

  const file = (name: string) => at(`${name}.jpg`);
  let scored: Map<string, object>;

  beforeAll(async () => {
    for (const [name, make] of images) writeFileSync(file(name), await make());
    scored = await scoreFiles(images.map(([name]) => file(name)));
  });

  it.each(images)('%s', async (name, make) => {
    const bytes = await make();
    const error = await inspector.inspect(bytes).then(
      () => expect.fail('expected an error'),
      (error: StoplineError) => error,
    );
    expect(error).toBeInstanceOf(StoplineError);
    const inspected = await runHere(['inspect', file(name), '--profile', profile, '--json']);
    expect(inspected.code).toBe(65);
    expect(JSON.parse(inspected.stdout).error.code).toBe(error.code);
    expect(scored.get(file(name))).toMatchObject({ error: { code: error.code } });
    const answer = await service.post(bytes);
    expect(answer.status).toBe(error.status);
    expect(await answer.json()).toMatchObject({ error: { code: error.code } });
  });
});

describe('the Profile', () => {
  it('is the same whether fitted by the library or by the command line', async () => {
    const out = at('cli.stopline');
    const args = ['fit', '--simulations', '0', '--power', '0', reference, '--out', out, '--name', 'everywhere'];
    expect((await runHere(args)).code).toBe(0);
    const [mine, theirs] = [await loadProfile(profile), await loadProfile(out)];
    expect({ ...theirs, createdAt: '', sha256: '' }).toEqual({ ...mine, createdAt: '', sha256: '' });
    expect(readFileSync(out).length).toBe(readFileSync(profile).length);
  });
});
