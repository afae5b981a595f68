import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { corrupt, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { sleep } from '../faults/target.ts';

export const size = { width: 480, height: 270 };
/** Images of the longest watched cameras, and the time between two of them: a little less than three hours. */
const rounds = 140;
const roundMs = 75_000;
/** After so many images a healthy camera has learnt. */
const learntAfter = 75;
/** A camera without an image for so long is stale. */
export const staleAfterMs = 20 * 60_000;
/** How many images are on their way at once. */
const atOnce = 4;

/** What a camera sends in a round; undefined where it sends nothing. */
type Plan = (round: number) => Uint8Array | undefined;

interface Pools {
  fresh: Uint8Array[];
  fog: Uint8Array[];
  blur: Uint8Array[];
}

/** Every image that the cameras send, rendered once: what a camera sees does not depend on its name. */
async function renderPools(): Promise<Pools> {
  const under = (cause: string, severity: Severity, count: number, first: number) =>
    Promise.all(
      Array.from({ length: count }, async (_, i) =>
        encodeFrame(await corrupt(renderFrame(first + i, size), cause, severity, i)),
      ),
    );
  return {
    fresh: await Promise.all(Array.from({ length: rounds + 10 }, (_, i) => encodeFrame(renderFrame(1000 + i, size)))),
    fog: await under('fog', 4, 60, 3000),
    blur: await under('defocusBlur', 3, 40, 5000),
  };
}

/** One camera for each state that there is, by what happens to it so many rounds before the end. */
function planStates({ fresh, fog, blur }: Pools): Record<string, Plan> {
  /** Fresh images, and from so many rounds before the end on those of `more`; after `last` of them fresh ones again. */
  const turn =
    (before: number, more: readonly Uint8Array[], last = before): Plan =>
    (round) => {
      const place = round - (rounds - before);
      return place < 0 || place >= last ? fresh[round] : more[place];
    };
  const until =
    (before: number, plan: Plan): Plan =>
    (round) =>
      round < rounds - before ? plan(round) : undefined;
  const from =
    (before: number, plan: Plan): Plan =>
    (round) =>
      round < rounds - before ? undefined : plan(round);
  return {
    'always-ok': (round) => fresh[round],
    'in-fog': turn(45, fog),
    'first-signs': turn(4, fog),
    'new-here': from(9, (round) => fresh[round]),
    hangs: (round) => fresh[Math.min(round, rounds - 25)],
    'loop-of-five': (round) => fresh[round < rounds - 35 ? round : rounds - 40 + (round % 5)],
    'gone-silent': until(45, (round) => fresh[round]),
    'silent-in-fog': until(40, turn(60, fog)),
    'was-blurred': turn(50, blur, 18),
    'blocked-at-once': from(30, turn(30, fog)),
  };
}

/** The wall clock of this process, shifted: hours of a street pass in a minute. The service reads it, the browser does not. */
class ShiftedClock {
  #offsetMs = -rounds * roundMs;

  install(): void {
    const real = Date.now.bind(Date);
    const now = () => real() + this.#offsetMs;
    globalThis.Date = class extends Date {
      constructor(...given: [] | [number | string | Date]) {
        super(...((given.length === 0 ? [now()] : given) as [number]));
      }
      static override now = now;
    } as DateConstructor;
  }

  advance(): void {
    this.#offsetMs = Math.min(0, this.#offsetMs + roundMs);
  }
}

/** A street with cameras in every state, each of which is reached by sending a real service the images that lead to it. */
export class Street {
  readonly pools: Pools;
  readonly #clock = new ShiftedClock();

  private constructor(pools: Pools) {
    this.pools = pools;
  }

  static async open(): Promise<Street> {
    return new Street(await renderPools());
  }

  /** The clock of this process goes hours back: what starts from now on begins there. */
  turnBack(): void {
    this.#clock.install();
  }

  /** @param healthy cameras more, of which nothing is to be said */
  async run(url: string, healthy: number): Promise<void> {
    const { fresh } = this.pools;
    const plans = planStates(this.pools);
    for (let i = 0; i < healthy; i++)
      plans[`lane-${String(i + 1).padStart(2, '0')}`] = (round) =>
        round < rounds - learntAfter ? undefined : fresh[round];
    for (let round = 0; round < rounds; round++) {
      const due = Object.entries(plans).map(([source, plan]) => ({ source, bytes: plan(round) }));
      for (let first = 0; first < due.length; first += atOnce)
        await Promise.all(
          due.slice(first, first + atOnce).map(({ source, bytes }) => bytes && send(url, source, bytes)),
        );
      this.#clock.advance();
    }
    await untilStale(url);
  }

  /** One image of a camera that has sent none. */
  async send(url: string, source: string): Promise<void> {
    await send(url, source, this.pools.fresh.at(-1) as Uint8Array);
  }
}

async function send(url: string, source: string, bytes: Uint8Array): Promise<void> {
  const response = await fetch(`${url}/inspect?source=${source}`, { method: 'POST', body: Buffer.from(bytes) });
  if (response.status !== 200) throw new Error(`Expected a verdict of ${source} but received ${await response.text()}`);
  await response.arrayBuffer();
}

/** A monitor looks at its clock every half minute. */
async function untilStale(url: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { states } = (await (await fetch(`${url}/drift?limit=1`)).json()) as { states: Record<string, number> };
    if ((states.stale ?? 0) >= 2) return;
    await sleep(1000);
  }
}
