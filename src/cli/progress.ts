import { SingleBar } from 'cli-progress';
import { duration, isQuiet, note } from './terminal.ts';

/** Shows on standard error how far a command is, how fast, and how long it will still take. */
export interface Progress {
  update(state: { done: number; total?: number | undefined; failed?: number }): void;
  /** Ends the bar, so that what is printed next starts on a line of its own. */
  stop(): void;
}

/** Without a terminal a line is written for each tenth of the work, but not more often than this. */
const plainIntervalMs = 2000;
/** Where the total is not known: a line for each of these. */
const unknownIntervalMs = 10_000;

/**
 * Without a total it is only said how far and how fast.
 * @param label what is being done, one word
 * @param unit what is counted
 */
export function startProgress(label: string, unit = 'images'): Progress {
  if (isQuiet()) return { update() {}, stop() {} };
  const startedAt = performance.now();
  const pace = (done: number, total = Number.POSITIVE_INFINITY) => {
    const rate = done / ((performance.now() - startedAt) / 1000);
    const left = Number.isFinite(total) && rate > 0 ? `, ${duration((total - done) / rate)} left` : '';
    return { rate: rate.toPrecision(3).replace(/\.$/, ''), left };
  };
  if (process.stderr.isTTY) return terminalBar(label, unit, pace);

  let shownAt = startedAt;
  let tenth = 0;
  return {
    update({ done, total, failed = 0 }) {
      const now = performance.now();
      const bad = failed > 0 ? `, ${failed} failed` : '';
      const { rate, left } = pace(done, total);
      if (total === undefined) {
        if (now - shownAt < unknownIntervalMs) return;
        shownAt = now;
        return note(`${label}: ${done} ${unit}, ${rate}/s${bad}`);
      }
      const reached = Math.floor((done * 10) / total);
      if (done < total && (reached === tenth || now - shownAt < plainIntervalMs)) return;
      tenth = reached;
      shownAt = now;
      const rest = done < total ? left : '';
      note(`${label}: ${done}/${total} ${unit} (${Math.floor((100 * done) / total)} %), ${rate}/s${rest}${bad}`);
    },
    stop() {},
  };
}

/**
 * One progress bar after the other.
 * @param describe label and unit of a stage
 */
export function startStages<Stage extends string>(
  describe: (stage: Stage) => [label: string, unit: string],
): { update(state: { stage: Stage; done: number; total?: number | undefined; failed?: number }): void; stop(): void } {
  let current: Stage | undefined;
  let progress: Progress | undefined;
  return {
    update(state) {
      if (state.stage !== current) {
        progress?.stop();
        current = state.stage;
        progress = startProgress(...describe(current));
      }
      progress?.update(state);
    },
    stop: () => progress?.stop(),
  };
}

interface Pace {
  rate: string;
  left: string;
  bad: string;
  isTotalKnown: boolean;
}

function terminalBar(
  label: string,
  unit: string,
  pace: (done: number, total?: number) => { rate: string; left: string },
): Progress {
  const bar = new SingleBar({
    format: (options, params, payload: Pace) => {
      const { rate, left, bad, isTotalKnown } = payload;
      const far = `${params.value}${isTotalKnown ? `/${params.total}` : ''} ${unit}, ${rate}/s${left}${bad}`;
      if (!isTotalKnown) return `${label}: ${far}`;
      const filled = Math.round(params.progress * (options.barsize ?? 0));
      const drawn =
        (options.barCompleteString ?? '').slice(0, filled) + (options.barIncompleteString ?? '').slice(filled);
      return `${label} [${drawn}] ${Math.floor(100 * params.progress)} % | ${far}`;
    },
    stream: process.stderr,
    barsize: 28,
    barCompleteChar: '=',
    barIncompleteChar: ' ',
    hideCursor: null,
    gracefulExit: false,
  });
  let isStarted = false;
  return {
    update({ done, total, failed = 0 }) {
      const bad = failed > 0 ? `, ${failed} failed` : '';
      const payload: Pace = { ...pace(done, total), bad, isTotalKnown: total !== undefined };
      if (!isStarted) bar.start(total ?? 0, 0, payload);
      isStarted = true;
      bar.update(done, payload);
    },
    stop() {
      if (isStarted) bar.stop();
    },
  };
}
