/** The start of a data URL, such as `data:image/jpeg;base64,`. */
export const dataUrl = /^data:[\w.+/;=-]*;base64,/i;

/**
 * Reads base64 that comes in pieces: with the letters of either alphabet (RFC 4648, 4 and 5) but not of both, with or without
 * padding, with white space anywhere.
 */
export class Base64Reader {
  readonly #bytes: Buffer;
  #length = 0;
  /** Letters that do not make three bytes yet. */
  #rest = '';
  #padding = 0;
  #isStandard = false;
  #isUrlSafe = false;
  #isBroken = false;

  /** @param letters as many as will come at most */
  constructor(letters: number) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.ceil((letters * 3) / 4) + 3);
  }

  push(text: string): void {
    let dense = /\s/.test(text) ? text.replace(/\s+/g, '') : text;
    if (dense === '' || this.#isBroken) return;
    const padded = /=+$/.exec(dense)?.[0].length ?? 0;
    // Nothing but more padding may stand behind padding.
    if (this.#padding > 0 && padded < dense.length) this.#isBroken = true;
    this.#padding += padded;
    if (padded > 0) dense = dense.slice(0, -padded);
    this.#isStandard ||= dense.includes('+') || dense.includes('/');
    this.#isUrlSafe ||= dense.includes('-') || dense.includes('_');
    dense = this.#rest + dense;
    const whole = dense.length - (dense.length % 4);
    this.#rest = dense.slice(whole);
    this.#write(whole === dense.length ? dense : dense.slice(0, whole));
  }

  /** @returns undefined for what is not base64 */
  end(): Buffer | undefined {
    const isPadded = this.#padding === 0 || (this.#padding <= 2 && this.#rest.length + this.#padding === 4);
    if (!isPadded || this.#rest.length === 1 || (this.#isStandard && this.#isUrlSafe)) this.#isBroken = true;
    this.#write(this.#rest);
    return this.#isBroken ? undefined : this.#bytes.subarray(0, this.#length);
  }

  #write(letters: string): void {
    // Buffer skips what is not base64, so text that holds anything else gives fewer bytes than its length promises.
    const expected = Math.floor((letters.length * 3) / 4);
    const written = this.#bytes.write(letters, this.#length, 'base64');
    if (written !== expected) this.#isBroken = true;
    this.#length += written;
  }
}

/**
 * Reads an image from base64, which may be a data URL. The one reader of every way in: HTTP, the gate, messages, manifests.
 * @returns undefined for text that is not base64
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bare = text.replace(dataUrl, '');
  const reader = new Base64Reader(bare.length);
  reader.push(bare);
  return reader.end();
}
