/** Where the runtime has a fast one of its own: Node, and Deno and Bun, which offer Node's. A browser has none that answers at once. */
interface BuiltIn {
  createHash(name: 'sha256'): { update(data: Uint8Array | string): unknown; digest(encoding: 'hex'): string };
}

const builtIn = (
  globalThis as { process?: { getBuiltinModule?: (name: string) => BuiltIn | undefined } }
).process?.getBuiltinModule?.('node:crypto');

/** SHA-256 of what is added part after part. */
export interface Sha256 {
  /** A text counts as its UTF-8. */
  update(data: Uint8Array | string): Sha256;
  /** 64 hexadecimal digits. */
  hex(): string;
}

/** The hash of one piece of data. */
export function sha256(data: Uint8Array | string): string {
  return createSha256().update(data).hex();
}

/** @param portable whether the code below is taken where there is a faster one, too */
export function createSha256({ portable = false }: { portable?: boolean } = {}): Sha256 {
  if (portable || !builtIn) return new PortableSha256();
  const hash = builtIn.createHash('sha256');
  const wrapper: Sha256 = {
    update(data) {
      hash.update(data);
      return wrapper;
    },
    hex: () => hash.digest('hex'),
  };
  return wrapper;
}

const blockBytes = 64;

/** The first 32 bits of the fractional parts of a root of each of the first primes: the constants of the standard. */
function rootsOfPrimes(count: number, root: (prime: number) => number): Uint32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return Uint32Array.from(primes, (prime) => (root(prime) % 1) * 2 ** 32);
}

const constants = rootsOfPrimes(64, Math.cbrt);
const initial = rootsOfPrimes(8, Math.sqrt);

const rotate = (word: number, by: number) => (word >>> by) | (word << (32 - by));

/** FIPS 180-4, section 6.2. */
class PortableSha256 implements Sha256 {
  readonly #state = initial.slice();
  readonly #held = new Uint8Array(blockBytes);
  readonly #words = new Uint32Array(64);
  #bytes = 0;

  update(data: Uint8Array | string): Sha256 {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    let at = 0;
    while (at < bytes.length) {
      const from = this.#bytes % blockBytes;
      const taken = Math.min(blockBytes - from, bytes.length - at);
      this.#held.set(bytes.subarray(at, at + taken), from);
      this.#bytes += taken;
      at += taken;
      if (this.#bytes % blockBytes === 0) this.#mix();
    }
    return this;
  }

  hex(): string {
    const bits = new DataView(new ArrayBuffer(8));
    bits.setBigUint64(0, BigInt(this.#bytes) * 8n);
    const padding = (2 * blockBytes - 9 - (this.#bytes % blockBytes)) % blockBytes;
    this.update(Uint8Array.of(0x80)).update(new Uint8Array(padding)).update(new Uint8Array(bits.buffer));
    return Array.from(this.#state, (word) => word.toString(16).padStart(8, '0')).join('');
  }

  #mix(): void {
    const w = this.#words;
    const view = new DataView(this.#held.buffer);
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(4 * i);
    for (let i = 16; i < 64; i++) {
      const [before, after] = [w[i - 15], w[i - 2]];
      const low = rotate(before, 7) ^ rotate(before, 18) ^ (before >>> 3);
      const high = rotate(after, 17) ^ rotate(after, 19) ^ (after >>> 10);
      w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    let [a, b, c, d, e, f, g, h] = this.#state;
    for (let i = 0; i < 64; i++) {
      const high = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const one = (h + high + ((e & f) ^ (~e & g)) + constants[i] + w[i]) | 0;
      const low = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) this.#state[i] += word;
  }
}
