import { countLooks, type FitOptions, takeEvery } from '../fit/options.ts';

export type FitStage = Parameters<NonNullable<FitOptions['onProgress']>>[0]['stage'];

/** How much there is to do in a fit. */
export interface FitPlan {
  /** Undefined where only reading everything would tell. */
  images?: number | undefined;
  simulations: number;
  power: number;
  threads: number;
  /** Pixels of a typical image, as it is looked at; default: those that the costs were measured on. */
  pixels?: number | undefined;
}

/** How far one stage is. */
export interface FitState {
  stage: FitStage;
  done: number;
  total?: number | undefined;
  /** Images whose measurements were known from before. */
  known?: number | undefined;
}

/**
 * Seconds of one thread an image at 480x360 on an idle machine of 2 cores; `simulate` is for every other cause. The first figure
 * of `train` is for each image and the second for each simulated one, on one thread however many there are.
 */
const cost = { measure: 0.02, simulate: 0.95, power: 8.5, train: [0.015, 0.24] } as const;
const costPixels = 480 * 360;
/** Starting threads and loading networks, in seconds. */
const startSeconds = 3;
/** Before so much of a stage has passed, how fast it goes is not known. */
const leastSeconds = 2;

/** Tells how long a fit still takes in all, from what its stages usually cost and how fast this machine has been so far. */
export class FitClock {
  readonly stages: readonly FitStage[];
  readonly #plan: FitPlan;
  readonly #spent = new Map<FitStage, { startedAt: number; before: number; seconds: number; state: FitState }>();

  constructor(plan: FitPlan) {
    this.#plan = plan;
    this.stages = (['measure', 'simulate', 'train', 'power'] as const).filter(
      (stage) => (stage !== 'simulate' || plan.simulations > 0) && (stage !== 'power' || this.#countTrials() > 0),
    );
  }

  /** Seconds that a stage takes on an idle machine. */
  expect(stage: FitStage): number {
    const { images = 0, simulations, threads, pixels = costPixels } = this.#plan;
    // At least so many reference images there will be looked at again, where there are so many.
    const most = (count: number) => Math.min(count, images || count);
    const scale = Math.max(0.2, pixels / costPixels) / threads;
    if (stage === 'measure') return startSeconds + images * cost.measure * scale;
    if (stage === 'simulate') return (most(simulations) * cost.simulate * scale * 2) / takeEvery(simulations);
    if (stage === 'power') return this.#countTrials() * cost.power * scale;
    return images * cost.train[0] + most(simulations) * cost.train[1];
  }

  /** Images that still have to go through every cause at every severity when causes have been learnt. */
  #countTrials(): number {
    const { images = Number.POSITIVE_INFINITY, simulations, power } = this.#plan;
    return Math.max(0, Math.min(images, power) - countLooks(simulations, images));
  }

  /** Seconds that all of it takes on an idle machine. */
  expectAll(): number {
    return this.stages.reduce((sum, stage) => sum + this.expect(stage), 0);
  }

  /** @param now seconds on any clock */
  update(state: FitState, now: number): void {
    // The first word of a stage comes when some of it is done already, in a time that nobody has seen.
    const { startedAt = now, before = state.done } = this.#spent.get(state.stage) ?? {};
    this.#spent.set(state.stage, { startedAt, before, seconds: now - startedAt, state });
  }

  /** Seconds that are left in all; undefined where nobody can know. */
  left(now: number): number | undefined {
    if (this.#plan.images === undefined) return undefined;
    const current = [...this.#spent.keys()].at(-1);
    const later = this.stages.slice(current === undefined ? 0 : this.stages.indexOf(current) + 1);
    const slowness = this.#readSlowness(now);
    const rest = later.reduce((sum, stage) => sum + this.expect(stage) * slowness, 0);
    return rest + (current === undefined ? 0 : this.#readRest(current, slowness, now));
  }

  /** How much longer than on an idle machine what was measured here took; what was known from before tells nothing. */
  #readSlowness(now: number): number {
    let actual = 0;
    let expected = 0;
    for (const [stage, { startedAt, seconds, state }] of this.#spent) {
      const { done, total = 0, known = 0 } = state;
      const isLast = stage === [...this.#spent.keys()].at(-1);
      const share = stage === 'train' ? done : total > 0 ? done / total : 0;
      if (share === 0 || known > done / 2) continue;
      actual += isLast && done < total ? now - startedAt : seconds;
      expected += this.expect(stage) * share;
    }
    if (actual < leastSeconds || expected === 0) return 1;
    return Math.min(20, Math.max(0.1, actual / expected));
  }

  #readRest(stage: FitStage, slowness: number, now: number): number {
    const { startedAt, before, state } = this.#spent.get(stage) as {
      startedAt: number;
      before: number;
      state: FitState;
    };
    const { done, total = 0 } = state;
    const passed = now - startedAt;
    if (stage !== 'train' && total > 0 && done > before && passed >= leastSeconds) {
      return (passed / (done - before)) * (total - done);
    }
    if (total > 0 && done >= total) return 0;
    return Math.max(1, this.expect(stage) * slowness - passed);
  }
}
