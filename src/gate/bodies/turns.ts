/** Bytes that are looked at in one go: one to four milliseconds. */
export const sliceBytes = 256 * 1024;

let turns = Promise.resolve();

/**
 * Lets everybody else have the processor. Of all that wait here one goes on in each turn of the event loop, so that many
 * large bodies at once hold it no longer than one of them does.
 */
export function nextTurn(): Promise<void> {
  turns = turns.then(() => new Promise((resolve) => setImmediate(resolve)));
  return turns;
}
