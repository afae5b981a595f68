import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { pickEnvironment } from './environment.ts';
import { findPrebuilt } from './prebuilt.ts';

const built = findPrebuilt('confine.node');

/** The library that takes rights away (`confine.c`), where it was built; a loader takes no path with a space or a colon. */
function findLibrary(): string | undefined {
  return process.platform === 'linux' && !/[\s:'"$`\\]/.test(built) && existsSync(built) ? built : undefined;
}

/** The environment of a program that works on foreign bytes and is to have as few rights as there are means for. */
export function confinedEnvironment(): NodeJS.ProcessEnv {
  const environment = pickEnvironment();
  const library = findLibrary();
  if (library === undefined) return environment;
  const { LD_PRELOAD } = environment;
  return { ...environment, LD_PRELOAD: LD_PRELOAD ? `${library}:${LD_PRELOAD}` : library };
}

/**
 * The command that runs Node with limits, as Linux and POSIX shells set them: where there is no shell it is Node alone.
 * @param args of Node
 * @param options.maxBytes most data of the process. It is a limit on data, not on addresses, of which V8 and WebAssembly reserve
 * many gigabytes without using them, and cannot be raised above one that is already there
 * @param options.cpu the one processor that it is to keep to
 * @param options.isConfined whether rights are taken from it too: a process that computes on a graphics card opens devices
 */
export function limitNode(
  args: readonly string[],
  { maxBytes, isConfined = true, cpu }: { maxBytes: number; isConfined?: boolean; cpu?: number | undefined },
): [command: string, args: string[]] {
  if (process.platform === 'win32') return [process.execPath, [...args]];
  const script = [
    `ulimit -d ${Math.ceil(maxBytes / 1024)} 2>/dev/null`,
    // glibc keeps an arena of freed memory for each thread, which grows with the images.
    `export MALLOC_ARENA_MAX="\${MALLOC_ARENA_MAX:-2}"`,
    // libvips puts large images into a file, which these processes may not write. Their limit on data counts the memory.
    'export VIPS_DISC_THRESHOLD=100g',
    // Of util-linux; without it the process is moved about.
    ...(cpu === undefined ? [] : [`taskset -cp ${cpu} $$ >/dev/null 2>&1`]),
    ...(isConfined ? [confine()] : []),
    'exec "$0" "$@"',
  ];
  return ['/bin/sh', ['-c', script.join('; '), process.execPath, ...args]];
}

function confine(): string {
  const library = findLibrary();
  // Not in the environment of the shell, which has to start Node.
  if (library !== undefined) return `export LD_PRELOAD="${library}\${LD_PRELOAD:+:$LD_PRELOAD}"`;
  return 'if command -v setpriv >/dev/null 2>&1; then export STOPLINE_CONFINED=no-new-privileges; exec setpriv --no-new-privs "$0" "$@"; fi';
}

/** What was taken from this process, such as `no-new-privileges`, `capabilities`, `landlock`, `seccomp`. */
export function readConfinement(): string[] {
  return (process.env.STOPLINE_CONFINED ?? '').split(',').filter(Boolean);
}

/** What is taken here from a process that works on images, found out by starting one. */
export function examineConfinement(): string[] {
  const [command, args] = limitNode(['-p', 'process.env.STOPLINE_CONFINED ?? ""'], { maxBytes: 1024 ** 3 });
  const { stdout } = spawnSync(command, args, { env: pickEnvironment(), encoding: 'utf8' });
  return (stdout ?? '').trim().split(',').filter(Boolean);
}
