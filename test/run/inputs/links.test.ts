import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseFile, type InputOptions } from '../../../src/run/inputs/item.ts';
import { openItems } from '../../../src/run/inputs/items.ts';
import { createObjectStore } from '../../../src/run/objects.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

const folder = temporaryFolder();

async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

const options: InputOptions = { store: createObjectStore(), maxBytes: 1000 };
const make = (root: string, files: string[], links: [at: string, to: string][]) => {
  for (const file of files) {
    mkdirSync(join(folder, root, file, '..'), { recursive: true });
    writeFileSync(join(folder, root, file), file);
  }
  for (const [at, to] of links) {
    mkdirSync(join(folder, root, at, '..'), { recursive: true });
    symlinkSync(to, join(folder, root, at));
  }
  return join(folder, root);
};

/** Names under the root with what is read there, or why it is not. */
async function list(paths: string[], root: string, more: Partial<InputOptions> = {}) {
  const found: string[] = [];
  for await (const item of await openItems(paths, { ...options, ...more })) {
    const file = chooseFile(item)?.replace(`${folder}/`, '');
    const what = item.read ? await item.read().catch(({ code, message }) => `${code} ${message}`) : file;
    found.push(`${item.name.replace(`${root}/`, '')} ${what}`);
  }
  return found;
}

describe('symbolic links in a folder', () => {
  it('to images and folders inside are followed; a loop is an item with its error', async () => {
    const root = make(
      'inside',
      ['a/x.jpg', 'a/y.jpg'],
      [
        ['b/link.jpg', '../a/x.jpg'],
        ['c', 'a'],
        ['a/loop', '..'],
        ['self.jpg', 'self.jpg'],
      ],
    );
    expect(await list([root], root)).toEqual([
      expect.stringMatching(/^self\.jpg STOPLINE_ERR_INPUT_UNREADABLE .* leads in a circle/),
      expect.stringMatching(/^a\/loop STOPLINE_ERR_INPUT_UNREADABLE .* a folder that holds it/),
      'a/x.jpg inside/a/x.jpg',
      'a/y.jpg inside/a/y.jpg',
      'b/link.jpg inside/a/x.jpg',
      expect.stringMatching(/^c\/loop STOPLINE_ERR_INPUT_UNREADABLE/),
      'c/x.jpg inside/c/x.jpg',
      'c/y.jpg inside/c/y.jpg',
    ]);
  });

  it('that lead outside, or nowhere, are items with their error, whatever leads there', async () => {
    make('elsewhere', ['secret.jpg'], []);
    const root = make(
      'escapes',
      ['x.jpg'],
      [
        ['out.jpg', '../elsewhere/secret.jpg'],
        ['folder', '../elsewhere'],
        ['gone.jpg', '../nowhere.jpg'],
        ['etc', '/etc'],
        ['note.txt', '../nowhere.txt'],
      ],
    );
    expect(await list([root], root)).toEqual([
      expect.stringMatching(/^etc STOPLINE_ERR_INPUT_UNREADABLE .* leads outside, to "\/etc"; name/),
      expect.stringMatching(/^folder STOPLINE_ERR_INPUT_UNREADABLE .* leads outside/),
      expect.stringMatching(/^gone\.jpg STOPLINE_ERR_INPUT_NOT_FOUND .* fetch it first/),
      expect.stringMatching(/^out\.jpg STOPLINE_ERR_INPUT_UNREADABLE .* leads outside/),
      'x.jpg escapes/x.jpg',
    ]);
    // Naming both folders lets links lead from one to the other.
    const both = await list([root, join(folder, 'elsewhere')], root);
    expect(both).toContain('out.jpg elsewhere/secret.jpg');
  });

  it('as git-annex, DVC and the caches of Hugging Face lay them are followed', async () => {
    make(
      'annex',
      ['.git/annex/objects/aa/bb/content.jpg'],
      [['data/a.jpg', '../.git/annex/objects/aa/bb/content.jpg']],
    );
    make('dvc', ['.dvc/cache/files/md5/ab/cd'], [['data/a.jpg', '../.dvc/cache/files/md5/ab/cd']]);
    make('hub/datasets--x', ['blobs/0123'], [['snapshots/rev/train/a.jpg', '../../../blobs/0123']]);
    for (const [root, content] of [
      ['annex/data', 'annex/.git/annex/objects/aa/bb/content.jpg'],
      ['dvc/data', 'dvc/.dvc/cache/files/md5/ab/cd'],
      ['hub/datasets--x/snapshots/rev/train', 'hub/datasets--x/blobs/0123'],
    ]) {
      expect(await list([join(folder, root)], join(folder, root))).toEqual([`a.jpg ${content}`]);
    }
  });

  it('that branch and branch again come to an end', async () => {
    const links = Array.from({ length: 12 }, (_, i) => [
      [`d${i}/a`, `../d${i + 1}`] as [string, string],
      [`d${i}/b`, `../d${i + 1}`] as [string, string],
    ]).flat();
    const root = make('bomb', ['d12/x.jpg'], links);
    const found = await list([root], root);
    expect(found.length).toBeLessThan(13 * 16 * 3);
    expect(found.some((row) => row.includes('more than 16 symbolic links'))).toBe(true);
  });

  it('are not followed with --no-follow: each is an item with its error', async () => {
    const root = make(
      'careful',
      ['a/x.jpg', 'shard.tar'],
      [
        ['link.jpg', 'a/x.jpg'],
        ['b', 'a'],
        ['link.tar', 'shard.tar'],
      ],
    );
    const found = await list([root], root, { follow: false });
    expect(found).toEqual([
      expect.stringMatching(/^b STOPLINE_ERR_INPUT_UNREADABLE .*--no-follow/),
      expect.stringMatching(/^link\.jpg STOPLINE_ERR_INPUT_UNREADABLE .*--no-follow/),
      'a/x.jpg careful/a/x.jpg',
    ]);
    expect(await list([join(root, '*.tar')], root, { follow: false })).toContainEqual(
      expect.stringMatching(/^link\.tar STOPLINE_ERR_INPUT_UNREADABLE .*--no-follow/),
    );
  });

  it('named outright, or in a manifest, mean what they lead to', async () => {
    const root = make('named', ['x.jpg'], [['link.jpg', 'x.jpg']]);
    writeFileSync(join(root, 'list.txt'), 'link.jpg\n');
    expect(await list([join(root, 'link.jpg')], root)).toEqual(['link.jpg named/x.jpg']);
    expect(await list([], root, { manifest: join(root, 'list.txt') })).toEqual(['link.jpg named/x.jpg']);
  });
});

