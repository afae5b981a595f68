import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { InputOptions } from '../../../src/run/inputs/item.ts';
import { openItems } from '../../../src/run/inputs/items.ts';
import { createObjectStore } from '../../../src/run/objects.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { noiseBytes } from '../../fixtures/images.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const options: InputOptions = { store: createObjectStore(), maxBytes: 1e6, fps: 5 };
const isMissing = spawnSync('ffmpeg', ['-version']).error !== undefined;
if (isMissing) console.log('skipped: ffmpeg is not on the path');

const make = (name: string, ...codec: string[]) => {
  const scene = 'testsrc2=size=128x96:rate=10:duration=4';
  execFileSync('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', scene, ...codec, '-y', at(name)]);
  return readFileSync(at(name));
};

/** How many frames there were, and what was wrong. */
async function read(path: string) {
  let frames = 0;
  const errors: string[] = [];
  for await (const { read } of await openItems([path], options)) {
    await read?.().then(
      () => frames++,
      ({ code, message }) => errors.push(`${code} ${message}`),
    );
  }
  return { frames, errors };
}

describe.skipIf(isMissing)('a damaged video', () => {
  it('that is cut, or whose data are, ends with a row that says so, the same every time', async () => {
    const mkv = make('whole.mkv', '-c:v', 'libx264', '-g', '5');
    expect(await read(at('whole.mkv'))).toEqual({ frames: 20, errors: [] });
    writeFileSync(at('cut.mkv'), mkv.subarray(0, Math.floor(mkv.length * 0.6)));
    const noisy = Buffer.from(make('whole.mp4', '-c:v', 'libx264', '-g', '20', '-movflags', '+faststart'));
    const noise = noiseBytes(400);
    for (let i = 0; i < noise.length; i++) noisy[Math.floor(noisy.length * 0.4) + i * 7] ^= noise[i];
    writeFileSync(at('noisy.mp4'), noisy);
    for (const name of ['cut.mkv', 'noisy.mp4']) {
      const found = await read(at(name));
      expect(found.frames, name).toBeGreaterThan(0);
      expect(found.errors, name).toEqual([
        expect.stringMatching(
          /^STOPLINE_ERR_INPUT_UNREADABLE Expected an? (intact )?video at .* but ffmpeg (says|reports damage)/,
        ),
      ]);
      expect(found.errors[0]).not.toMatch(/0x[0-9a-f]{6}/);
      expect(await read(at(name)), name).toEqual(found);
    }
  });
});

describe.skipIf(isMissing)('a video', () => {
  it('that is a playlist is not opened, so no other file is read', async () => {
    make('inner.mp4', '-c:v', 'libx264');
    writeFileSync(at('list.mp4'), `ffconcat version 1.0\nfile '${at('inner.mp4')}'\n`);
    writeFileSync(at('hls.mp4'), `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n${at('inner.mp4')}\n#EXT-X-ENDLIST\n`);
    for (const name of ['list.mp4', 'hls.mp4']) {
      expect(await read(at(name)), name).toEqual({ frames: 0, errors: [expect.stringContaining('INPUT_UNREADABLE')] });
    }
  });

  it('that is a link is read where it is named outright', async () => {
    symlinkSync(at('inner.mp4'), at('named.mp4'));
    expect((await read(at('named.mp4'))).frames).toBe(20);
  });
});
