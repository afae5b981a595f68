import { expect, it } from 'vitest';
import { runForms } from '../../scripts/faults/formsrun.ts';

it('every form goes through a closed gate, or is refused in the form of its protocol; npm run forms has the other modes', async () => {
  const wrong: string[] = [];
  const results = await runForms(['closed'], (line) => wrong.push(line));
  expect(wrong).toEqual([]);
  expect(results.size).toBeGreaterThan(180);
});
