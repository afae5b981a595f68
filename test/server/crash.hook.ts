/**
 * Loaded into the processes of a service by tests alone (`NODE_OPTIONS=--import`): makes a worker do on a marked image what
 * a fault in native code does. Nothing in `src` knows of it.
 */
const emit = process.emit;
process.emit = function (this: NodeJS.Process, name: string, ...rest: unknown[]): boolean {
  const bytes = (rest[0] as { task?: { image?: unknown } } | undefined)?.task?.image;
  if (name === 'message' && bytes instanceof Uint8Array) {
    const end = Buffer.from(bytes.subarray(-8)).toString('latin1');
    if (end === 'SEGFAULT') process.kill(process.pid, 'SIGSEGV');
    if (end === 'HANGHERE') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
  return Reflect.apply(emit, this, [name, ...rest]);
} as typeof process.emit;