describe('what is left out of a folder', () => {
  it('is counted by reason, with the first names', async () => {
    const files = [
      'a.jpg',
      '1.txt',
      '2.txt',
      '3.txt',
      '4.TXT',
      '.hidden.jpg',
      '.git/x.jpg',
      'shard.tar',
      'clip.mp4',
      'README',
    ];
    const root = make('rest', files, []);
    const items = await openItems([root], options);
    expect(await items.count()).toBe(1);
    expect(items.leftOut.count).toBe(0);
    await collect(items);
    const names = (...all: string[]) => all.map((name) => join(root, name));
    expect(items.leftOut.toJSON()).toEqual([
      { reason: 'no image by its name: .txt', count: 4, examples: names('1.txt', '2.txt', '3.txt') },
      { reason: 'hidden', count: 2, examples: names('.git', '.hidden.jpg') },
      expect.objectContaining({ reason: expect.stringContaining('video'), examples: names('clip.mp4') }),
      expect.objectContaining({ reason: expect.stringContaining('no ending'), examples: names('README') }),
      expect.objectContaining({ reason: expect.stringContaining('archive'), examples: names('shard.tar') }),
    ]);
    // Going through it again does not count twice.
    await collect(items);
    expect(items.leftOut.count).toBe(9);
  });

  it('no pipe is waited for, whatever it is called', async () => {
    const root = make('pipes', ['x.jpg'], []);
    for (const name of ['p.tar', 'p.mp4', 'p.mjpeg']) execFileSync('mkfifo', [join(root, name)]);
    const found = await list([join(root, '*')], root);
    expect(found.filter((row) => row.includes('INPUT_UNREADABLE'))).toHaveLength(3);
  });
});
