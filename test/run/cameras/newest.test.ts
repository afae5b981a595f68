import { describe, expect, it } from 'vitest';
import { type Pace, takeNewest } from '../../../src/run/cameras/newest.ts';

/** A source whose frames come when the test says so. */
class Hand {
  #queue: (number | Error | undefined)[] = [];
  #wake: () => void = () => undefined;
  isReturned = false;

  send(...frames: (number | Error | undefined)[]): Promise<void> {
    this.#queue.push(...frames);
    this.#wake();
    return new Promise((resolve) => setImmediate(resolve));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    try {
      for (;;) {
        while (this.#queue.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
        const next = this.#queue.shift();
        if (next === undefined) return;
        if (next instanceof Error) throw next;
        yield next;
      }
    } finally {
      this.isReturned = true;
    }
  }
}

const pace = (more: Partial<Pace> = {}): Pace => ({
  everyMs: 0,
  silentMs: 600_000,
  silence: () => new Error('silent'),
  signal: new AbortController().signal,
  ...more,
});

describe('takeNewest', () => {
  it('hands on the newest frame whenever one is asked for, and counts those it replaced', async () => {
    const hand = new Hand();
    let skipped = 0;
    const frames = takeNewest(hand, pace({ onSkip: () => skipped++ }));
    const first = frames.next();
    await hand.send(1);
    expect(await first).toEqual({ value: 1, done: false });
    await hand.send(2, 3, 4);
    expect(await frames.next()).toEqual({ value: 4, done: false });
    expect(skipped).toBe(2);
    await hand.send(5, undefined);
    expect(await frames.next()).toEqual({ value: 5, done: false });
    expect(await frames.next()).toEqual({ value: undefined, done: true });
  });

  it('takes no more than the pace allows', async () => {
    const hand = new Hand();
    const frames = takeNewest(hand, pace({ everyMs: 3_600_000 }));
    const first = frames.next();
    await hand.send(1);
    await first;
    await hand.send(2, 3, undefined);
    expect(await frames.next()).toEqual({ value: undefined, done: true });
  });

  it('hands on what came before the source broke, then why it did', async () => {
    const hand = new Hand();
    const frames = takeNewest(hand, pace());
    const first = frames.next();
    await hand.send(1, new Error('broken'));
    expect(await first).toEqual({ value: 1, done: false });
    await expect(frames.next()).rejects.toThrow('broken');
  });

  it('gives a silent source up, and ends with its signal', async () => {
    await expect(takeNewest(new Hand(), pace({ silentMs: 1 })).next()).rejects.toThrow('silent');
    const stop = new AbortController();
    const waiting = takeNewest(new Hand(), pace({ signal: stop.signal })).next();
    stop.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
  });

  it('ends the source with whoever reads it', async () => {
    const hand = new Hand();
    const frames = takeNewest(hand, pace());
    const first = frames.next();
    await hand.send(1);
    await first;
    await frames.return(undefined);
    await hand.send(2);
    expect(hand.isReturned).toBe(true);
  });
});
