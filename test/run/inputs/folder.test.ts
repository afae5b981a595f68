import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readImage } from '../../../src/image/file.ts';
import { countImages, describeOther, listImages } from '../../../src/run/inputs/folder.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'stopline-folder-'));
  for (const folder of ['b', 'a/deep', '.hidden', 'empty']) await mkdir(join(root, folder), { recursive: true });
  for (const name of ['f10.jpg', 'f9.JPG', 'note.txt', 'b/x.png', 'a/deep/y.webp', 'a/z.gif', '.hidden/no.jpg']) {
    await writeFile(join(root, name), name);
  }
  await symlink(root, join(root, 'a', 'loop'));
  await symlink(join(root, 'f9.JPG'), join(root, 'b', 'link.jpg'));
});
afterAll(() => rm(root, { recursive: true }));

async function list(...paths: string[]) {
  const all: string[] = [];
  for await (const { path } of listImages(paths)) all.push(path.slice(root.length + 1));
  return all;
}

test('lists images in natural order, folder by folder, without hidden entries or other files', async () => {
  const all = ['f9.JPG', 'f10.jpg', 'a/loop', 'a/z.gif', 'a/deep/y.webp', 'b/link.jpg', 'b/x.png'];
  expect(await list(root)).toEqual(all);
});

test('endings that are no words are not told, whatever they hold', () => {
  const named = ['a.txt', 'a.\u001b[2J', 'a.\u009b31m', `a.${'x'.repeat(200)}`, 'a.b c', 'a'].map(describeOther);
  expect(named.map((reason) => reason.replace('no image by its name: ', ''))).toEqual([
    '.txt',
    ...new Array(4).fill('another ending'),
    'no ending',
  ]);
});

test('a file named outright is listed whatever its ending', async () => {
  expect(await list(join(root, 'note.txt'))).toEqual(['note.txt']);
});

test('positions in the folder are given, so that neighbours can be kept together', async () => {
  const all = [];
  for await (const image of listImages([root])) all.push([image.index, image.count]);
  expect(all.slice(0, 2)).toEqual([
    [0, 2],
    [1, 2],
  ]);
});

test('a missing path and an empty folder are coded errors', async () => {
  await expect(list(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' });
  await expect(list(join(root, 'note.txt', 'x'))).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' });
  await expect(countImages([join(root, 'empty')])).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_NO_IMAGES' });
  expect(await countImages([root])).toBe(7);
});

test('reads regular files only, of bounded size, never through a link or a pipe', async () => {
  expect(new TextDecoder().decode(readImage(join(root, 'f10.jpg'), 100))).toBe('f10.jpg');
  expect(() => readImage(join(root, 'f10.jpg'), 3)).toThrow(
    expect.objectContaining({ code: 'STOPLINE_ERR_IMAGE_TOO_LARGE' }),
  );
  expect(() => readImage(join(root, 'b', 'link.jpg'), 100)).toThrow(
    expect.objectContaining({
      code: 'STOPLINE_ERR_INPUT_UNREADABLE',
      message: expect.stringContaining('symbolic link'),
    }),
  );
  expect(() => readImage(root, 100)).toThrow(expect.objectContaining({ code: 'STOPLINE_ERR_INPUT_UNREADABLE' }));
  expect(() => readImage(join(root, 'gone.jpg'), 100)).toThrow(
    expect.objectContaining({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' }),
  );
  execFileSync('mkfifo', [join(root, 'pipe.jpg')]);
  expect(() => readImage(join(root, 'pipe.jpg'), 100)).toThrow(
    expect.objectContaining({ code: 'STOPLINE_ERR_INPUT_UNREADABLE' }),
  );
  await rm(join(root, 'pipe.jpg'));
});
