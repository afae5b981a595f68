import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import type { InputOptions, Item } from '../../../src/run/inputs/item.ts';
import { openItems } from '../../../src/run/inputs/items.ts';
import { createObjectStore } from '../../../src/run/objects.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

const folder = temporaryFolder();

async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

const at = (...names: string[]) => join(folder, ...names);
const options: InputOptions = { store: createObjectStore(), maxBytes: 1000 };

mkdirSync(at('images'));
for (const name of ['a.jpg', 'img1.jpg', 'real[1].jpg', 'ü.jpg', 'two\nlines.jpg', 'b\u2028c.jpg']) {
  writeFileSync(at('images', name), name);
}
const list = (name: string, text: string | Uint8Array) => {
  writeFileSync(at('images', name), text);
  return at('images', name);
};

/** What each row comes to: its name, and its text or the code and words of its error. */
async function read(manifest: string, more: Partial<InputOptions> = {}) {
  const items = await openItems([], { ...options, manifest, ...more });
  const rows: { name: string; found: string; columns?: Item['columns'] }[] = [];
  const describeError = ({ code, message }: { code: string; message: string }) =>
    `${code.replace('STOPLINE_ERR_', '')} ${message}`;
  for await (const item of items) {
    const { name, path, read, columns } = item;
    const found = read
      ? await read().then((bytes) => Buffer.from(bytes).toString(), describeError)
      : (path as string).replace(`${folder}/images/`, '');
    rows.push({ name, found, ...(columns && { columns }) });
  }
  return { rows, leftOut: items.leftOut.toJSON() };
}

const names = async (manifest: string, more?: Partial<InputOptions>) =>
  (await read(manifest, more)).rows.map(({ name }) => name);

describe('a row of a manifest', () => {
  it('is one image and never a pattern', async () => {
    const paths = ['img[1].jpg', 'missing[2].jpg', 'real[1].jpg', 'img?.jpg', 'gone*.jpg', '{a}.jpg'];
    const { rows } = await read(list('glob.csv', `path,label\n${paths.map((path) => `${path},x`).join('\n')}\n`));
    expect(rows.map(({ name, found }) => [name, found])).toEqual(paths.map((path) => [path, path]));
  });

  it('that no file can have is an item with its error', async () => {
    const long = 'x'.repeat(70_000);
    const { rows } = await read(
      list(
        'odd.jsonl',
        [{ path: 'a\0.jpg' }, { path: long }, { path: 'a.jpg' }].map((row) => JSON.stringify(row)).join('\n'),
      ),
    );
    expect(rows[0]).toEqual({
      name: 'a\0.jpg',
      found: 'INPUT_UNREADABLE Expected a path but "a\\x00.jpg" holds a NUL character.',
    });
    expect(rows[1].name).toBe(long);
    expect(rows[1].found).toMatch(
      /^INPUT_UNREADABLE Expected a path of at most 4096 bytes but "x{100}\[\.\.\.\]x{100}" has 70000\.$/,
    );
    expect(rows[2].found).toBe('a.jpg');
  });

  it('may be an address: files are read, others are named as what they are', async () => {
    const addresses: [string, string | RegExp][] = [
      [`${pathToFileURL(at('images/a.jpg'))}`, 'a.jpg'],
      ['file://elsewhere/a.jpg', /^INPUT_UNREADABLE Expected the address of a file of this machine/],
      ['https://example.org/a.jpg', /^INPUT_UNREADABLE .* is an address on the web; .*download/],
      ['http://example.org/a.jpg', /an address on the web/],
      ['gs://bucket/a.jpg', /an object of Google Cloud Storage; .*s3:/],
      ['abfss://c@a.dfs.core.windows.net/a.jpg', /an object of Azure/],
      ['s3a://bucket/a.jpg', /s3:\/\/bucket\/key/],
      ['hdfs://host/a.jpg', /a file of HDFS/],
      ['dbfs://x/a.jpg', /Databricks/],
      ['hf://datasets/x/a.jpg', /Hugging Face/],
      ['ftp://host/a.jpg', /an address of the kind ftp:/],
      [`data:image/jpeg;base64,${'A'.repeat(5000)}`, /^.{1,400}an image inside its own address.{1,100}$/],
    ];
    const { rows } = await read(list('urls.jsonl', addresses.map(([path]) => JSON.stringify({ path })).join('\n')));
    for (const [i, [, expected]] of addresses.entries()) expect(rows[i].found).toEqual(expect.stringMatching(expected));
  });

  it('of a list on the command line is an address, too', async () => {
    const [only] = await collect(await openItems([`${pathToFileURL(at('images/a.jpg'))}`], options));
    expect(only).toMatchObject({ path: at('images/a.jpg') });
    await expect(openItems(['https://example.org/a.jpg'], options)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_INPUT_UNREADABLE',
    });
  });
});

