import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import type { Answer } from '../../../src/drift/trust.ts';
import { describeMaintained, Maintenance } from '../../../src/server/watch/maintenance.ts';

const at = (text: string) => Date.parse(text);

describe('maintenance', () => {
  it('is from a time to another, of the sources that it names', () => {
    const entry = { from: '2026-12-01T08:00:00Z', to: '2026-12-01T10:30:00+01:00', reason: 'lens is cleaned' };
    const maintenance = new Maintenance([{ ...entry, sources: ['front', 'rear-*'] }]);
    const window = { until: at('2026-12-01T09:30Z'), reason: 'lens is cleaned' };
    expect(maintenance.find('front', at('2026-12-01T08:00Z'))).toEqual(window);
    expect(maintenance.find('rear-2', at('2026-12-01T09:29:59Z'))).toEqual(window);
    expect(maintenance.find('rear', at('2026-12-01T09:00Z'))).toBeUndefined();
    expect(maintenance.find('front-2', at('2026-12-01T09:00Z'))).toBeUndefined();
    expect(maintenance.find('front', at('2026-12-01T07:59:59Z'))).toBeUndefined();
    expect(maintenance.find('front', window.until)).toBeUndefined();
  });

  it('is repeated by cron, in a time zone, over midnight', () => {
    const maintenance = new Maintenance([{ cron: '30 23 * * 1-5', minutes: 60, timezone: 'Europe/Berlin' }]);
    // Tuesday 2026-12-01, 23:30 in Berlin, is 22:30 in UTC.
    expect(maintenance.find('any', at('2026-12-01T22:29:59Z'))).toBeUndefined();
    expect(maintenance.find('any', at('2026-12-01T22:30:00Z'))).toEqual({ until: at('2026-12-01T23:30:00Z') });
    expect(maintenance.find('any', at('2026-12-01T23:29:59Z'))).toEqual({ until: at('2026-12-01T23:30:00Z') });
    expect(maintenance.find('any', at('2026-12-01T23:30:00Z'))).toBeUndefined();
    // In summer Berlin is two hours ahead; on Saturday there is none.
    expect(maintenance.find('any', at('2026-07-07T21:45:00Z'))).toEqual({ until: at('2026-07-07T22:30:00Z') });
    expect(maintenance.find('any', at('2026-12-05T22:45:00Z'))).toBeUndefined();
  });

  it('lasts as long as the window that ends last', () => {
    const hourly = { cron: '0 * * * *', minutes: 90 };
    const once = { from: '2026-12-01T08:00:00Z', to: '2026-12-01T12:00:00Z' };
    expect(new Maintenance([hourly, once]).find('a', at('2026-12-01T08:15Z'))?.until).toBe(at('2026-12-01T12:00Z'));
    expect(new Maintenance([hourly]).find('a', at('2026-12-01T08:15Z'))?.until).toBeGreaterThan(
      at('2026-12-01T08:15Z'),
    );
  });

  it.each([
    [{}, 'from and to, or cron and minutes'],
    [{ from: '2026-12-01T08:00Z' }, 'from and to, or cron and minutes'],
    [{ cron: '0 2 * * *' }, 'from and to, or cron and minutes'],
    [{ cron: '0 2 * * *', minutes: 5, to: '2026-12-01T08:00Z' }, 'from and to, or cron and minutes'],
    [{ from: '2026-12-02T08:00Z', to: '2026-12-01T08:00Z' }, 'begin before it ends'],
    [{ cron: 'every night', minutes: 5 }, 'cron of five fields'],
    [{ cron: '61 2 * * *', minutes: 5 }, 'cron of five fields'],
    [{ cron: '0 0 2 * * *', minutes: 5 }, 'cron of five fields'],
    [{ cron: '0 2 * * *', minutes: 5, timezone: 'Mars/Olympus' }, 'known timezone'],
  ])('refuses %j', (entry, expected) => {
    const text = new RegExp(`Expected entry 1 of the setting maintenance .*${expected}`);
    expect(() => new Maintenance([entry])).toThrow(text);
  });

  it('is never said to be good, and what is bad stays bad', () => {
    const window = { until: at('2026-12-01T09:30Z'), reason: 'lens is cleaned' };
    const tell = (trust: Answer['trust']) => describeMaintained({ trust, text: 'As it is.' }, window);
    expect(tell('yes')).toEqual({
      trust: 'unknown',
      text: 'In maintenance until 2026-12-01 09:30 UTC (lens is cleaned): it is judged, and nobody is told. As it is.',
      maintenance: window,
    });
    const trusts = (['yes', 'doubtful', 'unknown', 'no', 'old'] as const).map((trust) => tell(trust).trust);
    expect(trusts).toEqual(['unknown', 'unknown', 'unknown', 'no', 'old']);
  });

  it('is a setting that is checked: a time without a zone would be another one elsewhere', () => {
    const read = (entry: object) => loadConfig({ env: { STOPLINE_MAINTENANCE: JSON.stringify([entry]) } }).config;
    const entry = { from: '2026-12-01T08:00Z', to: '2026-12-01T09:00Z' };
    expect(read(entry).maintenance).toEqual([entry]);
    for (const wrong of [{ from: '2026-12-01T08:00', to: '2026-12-01T09:00' }, { until: 'noon' }, { sources: [] }]) {
      expect(() => read(wrong)).toThrow(/Expected STOPLINE_MAINTENANCE to be a list/);
    }
  });
});
