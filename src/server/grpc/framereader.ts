import type { Readable } from 'node:stream';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { frameHead, type GrpcFrame, readFrameHead } from '../../gate/bodies/grpcframes.ts';
import { tooLarge } from '../../gate/bodies/peek.ts';
import { type BufferBudget, checkPieces, heldBytes } from '../http/body.ts';

/** A message as it came, or why it is not kept, and what came of it so far: the rest is then to be had of the reader. */
export type TakenFrame = {
  bytes: Buffer;
  /** Its share in the room for bodies: takes more of it, gives all of it back. */
  held: ReturnType<typeof heldBytes>;
} & ({ frame: GrpcFrame; error?: undefined } | { frame?: undefined; error: StoplineError });

export interface FrameLimits {
  /** Most bytes of a message. */
  limit: number;
  /** Time that a message may take once it has begun. */
  timeoutMs: number;
  /** Room for what is kept. */
  budget: BufferBudget;
}

/** Takes the messages of a call from its stream one after the other, as the bytes they are. */
export class FrameReader {
  readonly #stream: Readable;
  readonly #pieces: AsyncIterator<Buffer>;
  readonly #limits: FrameLimits;
  #chunks: Buffer[] = [];
  #length = 0;
  /** Bytes of a message that is not kept, which are still to come. */
  #left = 0;
  #hasBegun = false;
  #isEnded = false;

  constructor(stream: Readable, limits: FrameLimits) {
    // Not `for await` over the stream, which would destroy it when a message is refused.
    this.#stream = stream;
    this.#pieces = stream.iterator({ destroyOnReturn: false });
    this.#limits = limits;
  }

  /** Whether anything has come. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The next message; undefined at the end. @throws {StoplineError} REQUEST_TIMEOUT, REQUEST_INVALID where the stream breaks */
  async next(): Promise<TakenFrame | undefined> {
    if (!(await this.#fill(frameHead))) {
      return this.#length === 0 ? undefined : this.#giveUp(this.#length, cutOff());
    }
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#limits.timeoutMs);
    try {
      return await this.#take(late.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async #take(late: AbortSignal): Promise<TakenFrame> {
    const { limit, budget } = this.#limits;
    let head: { isPacked: boolean; length: number };
    try {
      head = readFrameHead(this.#peek(frameHead));
    } catch (error) {
      // Nobody knows where the next message begins.
      return this.#giveUp(Number.POSITIVE_INFINITY, asStoplineError(error));
    }
    const { isPacked, length } = head;
    const whole = frameHead + length;
    if (length > limit) return this.#giveUp(whole, tooLarge(limit, String(length)));
    const held = heldBytes(budget);
    let taken = 0;
    try {
      do {
        held.hold(Math.min(this.#length, whole) - taken);
        taken = Math.min(this.#length, whole);
      } while (taken < whole && (await this.#pull(late)));
    } catch (error) {
      held.release();
      const refusal = asStoplineError(error);
      if (refusal.code !== 'STOPLINE_ERR_OVERLOADED') throw refusal;
      return this.#giveUp(whole, refusal);
    }
    if (taken < whole) {
      held.release();
      return this.#giveUp(whole, cutOff());
    }
    const bytes = this.#cut(whole);
    return { frame: { isPacked, content: bytes.subarray(frameHead) }, bytes, held };
  }

  /** The rest of a message that was not kept, piece by piece. */
  async *rest(): AsyncGenerator<Buffer> {
    while (this.#left > 0 && (this.#length > 0 || (await this.#pull()))) {
      const piece = this.#cut(Math.min(this.#left, this.#length));
      this.#left -= piece.length;
      yield piece;
    }
    this.#left = 0;
  }

  /** Reads no more: what still comes is dropped, without which the stream would never end. */
  leave(): void {
    const resume = () => this.#stream.resume();
    void Promise.resolve(this.#pieces.return?.()).then(resume, resume);
  }

  #giveUp(whole: number, error: StoplineError): TakenFrame {
    const size = Math.min(whole, this.#length);
    this.#left = whole - size;
    return { error, bytes: this.#cut(size), held: heldBytes(this.#limits.budget) };
  }

  async #fill(length: number): Promise<boolean> {
    while (this.#length < length) if (!(await this.#pull())) return false;
    return true;
  }

  /** Waits for one more piece. @returns false at the end */
  async #pull(late?: AbortSignal): Promise<boolean> {
    if (this.#isEnded) return false;
    const next = this.#pieces.next().catch((cause) => {
      throw new StoplineError('REQUEST_INVALID', `Expected the whole call but received: ${cause.message}.`, { cause });
    });
    const result = late ? await Promise.race([next, waitForAbort(late)]) : await next;
    if (!result) {
      throw new StoplineError('REQUEST_TIMEOUT', 'Expected the whole message in time but it did not arrive.');
    }
    if (result.done) this.#isEnded = true;
    else {
      this.#hasBegun = true;
      this.#chunks.push(result.value);
      this.#length += result.value.length;
      checkPieces(this.#chunks.length, this.#length);
    }
    return !this.#isEnded;
  }

  #peek(length: number): Buffer {
    if (this.#chunks[0].length < length) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0].subarray(0, length);
  }

  #cut(length: number): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#length -= length;
    this.#chunks = this.#length > 0 ? [all.subarray(length)] : [];
    return all.subarray(0, length);
  }
}

function waitForAbort(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

function cutOff(): StoplineError {
  return new StoplineError('REQUEST_INVALID', 'Expected whole gRPC messages but received a part of one.');
}