describe('a text of paths', () => {
  it('may end its lines in any way, and be what find -print0 writes', async () => {
    expect(await names(list('crlf.txt', 'a.jpg\r\nü.jpg\r\n'))).toEqual(['a.jpg', 'ü.jpg']);
    expect(await names(list('open.txt', 'a.jpg\nü.jpg'))).toEqual(['a.jpg', 'ü.jpg']);
    // Other separators of Unicode belong to the name.
    expect(await names(list('separator.txt', 'b\u2028c.jpg\n'))).toEqual(['b\u2028c.jpg']);
    const { rows } = await read(list('print0', './a.jpg\0./two\nlines.jpg\0'));
    expect(rows.map(({ found }) => found)).toEqual(['a.jpg', 'two\nlines.jpg']);
    // A NUL within a line is a mistake in that line alone.
    const mixed = await read(list('nul.txt', 'a.jpg\nb\0.jpg\nü.jpg\n'));
    expect(mixed.rows.map(({ found }) => found.slice(0, 16))).toEqual(['a.jpg', 'INPUT_UNREADABLE', 'ü.jpg']);
  });

  it('may be UTF-8 or UTF-16, with a mark or without', async () => {
    const text = 'a.jpg\nimg1.jpg\n';
    const little = Buffer.from(text, 'utf16le');
    const big = Buffer.from(little).swap16();
    for (const [name, bytes] of Object.entries({
      utf8: Buffer.from(`\ufeff${text}`),
      little: Buffer.from(`\ufeff${text}`, 'utf16le'),
      big: Buffer.from(`\ufeff${text}`, 'utf16le').swap16(),
      'little without a mark': little,
      'big without a mark': big,
    })) {
      expect(await names(list('unicode.txt', bytes)), name).toEqual(['a.jpg', 'img1.jpg']);
    }
    expect(await names(list('utf16.csv', Buffer.from('\ufeffpath,label\r\nü.jpg,ä\r\n', 'utf16le')))).toEqual([
      'ü.jpg',
    ]);
    expect(await names(list('utf16.jsonl', Buffer.from('\ufeff{"path":"ü.jpg"}\r\n', 'utf16le')))).toEqual(['ü.jpg']);
  });
});

describe('a list that is none', () => {
  it('is told as what it is: a folder, or letters of another encoding', async () => {
    await expect(read(at('images'))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_INPUT_UNREADABLE',
      message: expect.stringContaining('is a folder: give it without --manifest'),
    });
    const { rows } = await read(list('latin.txt', Buffer.from('\xfc.jpg\na.jpg\n', 'latin1')));
    expect(rows.map(({ found }) => found)).toEqual([
      expect.stringMatching(/^INPUT_UNREADABLE .*neither UTF-8 nor UTF-16\. Write the list as UTF-8/),
      'a.jpg',
    ]);
  });
});

describe('a CSV manifest', () => {
  it('with other separators says which, and is read with --delimiter', async () => {
    const semicolons = list('semicolon.csv', 'path;label\na.jpg;cat\n');
    await expect(read(semicolons)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MANIFEST_INVALID',
      message: expect.stringMatching(/its header is parted by ";"\. Say so with --delimiter ';'\.$/),
    });
    const expected = [{ name: 'a.jpg', found: 'a.jpg', columns: { label: 'cat' } }];
    expect((await read(semicolons, { delimiter: ';' })).rows).toEqual(expected);
    expect((await read(list('tabs.txt', 'path\tlabel\na.jpg\tcat\n'), { delimiter: 'tab' })).rows).toEqual(expected);
    expect((await read(list('tabs.tsv', 'path\tlabel\na.jpg\tcat\n'))).rows).toEqual(expected);
    await expect(read(semicolons, { delimiter: ';;' })).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
  });

  it('of which one row has other cells than columns, or no path, gives an error for it alone', async () => {
    const text = 'path,label\na.jpg,1\nimg1,b.jpg,2\nü.jpg\n,3\n"two\nlines.jpg",4\n';
    const { rows } = await read(list('cells.csv', text));
    expect(rows.map(({ name, found }) => [name, found.replace(/ in ".*"/, '')])).toEqual([
      ['a.jpg', 'a.jpg'],
      ['cells.csv/1', expect.stringMatching(/^MANIFEST_INVALID Expected as many cells as columns in line 3/)],
      ['cells.csv/2', expect.stringMatching(/^MANIFEST_INVALID Expected as many cells as columns in line 4/)],
      [
        'cells.csv/3',
        expect.stringMatching(/^MANIFEST_INVALID Expected a path in the column "path" of row 4.*none\.$/),
      ],
      ['two\nlines.jpg', 'two\nlines.jpg'],
    ]);
  });

  it('that names a column twice is refused', async () => {
    await expect(read(list('twice.csv', 'path,a,a\nx.jpg,1,2\n'))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MANIFEST_INVALID',
      message: expect.stringContaining('"a" comes twice'),
    });
  });
});

