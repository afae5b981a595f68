/**
 * What a process that works on foreign bytes is given of the environment: how to run, and nothing to keep from others. Settings of
 * the service, keys and passwords stand in the rest of it.
 */
const harmless =
  /^(PATH|HOME|TMPDIR|TEMP|TMP|TZ|LANG|LC_\w+|LD_PRELOAD|LD_LIBRARY_PATH|DYLD_\w+|SYSTEMROOT|WINDIR|COMSPEC|PATHEXT|NODE_OPTIONS|NODE_V8_COVERAGE|NODE_ENV|NODE_COMPILE_CACHE|NODE_DISABLE_COMPILE_CACHE|UV_THREADPOOL_SIZE|MALLOC_\w+|VIPS_\w+|OMP_\w+|ORT_\w+|CUDA_\w+|NVIDIA_\w+)$/i;

/** An address with a user and a password is none of these, whatever its name. */
const secret = /:\/\/[^/\s]*@/;

export function pickEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name, value]) => harmless.test(name) && !secret.test(value ?? ''));
  return Object.fromEntries(kept);
}
