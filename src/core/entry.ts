import { fileURLToPath } from 'node:url';

/**
 * The path of a module that is started as a thread or process of its own: TypeScript in a clone, JavaScript in the package.
 * @param name the module relative to `base`, without its ending, such as `./worker`
 * @param base `import.meta.url` of the module that starts it
 */
export function resolveEntry(name: string, base: string): string {
  return fileURLToPath(new URL(`${name}.${isSource(base) ? 'ts' : 'js'}`, base));
}

/** Whether a module runs from its TypeScript source, as in a clone. */
export function isSource(base: string): boolean {
  return base.endsWith('.ts');
}
