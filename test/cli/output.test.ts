import { chmodSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkWritable } from '../../src/cli/output.ts';
import { syncFolder } from '../../src/image/file.ts';
import { createObjectStore } from '../../src/run/objects.ts';
import { replaceFile } from '../../src/run/rows/output.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();

describe('checkWritable', () => {
  const unwritable = { code: 'STOPLINE_ERR_OUTPUT_UNWRITABLE' };

  it('takes a new file and one to replace', async () => {
    await checkWritable(join(folder, 'new.stopline'));
    writeFileSync(join(folder, 'old.stopline'), '');
    await checkWritable(join(folder, 'old.stopline'));
    expect(existsSync(join(folder, 'new.stopline'))).toBe(false);
  });

  it('refuses a folder, and a file in a folder that is not there', async () => {
    await expect(checkWritable(folder)).rejects.toMatchObject(unwritable);
    await expect(checkWritable(join(folder, 'absent', 'x'))).rejects.toMatchObject(unwritable);
  });

  it('says before the work on Windows what a read-only file would say after it', async () => {
    const file = join(folder, 'readonly.stopline');
    writeFileSync(file, '');
    chmodSync(file, 0o444);
    await expect(checkWritable(file, 'win32')).rejects.toMatchObject(unwritable);
    await checkWritable(file, 'linux');
  });
});

describe('replaceFile', () => {
  it('writes through no link that somebody else has laid where it writes first', async () => {
    const [other, target] = [join(folder, 'other.txt'), join(folder, 'rows.csv')];
    writeFileSync(other, 'theirs');
    symlinkSync(other, `${target}.partial`);
    await replaceFile(target, createObjectStore(), (path) => writeFile(path, 'ours'));
    expect([readFileSync(other, 'utf8'), readFileSync(target, 'utf8')]).toEqual(['theirs', 'ours']);
    expect(existsSync(`${target}.partial`)).toBe(false);
  });
});

describe('syncFolder', () => {
  const failing = (code: string, at: 'open' | 'sync'): typeof open =>
    (async (...args: Parameters<typeof open>) => {
      const error = Object.assign(new Error(code), { code });
      if (at === 'open') throw error;
      const file = await open(...args);
      return Object.assign(file, { sync: () => Promise.reject(error) });
    }) as typeof open;

  it('does it', async () => {
    await syncFolder(folder);
  });

  // What Windows says (EPERM, EISDIR), a folder that may be written but not read (EACCES), and network file systems (EINVAL).
  it.each(['EPERM', 'EISDIR', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF'])(
    'lets %s be, since the file is there',
    async (code) => {
      await syncFolder(folder, failing(code, 'open'));
      await syncFolder(folder, failing(code, 'sync'));
    },
  );

  it.each(['EIO', 'ENOSPC'])('does not hide %s', async (code) => {
    await expect(syncFolder(folder, failing(code, 'sync'))).rejects.toMatchObject({ code });
  });
});
