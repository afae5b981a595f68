import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { beforeAll, describe, expect, it } from 'vitest';
import type { InputOptions } from '../../../src/run/inputs/item.ts';
import { openItems } from '../../../src/run/inputs/items.ts';
import { createObjectStore } from '../../../src/run/objects.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const options: InputOptions = { store: createObjectStore(), maxBytes: 10_000 };

async function writeTar(path: string, members: (Partial<Header> & { name: string; text?: string })[]) {
  const archive = pack();
  for (const { text = '', ...header } of members) archive.entry(header, text);
  archive.finalize();
  writeFileSync(path, await buffer(archive));
}

async function read(path: string) {
  const items = await openItems([path], options);
  const rows: string[] = [];
  for await (const { name, read } of items) {
    const text = await read?.().then(
      (bytes) => `${bytes.length}`,
      ({ code, message }) => `${code.replace('STOPLINE_ERR_', '')} ${message}`,
    );
    rows.push(`${name.replace(`${folder}/`, '')} ${text}`);
  }
  return { rows, leftOut: items.leftOut.toJSON() };
}

beforeAll(() =>
  writeTar(at('two.tar'), [
    { name: 'a.jpg', text: 'a'.repeat(1000) },
    { name: 'b.jpg', text: 'b'.repeat(2000) },
  ]),
);

describe('a tar archive that ends too early', () => {
  const whole = () => readFileSync(at('two.tar'));
  // A header, two blocks, a header, four blocks, the end mark.
  it.each([
    ['within a member', 512 + 1024 + 512 + 700, ['a.jpg 1000', 'b.jpg INPUT_UNREADABLE']],
    ['within a header', 512 + 1024 + 100, ['a.jpg 1000', ' INPUT_UNREADABLE']],
    ['behind a header', 512 + 1024 + 512, ['a.jpg 1000', 'b.jpg INPUT_UNREADABLE']],
    ['at its start', 100, [' INPUT_UNREADABLE']],
  ])('%s is one item with its error', async (_where, length, expected) => {
    for (const [name, bytes] of [
      ['cut.tar', whole().subarray(0, length)],
      ['cut.tar.gz', gzipSync(whole().subarray(0, length))],
    ] as const) {
      writeFileSync(at(name), bytes);
      const { rows } = await read(at(name));
      expect(
        rows.map((row) =>
          row
            .replace(new RegExp(`^${name}/?`), '')
            .split(' ')
            .slice(0, 2)
            .join(' '),
        ),
      ).toEqual(expected);
      for (const row of rows) expect(row).not.toContain('INTERNAL');
    }
  });

  it('in its packing is one item with its error', async () => {
    const packed = gzipSync(whole(), { level: 0 });
    writeFileSync(at('cut.tgz'), packed.subarray(0, 512 + 1024 + 512 + 900));
    const { rows } = await read(at('cut.tgz'));
    expect(rows).toEqual([
      'cut.tgz/a.jpg 1000',
      expect.stringMatching(/^cut\.tgz\/b\.jpg INPUT_UNREADABLE .* ends after \d+ of its 2000 bytes\.$/),
    ]);
  });

  it('has the same items where they are not read, as in a run that goes on', async () => {
    for (const length of [512 + 1024 + 512 + 700, 512 + 1024 + 100, 512 + 1024 + 512]) {
      writeFileSync(at('again.tar'), whole().subarray(0, length));
      const unread: string[] = [];
      for await (const { name } of await openItems([at('again.tar')], options)) unread.push(name);
      const read: string[] = [];
      for await (const item of await openItems([at('again.tar')], options)) {
        await item.read?.().catch(() => undefined);
        read.push(item.name);
      }
      expect(unread).toEqual(read);
    }
  });

  it('between two members is said, since nothing else tells that some are missing', async () => {
    writeFileSync(at('border.tar'), whole().subarray(0, 512 + 1024));
    expect(await read(at('border.tar'))).toEqual({
      rows: ['border.tar/a.jpg 1000'],
      leftOut: [{ reason: expect.stringContaining('without its end mark'), count: 1, examples: [at('border.tar')] }],
    });
    expect((await read(at('two.tar'))).leftOut).toEqual([]);
  });
});

describe('a tar archive', () => {
  it('is treated as the folder it holds: hidden and other members are counted, links are items with their error', async () => {
    await writeTar(at('rest.tar'), [
      { name: 'images', type: 'directory' },
      { name: 'images/a.jpg', text: 'a' },
      { name: 'images/._a.jpg', text: 'resource fork' },
      { name: '.cache/b.jpg', text: 'b' },
      { name: 'a.json', text: '{}' },
      { name: 'link.jpg', type: 'symlink', linkname: '/etc/passwd' },
      { name: 'hard.jpg', type: 'link', linkname: 'images/a.jpg' },
      { name: 'pipe.jpg', type: 'fifo' },
      { name: '../../escape.jpg', text: 'e' },
    ]);
    const { rows, leftOut } = await read(at('rest.tar'));
    expect(rows).toEqual([
      'rest.tar/images/a.jpg 1',
      expect.stringMatching(/^rest\.tar\/link\.jpg INPUT_UNREADABLE .* it is a symbolic link in an archive\.$/),
      expect.stringMatching(/^rest\.tar\/hard\.jpg INPUT_UNREADABLE .* a hard link/),
      expect.stringMatching(/^rest\.tar\/pipe\.jpg INPUT_UNREADABLE .* a pipe/),
      'rest.tar/../../escape.jpg 1',
    ]);
    expect(leftOut).toEqual([
      { reason: 'hidden', count: 2, examples: [`${at('rest.tar')}/images/._a.jpg`, `${at('rest.tar')}/.cache/b.jpg`] },
      { reason: 'no image by its name: .json', count: 1, examples: [`${at('rest.tar')}/a.json`] },
    ]);
  });
});
