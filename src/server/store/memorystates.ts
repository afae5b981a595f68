import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { release } from '../../image/frame.ts';

/**
 * States of monitors where there is no file for them, packed: those of sources that sent little are nearly empty, and there may be
 * many. The ones that were written last stay, up to so many bytes. Not in SQLite, which frees whole pages only: states that went left
 * their pages behind, held by the few bytes of other columns.
 */
export class MemoryStates {
  readonly #limit: number;
  /** By source; what was written longest ago comes first. */
  readonly #packed = new Map<string, Uint8Array>();
  #bytes = 0;

  /** @param limit bytes of all packed states together */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(source: string, state: Uint8Array): void {
    this.remove(source);
    // In one piece that belongs to nobody else, so that what it has too much is given back at once.
    const piece = deflateRawSync(state, { level: 1, chunkSize: Math.max(state.length + 1024, Buffer.poolSize) });
    const packed = new Uint8Array(piece);
    release(new Uint8Array(piece.buffer));
    this.#packed.set(source, packed);
    this.#bytes += packed.length;
    for (const oldest of this.#packed.keys()) {
      if (this.#bytes <= this.#limit) break;
      this.remove(oldest);
    }
  }

  /** Undefined where it is not known, or had to go. */
  get(source: string): Uint8Array | undefined {
    const packed = this.#packed.get(source);
    return packed && new Uint8Array(inflateRawSync(packed));
  }

  remove(source: string): void {
    const packed = this.#packed.get(source);
    if (!packed) return;
    this.#bytes -= packed.length;
    this.#packed.delete(source);
    // A thread that makes little else is hardly ever collected: what was replaced would pile up for tens of megabytes.
    release(packed);
  }
}
