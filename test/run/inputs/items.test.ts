import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { type InputOptions, type Item, isInShard, makeVersion, parseShard } from '../../../src/run/inputs/item.ts';
import { openItems } from '../../../src/run/inputs/items.ts';
import { splitPng } from '../../../src/run/inputs/video.ts';
import { createObjectStore } from '../../../src/run/objects.ts';
import { writeParquet } from '../../../src/run/rows/parquet.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const options: InputOptions = { store: createObjectStore(), maxBytes: 1000 };

/** Name, text of the bytes (or the error code) and columns of all items, read as `judgeItems` reads them. */
async function read(paths: string[], more: Partial<InputOptions> = {}) {
  const items = await openItems(paths, { ...options, ...more });
  const all: { name: string; text: string; columns?: Item['columns'] }[] = [];
  for await (const { name, path, columns, read } of items) {
    const text = read
      ? await read().then(
          (bytes) => Buffer.from(bytes).toString(),
          ({ code }) => code,
        )
      : readFileSync(path as string, 'utf8');
    all.push({ name: name.replace(`${folder}/`, ''), text, ...(columns && { columns }) });
  }
  return { all, count: await items.count(), columns: items.columns };
}

const names = async (paths: string[], more?: Partial<InputOptions>) =>
  (await read(paths, more)).all.map(({ name }) => name);

async function writeTar(path: string, members: Record<string, string>) {
  const archive = pack();
  for (const [name, text] of Object.entries(members)) archive.entry({ name }, text);
  archive.finalize();
  writeFileSync(path, await buffer(archive));
}

beforeAll(async () => {
  for (const path of ['drives/a/front', 'drives/a/rear', 'drives/b/front']) mkdirSync(at(path), { recursive: true });
  for (const path of ['a/front/f10', 'a/front/f9', 'a/rear/f1', 'b/front/f2']) {
    writeFileSync(at('drives', `${path}.jpg`), path);
  }
  await writeTar(at('shard-0.tar'), {
    '000.jpg': 'zero',
    '000.json': '{"label": 1}',
    'sub/001.png': 'one',
    '002.jpg': 'x'.repeat(1001),
    '003.webp': 'three',
  });
});

