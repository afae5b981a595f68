import { fileURLToPath } from 'node:url';

/**
 * The path of a file of the native core for this platform and processor; it need not exist. One file serves glibc and musl.
 * @param name `stopline.node` or `confine.node`
 */
export function findPrebuilt(name: string): string {
  // The path is the same from src/core and from dist/core.
  return fileURLToPath(new URL(`../../prebuilds/${process.platform}-${process.arch}/${name}`, import.meta.url));
}
