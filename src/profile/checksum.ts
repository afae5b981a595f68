import { createSha256 } from '../image/sha256.ts';
import type { Tensor } from './safetensors.ts';

/** Version of the file layout and of the meaning of every number in it. */
export const profileVersion = 3;

/** The checksum of a Profile: over its version, the JSON of its description and all tensors. */
export function checksum(description: string, tensors: Record<string, Tensor>): string {
  const hash = createSha256().update(`stopline-profile ${profileVersion}\n`).update(description);
  for (const name of Object.keys(tensors).sort()) {
    const { shape, data } = tensors[name];
    hash.update(`\n${name} ${shape.join('x')}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.hex();
}