describe('openItems', () => {
  it.each(['list.csv', 'rows.jsonl', 'rows.parquet'])('says how %s is given, which lists images', async (name) => {
    writeFileSync(at(name), 'path\na.jpg\n');
    await expect(openItems([at(name)], options)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_OPTION_INVALID',
      message: expect.stringContaining(`--manifest "${at(name)}"`),
    });
  });

  it('lists folders and globs in the same order, and counts them', async () => {
    const all = ['drives/a/front/f9.jpg', 'drives/a/front/f10.jpg', 'drives/a/rear/f1.jpg', 'drives/b/front/f2.jpg'];
    expect(await names([at('drives')])).toEqual(all);
    expect(await names([at('drives/*/front/*.jpg')])).toEqual(all.filter((name) => name.includes('front')));
    expect(await names([at('drives/**/f{9,1}.jpg')])).toEqual([all[0], all[2]]);
    expect((await read([at('drives')])).count).toBe(4);
    await expect(names([at('none')])).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' });
    expect(await names([at('none*')])).toEqual([]);
  });

  it('reads the images of an archive one after the other, and what is too large is an item with its error', async () => {
    const expected = [
      { name: 'shard-0.tar/000.jpg', text: 'zero' },
      { name: 'shard-0.tar/sub/001.png', text: 'one' },
      { name: 'shard-0.tar/002.jpg', text: 'STOPLINE_ERR_IMAGE_TOO_LARGE' },
      { name: 'shard-0.tar/003.webp', text: 'three' },
    ];
    expect(await read([at('shard-0.tar')])).toMatchObject({ all: expected, count: undefined });
    writeFileSync(at('shard-1.tgz'), gzipSync(readFileSync(at('shard-0.tar'))));
    expect((await read([at('shard-1.tgz')])).all.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
    expect((await read([at('shard-*.t*')])).all).toHaveLength(8);
  });

  it('goes on after an archive that ends too early', async () => {
    writeFileSync(at('cut.tar'), readFileSync(at('shard-0.tar')));
    truncateSync(at('cut.tar'), 700);
    expect((await read([at('cut.tar'), at('drives/a/rear')])).all).toEqual([
      { name: 'cut.tar/000.jpg', text: 'zero' },
      { name: 'cut.tar', text: 'STOPLINE_ERR_INPUT_UNREADABLE' },
      { name: 'drives/a/rear/f1.jpg', text: 'a/rear/f1' },
    ]);
  });

  it('reads an archive without asking for its members, as a resumed run does', async () => {
    const items = await openItems([at('shard-0.tar')], options);
    const seen: string[] = [];
    for await (const { name } of items) seen.push(name);
    expect(seen).toHaveLength(4);
  });

  it('takes frames of a video that ffmpeg decodes, none of them compressed again', async (test) => {
    const video = at('clip.mp4');
    try {
      const scene = 'testsrc=size=64x48:rate=10:duration=2';
      execFileSync('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', scene, '-y', video]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      console.log('skipped: ffmpeg is not on the path');
      test.skip();
    }
    const items = await openItems([video], { ...options, maxBytes: 1e6, fps: 2 });
    const seen: string[] = [];
    for await (const { name, codec, read } of items) {
      seen.push(name.replace(`${video}/`, ''));
      expect(codec).toMatch(/^(h264|mpeg4)$/);
      const { format, width, height } = await sharp(await read?.()).metadata();
      expect({ format, width, height }).toEqual({ format: 'png', width: 64, height: 48 });
    }
    expect(seen).toEqual(['0.000', '0.500', '1.000', '1.500']);
    writeFileSync(at('broken.mp4'), 'not a video');
    expect((await read([at('broken.mp4')])).all).toEqual([
      { name: 'broken.mp4', text: 'STOPLINE_ERR_INPUT_UNREADABLE' },
    ]);
  });

  it('cuts PNG files apart wherever the stream is cut', async () => {
    const one = await sharp({ create: { width: 20, height: 20, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const two = await sharp({ create: { width: 9, height: 30, channels: 3, background: 'blue' } })
      .png()
      .toBuffer();
    const whole = Buffer.concat([one, two]);
    for (const step of [1, 7, whole.length]) {
      const chunks = Array.from({ length: Math.ceil(whole.length / step) }, (_, i) =>
        whole.subarray(i * step, (i + 1) * step),
      );
      const files = await collect(splitPng(toAsync(chunks), 1e6));
      expect(files.map((bytes) => Buffer.from(bytes))).toEqual([one, two]);
    }
    await expect(collect(splitPng(toAsync([Buffer.from('GIF89a..........')]), 1e6))).rejects.toThrow('PNG');
  });
});

async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

async function* toAsync<Value>(values: Value[]) {
  yield* values;
}

describe('a manifest', () => {
  const rows = [
    { path: 'drives/a/rear/f1.jpg', camera: 'rear, left', time: 1.5, width: 3, isNight: true },
    { path: 'drives/b/front/f2.jpg', camera: 'front', time: null, width: 4, isNight: false },
  ];
  const texts = ['a/rear/f1', 'b/front/f2'];

  it('as CSV: names stay, paths start at its folder, columns of ours are not overwritten', async () => {
    writeFileSync(
      at('list.csv'),
      '\ufefffile,camera,width\r\ndrives/a/rear/f1.jpg,"rear, left",3\r\ndrives/b/front/f2.jpg,front,4\r\n',
    );
    expect(await read([], { manifest: at('list.csv'), pathColumn: 'file' })).toEqual({
      count: undefined,
      columns: ['camera', 'manifest_width'],
      all: [
        { name: rows[0].path, text: texts[0], columns: { camera: 'rear, left', manifest_width: '3' } },
        { name: rows[1].path, text: texts[1], columns: { camera: 'front', manifest_width: '4' } },
      ],
    });
    const [unnamed] = (await read([at('drives/a/rear')], { manifest: at('list.csv'), pathColumn: 'file' })).all;
    expect(unnamed.columns).toEqual({ camera: null, manifest_width: null });
    await expect(read([], { manifest: at('list.csv') })).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MANIFEST_INVALID',
      message: expect.stringContaining('--path-column'),
    });
  });

  it('as JSON lines and as Parquet, with types', async () => {
    writeFileSync(at('list.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const columns = [
      { name: 'path', type: 'STRING' as const },
      { name: 'camera', type: 'STRING' as const },
      { name: 'time', type: 'DOUBLE' as const },
      { name: 'width', type: 'INT32' as const },
      { name: 'isNight', type: 'BOOLEAN' as const },
    ];
    await writeParquet(at('list.parquet'), columns, toAsync(rows.map((row) => Object.values(row))));
    for (const file of ['list.jsonl', 'list.parquet']) {
      const { all } = await read([], { manifest: at(file) });
      expect(all, file).toEqual(
        rows.map(({ path, width, ...rest }, i) => ({
          name: path,
          text: texts[i],
          columns: { ...rest, manifest_width: width },
        })),
      );
    }
  });

  it('as a text of paths, also of archives; what is missing is an item that cannot be read', async () => {
    writeFileSync(at('list.txt'), `drives/a/rear/f1.jpg\n\nshard-0.tar\n`);
    expect(await names([], { manifest: at('list.txt') })).toEqual([
      'drives/a/rear/f1.jpg',
      'shard-0.tar/000.jpg',
      'shard-0.tar/sub/001.png',
      'shard-0.tar/002.jpg',
      'shard-0.tar/003.webp',
    ]);
    writeFileSync(at('gone.txt'), `gone.jpg\n`);
    const [gone] = await collect(await openItems([], { ...options, manifest: at('gone.txt') }));
    expect(gone).toMatchObject({ name: 'gone.jpg', path: at('gone.jpg') });
    expect(makeVersion(gone)).toBe('absent');
  });

  it.each([
    ['bad.jsonl', 'nonsense\n{"path": "/a.jpg"}\n', 'line 1'],
    ['array.jsonl', '["a.jpg"]\n', 'line 1'],
    ['bad.csv', 'path,b\n"a.jpg,1\n', 'not CSV'],
    ['bad.parquet', 'PAR1 nothing', 'cannot be read as Parquet'],
  ])('%s is refused', async (file, text, message) => {
    writeFileSync(at(file), text);
    const all = openItems([], { ...options, manifest: at(file) }).then((items) => collect(items));
    await expect(all).rejects.toMatchObject({
      code: expect.stringMatching(/MANIFEST_INVALID|INPUT_UNREADABLE/),
      message: expect.stringContaining(message),
    });
  });
});

describe('shards', () => {
  it('are decided by the name alone, cover everything once, and are of similar size', async () => {
    const whole = await names([at('drives'), at('shard-0.tar')]);
    const parts = await Promise.all(
      [0, 1, 2].map((index) => names([at('drives'), at('shard-0.tar')], { shard: { index, count: 3 } })),
    );
    expect(parts.flat().sort()).toEqual([...whole].sort());
    const sizes = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) {
      sizes[[0, 1, 2, 3].findIndex((index) => isInShard(`s3://b/${i}.jpg`, { index, count: 4 }))]++;
    }
    // 1000 each within four standard deviations of the binomial: sqrt(4000 x 1/4 x 3/4) = 27.
    for (const size of sizes) expect(Math.abs(size - 1000)).toBeLessThan(110);
    // Pinned: another hash would tear apart the parts of a job that is under way.
    expect(isInShard('a.jpg', { index: 6, count: 8 })).toBe(true);
  });

  it.each(['8/8', '1', '-1/3', '1/0', 'a/b'])('refuses %s', (text) => {
    expect(() => parseShard(text)).toThrow(expect.objectContaining({ code: 'STOPLINE_ERR_OPTION_INVALID' }));
  });
});
