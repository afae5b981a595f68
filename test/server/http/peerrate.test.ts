import { expect, it } from 'vitest';
import { PeerRate } from '../../../src/server/http/peerrate.ts';

it('takes so many of an address in a second, whatever others ask', () => {
  const rate = new PeerRate(2);
  const ask = (address: string, now: number) => {
    try {
      rate.admit(address, now);
      return 'taken';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const refused = 'STOPLINE_ERR_RATE_LIMITED';
  expect([0, 1, 2].map((now) => ask('a', now))).toEqual(['taken', 'taken', refused]);
  expect([ask('b', 3), ask('a', 999), ask('a', 1000), ask('a', 1001), ask('a', 1002)]).toEqual([
    ...['taken', refused],
    ...['taken', 'taken', refused],
  ]);
  const free = new PeerRate(0);
  for (let i = 0; i < 1000; i++) free.admit('a', 0);
});
