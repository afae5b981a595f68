/** Loaded by `windows.ts`: the file system refuses what that of Windows refuses. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

type AnyFunction = (...args: never[]) => unknown;
const refusal = (call: string) =>
  Object.assign(new Error(`EPERM: operation not permitted, ${call}`), { code: 'EPERM', syscall: call });

/** What is open to be read alone is not flushed, and no folder is. */
function isFlushed(fd: number): boolean {
  if (fs.fstatSync(fd).isDirectory()) return false;
  const flags = /^flags:\s+(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return (Number.parseInt(flags, 8) & 3) !== fs.constants.O_RDONLY;
}

for (const name of ['fsyncSync', 'fdatasyncSync'] as const) {
  const real = fs[name];
  fs[name] = (fd) => {
    if (!isFlushed(fd)) throw refusal(name.slice(0, -4));
    real(fd);
  };
}
for (const name of ['fsync', 'fdatasync'] as const) {
  const real: AnyFunction = fs[name];
  (fs as unknown as Record<string, AnyFunction>)[name] = (fd: number, done: (error?: Error) => void) =>
    isFlushed(fd) ? real(fd as never, done as never) : process.nextTick(done, refusal(name));
}
const handle = await fs.promises.open(process.execPath, 'r');
const prototype = Object.getPrototypeOf(handle) as fs.promises.FileHandle;
await handle.close();
for (const name of ['sync', 'datasync'] as const) {
  const real = prototype[name];
  prototype[name] = async function (this: fs.promises.FileHandle) {
    if (!isFlushed(this.fd)) throw refusal('fsync');
    await real.call(this);
  };
}
/** A file that may only be read is neither replaced nor deleted. */
const isReadOnly = (path: fs.PathLike) => {
  const found = fs.statSync(path, { throwIfNoEntry: false });
  return found?.isFile() === true && (found.mode & 0o200) === 0;
};
for (const name of ['renameSync', 'unlinkSync', 'rmSync'] as const) {
  const real: AnyFunction = fs[name];
  (fs as unknown as Record<string, AnyFunction>)[name] = (...args: never[]) => {
    if (isReadOnly(args[args.length > 1 && name === 'renameSync' ? 1 : 0])) throw refusal(name.slice(0, -4));
    return real(...args);
  };
}
for (const name of ['rename', 'unlink', 'rm'] as const) {
  const real: AnyFunction = fs.promises[name];
  (fs.promises as unknown as Record<string, AnyFunction>)[name] = async (...args: never[]) => {
    if (isReadOnly(args[args.length > 1 && name === 'rename' ? 1 : 0])) throw refusal(name);
    return real(...args);
  };
}
syncBuiltinESMExports();