describe('JSON lines', () => {
  it('say which columns their first row lacks, and never copy bytes', async () => {
    const rows = [
      { path: 'a.jpg', label: 1 },
      { path: 'ü.jpg', label: 2, late: true },
    ];
    const { leftOut, rows: found } = await read(list('late.jsonl', rows.map((row) => JSON.stringify(row)).join('\n')));
    expect(leftOut).toEqual([{ reason: 'column that its first row lacks', count: 1, examples: ['late'] }]);
    expect(found.map(({ columns }) => columns)).toEqual([{ label: 1 }, { label: 2 }]);
  });

  it.each([
    ['{"path":7}', 'received 7.'],
    ['{"path":""}', 'received none.'],
    ['{"path":null}', 'received none.'],
    ['{"label":1}', 'received none.'],
    ['{"path":true}', 'received true.'],
    ['{"path":["a.jpg"]}', 'received ["a.jpg"].'],
    [JSON.stringify({ path: { big: 'y'.repeat(10_000) } }), `received {"big":"${'y'.repeat(92)}.`],
    ['{"path":{"bytes":"no base64!","path":"a.jpg"}}', 'Expected base64 as the bytes of row 2'],
    ['{"path":{"bytes":7,"path":null}}', 'received {"bytes":7,"path":null}.'],
    ['["a.jpg"]', 'Expected a JSON object in line 2'],
    ['{"path":"a.jp', 'Expected a JSON object in line 2'],
    ['"a.jpg"', 'Expected a JSON object in line 2'],
  ])('of which one names no image, %s, give an error for it alone', async (line, words) => {
    const { rows } = await read(list('wrong.jsonl', `{"path":"a.jpg","label":0}\n${line}\n{"path":"ü.jpg"}\n`));
    expect(rows.map(({ name }) => name)).toEqual([
      'a.jpg',
      line.includes('no base64') ? 'a.jpg' : 'wrong.jsonl/1',
      'ü.jpg',
    ]);
    expect(rows[1].found).toMatch(/^MANIFEST_INVALID .{1,400}$/);
    expect(rows[1].found).toContain(words);
    expect(rows[2].columns).toEqual({ label: null });
  });
});

/** The smallest LZ4 block: everything is literal. */
function lz4Literals(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 15) return Uint8Array.from([bytes.length << 4, ...bytes]);
  const rest = bytes.length - 15;
  return Uint8Array.from([0xf0, ...Array(Math.floor(rest / 255)).fill(255), rest % 255, ...bytes]);
}

describe('a manifest of one JSON document', () => {
  const write = (name: string, value: unknown) => list(name, JSON.stringify(value));

  it('is an array of objects', async () => {
    const { rows } = await read(
      write('rows.json', [
        { path: 'a.jpg', lane: 2 },
        { path: 'img1.jpg', lane: 3 },
      ]),
    );
    expect(rows).toMatchObject([
      { name: 'a.jpg', found: 'a.jpg', columns: { lane: 2 } },
      { name: 'img1.jpg', found: 'img1.jpg', columns: { lane: 3 } },
    ]);
  });

  it('is COCO: a row for each object, with its box, its class by name, and the score of a detector', async () => {
    const images = [
      { id: 1, file_name: 'a.jpg' },
      { id: 'b', file_name: 'img1.jpg' },
      { id: 3, file_name: 'none.jpg' },
    ];
    const annotations = [
      { image_id: 'b', category_id: 2, bbox: [1, 2, 3, 4], score: 0.5, segmentation: [[1, 2]], iscrowd: 0 },
      { image_id: 1, category_id: 9, bbox: [5, 6, 7, 8] },
    ];
    const { rows } = await read(
      write('coco.json', { info: {}, images, annotations, categories: [{ id: 2, name: 'car' }] }),
    );
    expect(rows).toMatchObject([
      { name: 'img1.jpg', found: 'img1.jpg', columns: { bbox: '[1,2,3,4]', class: 'car', manifest_score: 0.5 } },
      { name: 'a.jpg', found: 'a.jpg', columns: { bbox: '[5,6,7,8]', class: 9, manifest_score: null } },
    ]);
    expect(rows).toHaveLength(2);
  });

  it.each([
    ['half of one', '[{"path": "a.jpg"'],
    ['numbers', '[1, 2]'],
    ['answers without their images', '[{"image_id": 1, "bbox": [1, 2, 3, 4]}]'],
    ['objects of an image that is not there', '{"images": [], "annotations": [{"image_id": 7}]}'],
    ['two images of one id', '{"images": [{"id": 1}, {"id": 1}], "annotations": []}'],
    [
      'two images of ids that are read as one number',
      '{"images": [{"id": 12345678901234567890}, {"id": 12345678901234567891}], "annotations": []}',
    ],
    ['two classes of one id', '{"images": [], "annotations": [], "categories": [{"id": 1}, {"id": 1}]}'],
  ])('that is %s is refused with what was expected', async (_, text) => {
    await expect(read(list('wrong.json', text))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MANIFEST_INVALID',
      message: expect.stringMatching(/^Expected (an array|a column "path"|annotations of images|an id of its own)/),
    });
  });
});

