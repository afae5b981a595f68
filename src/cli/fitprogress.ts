import { availableParallelism } from 'node:os';
import { FitClock, type FitPlan, type FitStage, type FitState } from './fitclock.ts';
import { complain, count, duration, isQuiet, note, percent } from './terminal.ts';

const labels: Record<FitStage, string> = {
  measure: 'measure',
  simulate: 'simulate causes',
  train: 'train',
  power: 'report power',
};
/** How often the line of a terminal is drawn again, so that a stage without news shows that it goes on. */
const redrawMs = 500;
/** Without a terminal a line is written for each tenth of a stage, but not more often than this. */
const plainMs = 2000;
/** Estimates below this are not worth a word on what would be faster. */
const longSeconds = 45;

export type FitProgressState = FitState & { failed: number };

/** Shows on standard error in which stage a fit is, and how long all of it still takes. */
export class FitProgress {
  readonly #isTerminal = process.stderr.isTTY && !isQuiet();
  #clock: FitClock;
  #state: FitProgressState | undefined;
  #stageStartedAt = 0;
  #shownAt = 0;
  #tenth = -1;
  #timer: NodeJS.Timeout | undefined;

  constructor(plan: FitPlan) {
    this.#clock = new FitClock(plan);
  }

  /** Says what will be done, how long it will take, and what would be faster. */
  announce(plan: FitPlan): void {
    this.#clock = new FitClock(plan);
    const { images, simulations, power, threads } = plan;
    if (images === undefined) return;
    const all = this.#clock.expectAll();
    const parts = [
      `measure ${count(images, 'image')}`,
      ...(simulations > 0 ? [`simulate causes on ${Math.min(images, simulations)}`] : []),
      'train',
      ...(power > 0 ? ['report power'] : []),
    ];
    note(`About ${duration(all)} on ${count(threads, 'thread')}: ${parts.join(', ')}.`);
    if (all < longSeconds) return;
    const hasTrials = this.#clock.stages.includes('power');
    const faster = [
      ...(hasTrials ? [`--power 0 (no report of what it sees, ${duration(this.#clock.expect('power'))} less)`] : []),
      ...(simulations > 30 ? [`--simulations 30 (causes are told apart less well)`] : []),
      ...(threads < availableParallelism() ? [`--threads ${availableParallelism()}`] : []),
    ];
    if (faster.length > 0) note(`Faster: ${faster.join('; ')}.`);
  }

  update(state: FitProgressState): void {
    const now = performance.now();
    if (state.stage !== this.#state?.stage) this.#beginStage(state, now);
    this.#state = state;
    this.#clock.update(state, now / 1000);
    if (state.total !== undefined && state.done >= state.total) this.#endStage(now);
    else if (!this.#isTerminal) this.#tell(now);
    else if (now - this.#shownAt >= redrawMs) this.#draw(now);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#isTerminal && this.#state !== undefined) process.stderr.write('\r\x1b[2K');
    this.#state = undefined;
  }

  #beginStage({ stage }: FitProgressState, now: number): void {
    this.#stageStartedAt = now;
    this.#tenth = -1;
    this.#shownAt = this.#isTerminal ? 0 : now;
    if (this.#isTerminal) this.#timer ??= setInterval(() => this.#draw(performance.now()), redrawMs).unref();
    else if (stage === 'train') note(`${this.#nameStage(stage)}${this.#sayLeft(now)}`);
  }

  #endStage(now: number): void {
    const { stage, done, failed, known = 0 } = this.#state as FitProgressState;
    const seconds = (now - this.#stageStartedAt) / 1000;
    const what = stage === 'train' ? '' : `: ${done}/${done} images (100 %)`;
    const news = [
      ...(known > 0 && stage !== 'train' ? [`${known} known from before`] : []),
      ...(failed > 0 && stage === 'measure' ? [`${failed} failed`] : []),
    ];
    if (this.#isTerminal) process.stderr.write('\r\x1b[2K');
    note([`${this.#nameStage(stage)}${what} in ${duration(seconds)}`, ...news].join(', '));
  }

  #nameStage(stage: FitStage): string {
    const { stages } = this.#clock;
    return `${stages.indexOf(stage) + 1} of ${stages.length}, ${labels[stage]}`;
  }

  #sayLeft(now: number): string {
    const left = this.#clock.left(now / 1000);
    return left === undefined ? '' : `, ${left < 1 ? 'nearly done' : `${duration(left)} left in all`}`;
  }

  #tell(now: number): void {
    const { stage, done, total, failed } = this.#state as FitProgressState;
    if (stage === 'train' || now - this.#shownAt < plainMs) return;
    const tenth = total === undefined ? done : Math.floor((done * 10) / total);
    if (tenth === this.#tenth) return;
    this.#tenth = tenth;
    this.#shownAt = now;
    const far =
      total === undefined
        ? `${done} images`
        : `${done}/${total} images (${percent(Math.floor((100 * done) / total) / 100)})`;
    note(`${this.#nameStage(stage)}: ${far}${failed > 0 ? `, ${failed} failed` : ''}${this.#sayLeft(now)}`);
  }

  #draw(now: number): void {
    if (this.#state === undefined) return;
    this.#shownAt = now;
    const { stage, done, total, failed } = this.#state;
    const share = total === undefined || stage === 'train' ? undefined : done / total;
    const head = this.#nameStage(stage);
    const passed = `, for ${duration((now - this.#stageStartedAt) / 1000)}`;
    const far =
      share === undefined ? (stage === 'train' ? passed : `, ${done} images`) : ` ${Math.floor(100 * share)} %`;
    const tail = `${far}${failed > 0 ? `, ${failed} failed` : ''}${this.#sayLeft(now)}`;
    const width = (process.stderr.columns || 80) - 1;
    const room = Math.min(28, width - head.length - tail.length - 3);
    const bar = share === undefined || room < 5 ? '' : ` [${'='.repeat(Math.round(share * room)).padEnd(room)}]`;
    process.stderr.write(`\r\x1b[2K${`${head}${bar}${tail}`.slice(0, width)}`);
  }
}

/** What keeps a fit from remembering its measurements is no reason not to fit. */
export function warnOfCache(folder: string, reason: string): void {
  complain(`stopline: warning: measurements are not kept in "${folder}": ${reason}`);
}
