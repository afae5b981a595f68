import { describe, expect, it } from 'vitest';
import { Journal } from '../../../src/server/watch/journal.ts';

const transition = (at: number, to: string) => ({ source: 'front', at, from: 'ok', to, report: '{}' });

describe('Journal', () => {
  it('tells what happened and what the store knows, newest first', () => {
    const journal = new Journal();
    journal.addAttention({ source: 'rear', to: 'blocked', text: '25 of the last 25 images blocked', at: 2000 });
    journal.addAttention({ source: 'rear', to: 'calm', text: '2 of the last 25 images blocked', at: 4000 });
    const entries = journal.list([transition(3000, 'drifted'), transition(1000, 'recovered')], 10);
    expect(entries.map(({ at, kind, isTrouble, source }) => [at, kind, isTrouble, source])).toEqual([
      [4000, 'attention', false, 'rear'],
      [3000, 'state', true, 'front'],
      [2000, 'attention', true, 'rear'],
      [1000, 'state', false, 'front'],
    ]);
    expect(journal.list([transition(3000, 'drifted')], 2)).toHaveLength(2);
  });

  it('counts the same refusal within a minute as one entry', () => {
    const journal = new Journal();
    for (let i = 0; i < 5; i++) journal.addRefusal('POST /inspect', 'IMAGE_CORRUPT');
    journal.addRefusal('POST /inspect', 'OVERLOADED');
    const entries = journal.list([], 10);
    expect(entries).toHaveLength(2);
    expect(entries.find(({ text }) => text.includes('IMAGE_CORRUPT'))).toMatchObject({ times: 5, isTrouble: true });
  });

  it('tells each alert by itself, what became of it and why, and counts tries of the same', () => {
    const journal = new Journal();
    const alert = { sink: 'slack', source: 'front', text: 'ok \u2192 drifted, images are strange' } as const;
    for (let i = 0; i < 3; i++) journal.addAlert({ ...alert, outcome: 'failed', problem: 'status 503' });
    journal.addAlert({ ...alert, outcome: 'delivered' });
    journal.addAlert({ ...alert, source: 'rear', outcome: 'delivered' });
    const entries = journal.list([], 10);
    expect(entries.map(({ source, times, isTrouble }) => [source, times, isTrouble])).toEqual([
      ['front', 3, true],
      ['front', 1, false],
      ['rear', 1, false],
    ]);
    expect(entries[0].text).toBe(
      'The receiver slack could not be told, and will be again (status 503): ok \u2192 drifted, images are strange',
    );
  });

  it('says which Profile came into force, and why one did not', () => {
    const journal = new Journal();
    journal.addProfile({ name: 'front', sha256: 'a'.repeat(64) });
    journal.addReloadFailure({ code: 'STOPLINE_ERR_PROFILE_CORRUPT', message: 'Expected more.' });
    const [failed, forced] = journal.list([], 10).sort((a, b) => Number(b.isTrouble) - Number(a.isTrouble));
    expect(failed).toMatchObject({ kind: 'profile', isTrouble: true });
    expect(failed.text).toMatch(/stays: STOPLINE_ERR_PROFILE_CORRUPT: Expected more\.$/);
    expect(forced.text).toBe('The Profile "front" (aaaaaaaaaaaa) is in force.');
  });

  it('keeps so many entries and no more', () => {
    const journal = new Journal();
    for (let i = 0; i < 2000; i++) journal.addRefusal(`GET /${i}`, 'ROUTE_UNKNOWN');
    expect(journal.list([], 10_000)).toHaveLength(500);
  });
});