describe('a manifest of hostile rows', () => {
  it('gives a row that nests too deep an error of its own', async () => {
    const deep = `{"path": "a.jpg", "x": ${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    const { rows } = await read(list('deep.jsonl', `{"path": "img1.jpg", "x": 1}\n${deep}`));
    expect(rows[0]).toMatchObject({ name: 'img1.jpg', found: 'img1.jpg' });
    expect(rows[1]).toMatchObject({ name: 'deep.jsonl/1', found: expect.stringContaining('MANIFEST_INVALID') });
  });

  it('lists a few of very many columns', async () => {
    const row = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`c${i}`, i]));
    await expect(read(list('wide.json', JSON.stringify([row])))).rejects.toThrow(/"c19" and 49980 more\. Name the one/);
  });
});

describe('a Parquet manifest', () => {
  it.each([
    ['GZIP', gzipSync],
    ['ZSTD', zstdCompressSync],
    ['BROTLI', brotliCompressSync],
    ['LZ4_RAW', lz4Literals],
  ] as const)('compressed with %s is read', async (codec, compress) => {
    const columnData = [
      { name: 'path', data: ['a.jpg', 'ü.jpg'] },
      { name: 'label', data: [1, 2] },
    ];
    const compressors = { [codec]: (bytes: Uint8Array) => new Uint8Array(compress(bytes)) };
    const file = list(`${codec}.parquet`, new Uint8Array(parquetWriteBuffer({ columnData, codec, compressors })));
    const rows = columnData[0].data.map((name, i) => ({ name, found: name, columns: { label: i + 1 } }));
    expect((await read(file)).rows).toEqual(rows);
  });

  it('has its columns in the order of the cells of its rows, whatever they are called', async () => {
    const names = ['b', '10', 'pValue', 'manifest_pValue', '2', 'a'];
    const columnData = [{ name: 'path', data: ['a.jpg'] }, ...names.map((name) => ({ name, data: [`the ${name}`] }))];
    const manifest = list('names.parquet', new Uint8Array(parquetWriteBuffer({ columnData })));
    const items = await openItems([], { ...options, manifest });
    for await (const { columns = {} } of items) {
      expect(items.columns).toEqual(Object.keys(columns));
      expect(Object.values(columns).toSorted()).toEqual(names.map((name) => `the ${name}`).toSorted());
    }
  });

  it('with images inside, as Hugging Face writes it, is read, and its bytes are copied nowhere', async () => {
    const image = (text: string) => new TextEncoder().encode(text);
    const file = list(
      'images.parquet',
      new Uint8Array(
        parquetWriteBuffer({
          columnData: [
            {
              name: 'image',
              data: [
                { bytes: image('\xff\xd8 first'), path: 'x.jpg' },
                { bytes: image('\xff\xd8 second'), path: null },
                { bytes: null, path: 'a.jpg' },
              ],
            },
            { name: 'mask', data: [image('mask'), image('mask'), image('mask')] },
            { name: 'label', data: [3, 4, 5] },
          ],
          schema: [
            { name: 'root', num_children: 3 },
            { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
            { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
            { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
            { name: 'mask', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
            { name: 'label', type: 'INT32', repetition_type: 'OPTIONAL' },
          ],
        }),
      ),
    );
    const { rows, leftOut } = await read(file);
    expect(rows).toEqual([
      { name: 'x.jpg', found: '\xff\xd8 first', columns: { label: 3 } },
      { name: 'images.parquet/1', found: '\xff\xd8 second', columns: { label: 4 } },
      { name: 'a.jpg', found: 'a.jpg', columns: { label: 5 } },
    ]);
    expect(leftOut).toEqual([{ reason: 'binary column of the manifest', count: 1, examples: ['mask'] }]);
    const large = await read(file, { maxBytes: 5 });
    expect(large.rows[0].found).toMatch(/^IMAGE_TOO_LARGE Expected at most 5 bytes but "x\.jpg" has \d+\.$/);
  });

  it('may hold the images of JSON lines as base64', async () => {
    const row = { image: { bytes: Buffer.from('in JSON').toString('base64'), path: 'y.jpg' }, label: 'cat' };
    expect((await read(list('images.jsonl', JSON.stringify(row)))).rows).toEqual([
      { name: 'y.jpg', found: 'in JSON', columns: { label: 'cat' } },
    ]);
  });
});
