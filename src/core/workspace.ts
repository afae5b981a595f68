import type { Exports } from './instantiate.ts';
import { openWasm } from './wasm.ts';

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
const pageBytes = 65536;

/**
 * The memory in which the dear loops of simulated causes run (src/core/simulate.c, causes.c and jpeg.c), one after the other on what
 * the one before left there. Always WebAssembly, also where the native core is: a cause gives the same pixels on every machine.
 * Laid out anew by `clear`, and it grows to what the largest cause needed. Places are addresses in it.
 */
export class Workspace {
  readonly kernels: Exports = openWasm();
  #end = 0;

  /** Everything in it is forgotten. */
  clear(): this {
    this.#end = align(this.kernels.__heap_base.value as number);
    return this;
  }

  /** Room for so many bytes; what stands in it is left from before. */
  reserve(bytes: number): number {
    const { memory } = this.kernels;
    const at = this.#end;
    this.#end = align(at + bytes);
    // Vectors may read a little beyond.
    const missing = this.#end + 64 - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
    return at;
  }

  /** What `use` makes room for is free again afterwards. */
  scratch(use: () => void): void {
    const end = this.#end;
    use();
    this.#end = end;
  }

  /** Room for floats, which are 0. */
  zeros(count: number): number {
    const at = this.reserve(count * 4);
    this.floats(at, count).fill(0);
    return at;
  }

  write(values: Uint8Array | Float32Array | Int32Array | Uint32Array | Float64Array): number {
    const at = this.reserve(values.byteLength);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    new Uint8Array(this.kernels.memory.buffer).set(bytes, at);
    return at;
  }

  /** Bytes as floats. */
  writeFloats(bytes: Uint8Array): number {
    const from = this.write(bytes);
    const at = this.reserve(bytes.length * 4);
    this.kernels.stopline_floats(from, bytes.length, at);
    return at;
  }

  /** A view, until room is made for anything else. */
  floats(at: number, count: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, at, count);
  }

  /** The same. */
  words(at: number, count: number): Uint32Array {
    return new Uint32Array(this.kernels.memory.buffer, at, count);
  }

  readFloats(at: number, count: number): Float32Array {
    return this.floats(at, count).slice();
  }

  readBytes(at: number, count: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.kernels.memory.buffer, at, count).slice();
  }

  /** Floats as bytes, rounded and clipped. */
  readRounded(at: number, count: number): Uint8Array<ArrayBuffer> {
    const bytes = this.reserve(count);
    this.kernels.stopline_bytes(at, count, bytes);
    return this.readBytes(bytes, count);
  }
}

// Opened by the first cause that needs it, once a thread.
let workspace: Workspace | undefined;

/**
 * The workspace of this thread, cleared: nothing may be kept in it over an `await`.
 * @throws {StoplineError} CORE_UNAVAILABLE
 */
export function openWorkspace(): Workspace {
  workspace ??= new Workspace();
  return workspace.clear();
}
