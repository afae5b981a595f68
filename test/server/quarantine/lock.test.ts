import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { folderStore as openFolder } from '../../../src/server/quarantine/folder.ts';
import { FolderLock } from '../../../src/server/quarantine/lock.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stopline-lock-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('a second service waits for the folder, and is refused where the first stays', async () => {
  const first = openFolder(folder, { isLocked: true });
  await first.open();
  await expect(openFolder(folder, { isLocked: true, lockWaitMs: 300 }).open()).rejects.toMatchObject({
    code: 'STOPLINE_ERR_OUTPUT_UNWRITABLE',
    message: expect.stringContaining('another one has it'),
  });
  const waiting = openFolder(folder, { isLocked: true, lockWaitMs: 10_000 });
  const opened = waiting.open();
  await first.close?.();
  await opened;
  // The lock is no item, and stays out of the way of whoever lists the folder.
  expect(await waiting.list(new Map())).toEqual([]);
  await waiting.close?.();
});

it('a service that is killed lets go of the folder at once', async () => {
  const module = new URL('../../../src/server/quarantine/lock.ts', import.meta.url);
  const program = `import { FolderLock } from ${JSON.stringify(module.href)};
    globalThis.lock = await FolderLock.take(${JSON.stringify(folder)}, 0);
    console.log('taken');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await expect(FolderLock.take(folder, 0)).rejects.toMatchObject({ code: 'STOPLINE_ERR_OUTPUT_UNWRITABLE' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  (await FolderLock.take(folder, 0)).release();
});
