import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

/** A service that does what many requests do to V8: much is made, little stays. */
const program = (limits: boolean) => `
  import { getHeapSpaceStatistics } from 'node:v8';
  const { serve } = await import(${JSON.stringify(new URL('../../src/server/serve.ts', import.meta.url).href)});
  // It has no Profile, so it ends at once; what it sets before stays.
  if (${limits}) await serve({ profile: '/nowhere.stopline', host: '127.0.0.1' }).catch(() => undefined);
  let kept = [];
  for (let i = 0; i < 100; i++) {
    kept = Array.from({ length: 20_000 }, (_, j) => ({ i, j, text: 'x' + j }));
    if (i % 10 === 0) await new Promise(setImmediate);
  }
  console.log(getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space').space_size);
`;
const measure = (limits: boolean) => {
  const options = ['--input-type=module', '--no-warnings', '-e', program(limits)];
  return Number(execFileSync(process.execPath, options, { encoding: 'utf8' }).trim()) / 1e6;
};

it('the young generation of a service stays as large as its start has made it', () => {
  expect(measure(true)).toBeLessThan(30);
  expect(measure(false)).toBeGreaterThan(50); // the control
});
