/** Loaded into a service by `clock.ts`: its wall clock jumps a day forwards, back and a day backwards every half second. */
const now = Date.now.bind(Date);
const day = 86_400_000;
const shifted = () => now() + [0, day, -day][Math.floor(performance.now() / 500) % 3];
globalThis.Date = class extends Date {
  constructor(...given: [] | [number | string | Date]) {
    super(...((given.length === 0 ? [shifted()] : given) as [number]));
  }
  static override now = shifted;
} as DateConstructor;
