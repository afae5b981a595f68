/** The user (130) or the system (143) asked the command to stop, or the reader of its output has seen enough (0). */
export class Interruption extends Error {
  readonly exit: 0 | 130 | 143;

  constructor(exit: 0 | 130 | 143, message = 'interrupted') {
    super(message);
    this.exit = exit;
  }
}

/**
 * Event of `process`. Not SIGPIPE: Node ignores that signal, but no longer once somebody has listened to it, and then whatever
 * writes to a closed pipe or socket ends the process.
 */
export const brokenPipe = 'stopline:brokenPipe';
const events: NodeJS.EventEmitter = process;

/**
 * Runs `work` so that SIGINT and SIGTERM abort its signal with an `Interruption`, and it can leave things in order.
 * A second signal ends the process at once. `main` emits `brokenPipe` when standard output has no reader any more: to exit
 * there and then would end worker threads within a model, which aborts the process.
 */
export async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const onInterrupt = () => controller.abort(new Interruption(130));
  const onTerminate = () => controller.abort(new Interruption(143));
  const onBrokenPipe = () => controller.abort(new Interruption(0));
  process.once('SIGINT', onInterrupt).once('SIGTERM', onTerminate);
  events.once(brokenPipe, onBrokenPipe);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate);
    events.off(brokenPipe, onBrokenPipe);
  }
}
