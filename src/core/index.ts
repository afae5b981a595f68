import { StoplineError } from '../errors.ts';
import type { Core, CoreInfo } from './core.ts';
import { loadNative } from './native.ts';
import { loadWasm } from './wasm.ts';

const loaders = { native: loadNative, wasm: loadWasm } as const;

/**
 * Loads the C core: the native build where there is one, else WebAssembly. Never silently: `info` says which, and why
 * not the native one.
 * @param prefer the build to try first
 * @throws `CORE_UNAVAILABLE` with the reasons of both when neither loads
 * @example
 * const core = loadCore();
 * core.info; // { build: 'native', simd: 'avx2' }
 */
export function loadCore(prefer: CoreInfo['build'] = 'native'): Core {
  const order = prefer === 'wasm' ? (['wasm', 'native'] as const) : (['native', 'wasm'] as const);
  const reasons: string[] = prefer === 'wasm' ? ['the WebAssembly core was asked for'] : [];
  for (const build of order) {
    try {
      const core = loaders[build]();
      return build === 'native' ? core : { ...core, info: { ...core.info, reason: reasons.join('; ') } };
    } catch (error) {
      const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
      reasons.push(`${build}: ${line}`);
    }
  }
  throw new StoplineError(
    'CORE_UNAVAILABLE',
    `Expected a native or a WebAssembly core but neither loads (${reasons.join('; ')}). The package is damaged: install it again; in a checkout: npm run build:wasm.`,
  );
}
