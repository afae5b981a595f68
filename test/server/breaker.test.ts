import { describe, expect, it } from 'vitest';
import { createBreaker } from '../../src/server/breaker.ts';

function start(failures = 5) {
  let time = 0;
  const breaker = createBreaker({ failures, retryMs: 1000, now: () => time });
  const isAdmitted = () => {
    try {
      breaker.admit();
      return true;
    } catch (error) {
      expect((error as { code: string }).code).toBe('STOPLINE_ERR_UPSTREAM_DOWN');
      return false;
    }
  };
  return { breaker, isAdmitted, pass: (ms: number) => (time += ms) };
}

describe('the breaker', () => {
  it('opens at the fifth failure in a row; a success in between starts the count again', () => {
    const { breaker, isAdmitted } = start();
    for (let i = 0; i < 4; i++) breaker.failed();
    breaker.succeeded();
    for (let i = 0; i < 4; i++) breaker.failed();
    expect(isAdmitted()).toBe(true);
    breaker.failed();
    expect([isAdmitted(), breaker.isOpen, breaker.waitMs]).toEqual([false, true, 1000]);
  });

  it('opens after a second of nothing but failures', () => {
    const { breaker, isAdmitted, pass } = start();
    breaker.failed();
    pass(1000);
    expect(isAdmitted()).toBe(true);
    breaker.failed();
    expect(isAdmitted()).toBe(false);
  });

  it('lets one request in a second try, closes when it succeeds, and stays open when it fails', () => {
    const { breaker, isAdmitted, pass } = start(1);
    breaker.failed();
    pass(999);
    expect(isAdmitted()).toBe(false);
    pass(1);
    expect([isAdmitted(), isAdmitted(), isAdmitted()]).toEqual([true, false, false]);
    breaker.failed();
    pass(1000);
    expect([isAdmitted(), isAdmitted()]).toEqual([true, false]);
    // A try that never ends does not lock the door.
    pass(1000);
    expect(isAdmitted()).toBe(true);
    breaker.succeeded();
    expect([breaker.isOpen, isAdmitted(), isAdmitted()]).toEqual([false, true, true]);
  });
});
