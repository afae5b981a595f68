import { StoplineError } from '../../errors.ts';

/** A message that is delivered again until it is settled. */
export interface Message {
  /** The same whenever it is delivered. */
  id: string;
  data: Uint8Array;
  /** How often it has been delivered, this time included; undefined where the broker does not count. */
  deliveries?: number;
  /** Publishes the answer, and only then tells the broker that the message is done with. */
  settle(answer: string): Promise<void>;
}

/** A connection to a broker. It does not mend itself: when it is lost, everything that waits for it fails, and it is opened anew. */
export interface Broker {
  /**
   * Ends when the signal aborts. Hands out messages while those before are still at work.
   * @throws {StoplineError} BROKER_UNAVAILABLE when the connection is lost
   */
  messages(signal: AbortSignal): AsyncGenerator<Message>;
  close(): Promise<void>;
}

export interface BrokerOptions {
  server: string;
  /** Where messages come from: a subject, a topic, a stream. */
  topic: string;
  /** Where verdicts go. */
  publish: string;
  /** Consumers of one group share the messages. */
  group: string;
  /** Messages at work at a time. */
  atOnce: number;
  /** After so long a message that is not settled is given to another consumer. */
  stalledMs: number;
}

/** Longest time that clients have to say goodbye. */
const closeMs = 500;

/** Waits for a goodbye, but not for ever: a broker that is gone hears none. */
export async function closeWithin(goodbye: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, closeMs);
  });
  await Promise.race([goodbye.catch(() => undefined), late]);
  clearTimeout(timer);
}

/** Tells everybody who waits for a connection that it is lost. */
export class ConnectionWatch {
  readonly #lost: Promise<never>;
  #lose: (error: StoplineError) => void = () => undefined;

  constructor() {
    this.#lost = new Promise<never>((_resolve, reject) => {
      this.#lose = reject;
    });
    this.#lost.catch(() => undefined); // told to whoever waits
  }

  lose(cause: unknown): void {
    const reason = cause instanceof Error ? cause.message : 'the connection ended';
    this.#lose(new StoplineError('BROKER_UNAVAILABLE', `The connection to the broker is lost: ${reason}.`, { cause }));
  }

  /** @throws {StoplineError} BROKER_UNAVAILABLE when the connection is lost before the work is done */
  guard<Result>(work: Promise<Result>): Promise<Result> {
    work.catch(() => undefined); // once the connection is lost, nobody asks for it
    return Promise.race([work, this.#lost]);
  }
}
