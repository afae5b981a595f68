/** A store in a process of its own, so that tests can take its disk away: adds a monitor every 20 ms and tells what happens. */
import { openStore } from '../../src/store/index.ts';

const store = await openStore({
  folder: process.argv[2],
  historyRows: 1000,
  historyDays: 30,
  notify: (event) => process.send?.({ event: event.kind }),
});
let count = 0;
setInterval(() => {
  count += 1;
  store.add({ monitors: [{ source: 'front', profile: 'p', state: new Uint8Array(100_000), summary: String(count) }] });
}, 20);
process.send?.({ event: 'open' });
