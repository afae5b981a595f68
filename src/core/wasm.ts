import { readFileSync } from 'node:fs';
import type { Core } from './core.ts';
import { createWasmCore, type Exports, instantiate } from './instantiate.ts';

/** Compiled once a thread. */
let compiled: WebAssembly.Module | undefined;

/**
 * A new instance of the WebAssembly SIMD build, which lies beside this file, with a memory of its own.
 * @throws when the file is missing or the runtime has no WASM SIMD; `CORE_UNAVAILABLE` when the build is stale
 */
export function openWasm(): Exports {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./stopline.wasm', import.meta.url)));
  return instantiate(compiled);
}

/**
 * Loads the WebAssembly build.
 * @throws as `openWasm`
 */
export function loadWasm(): Core {
  return createWasmCore(openWasm());
}
