import { describe, expect, it } from 'vitest';
import { type Trust, trusts } from '../../../src/drift/trust.ts';
import { answerCamera, tellHeadline, toneState } from '../../../src/server/dashboard/answer.js';
import type { Answer, Camera } from '../../../src/server/dashboard/types.js';

const now = Date.UTC(2026, 0, 2, 12);
const camera = (trust: Trust, more: Partial<Camera> = {}): Camera => ({
  source: 'front',
  trust,
  text: `It is ${trust}.`,
  pValues: [],
  verdicts: [],
  ...more,
});
const answered = (...cameras: Camera[]): (Camera & Answer)[] =>
  cameras.map((one) => ({ ...one, ...answerCamera(one) }));
const tell = (cameras: Camera[] | undefined, more: Partial<Parameters<typeof tellHeadline>[0]> = {}) =>
  tellHeadline({ contact: 'live', heardAt: now, cameras: cameras && answered(...cameras), ...more });

describe('answerCamera', () => {
  it('is good for yes and for nothing else that the service may answer, also what this page does not know', () => {
    const tones = trusts.map((trust) => [trust, answerCamera(camera(trust)).tone]);
    expect(Object.fromEntries(tones)).toEqual({
      no: 'bad',
      old: 'unknown',
      unknown: 'quiet',
      doubtful: 'watch',
      yes: 'good',
    });
    expect(answerCamera({ trust: 'splendid' as Trust, text: 'New.' }).tone).toBe('quiet');
    expect(answerCamera({})).toMatchObject({ answer: 'not known', tone: 'quiet' });
  });

  it('is in maintenance where nobody is told, and still bad where it is bad', () => {
    const maintenance = { until: now };
    const told = { answer: 'in maintenance', title: 'in maintenance', tone: 'quiet' };
    expect(answerCamera(camera('unknown', { maintenance }))).toMatchObject(told);
    expect(answerCamera(camera('no', { maintenance })).tone).toBe('bad');
  });

  it('says why as the service does', () => {
    expect(answerCamera(camera('no')).text).toBe('It is no.');
  });
});

it.each([
  ['ok', 'good'],
  ['recovered', 'good'],
  ['learning', 'quiet'],
  ['suspect', 'watch'],
  ['drifted', 'bad'],
  ['frozen', 'bad'],
  ['stale', 'unknown'],
  ['something new', 'quiet'],
  [undefined, 'quiet'],
] as const)('a state that is %s is drawn %s', (state, tone) => {
  expect(toneState(state)).toBe(tone);
});

describe('tellHeadline', () => {
  const ok = camera('yes');
  const learning = camera('unknown', { source: 'rear' });
  const old = camera('old', { source: 'side' });
  const suspect = camera('doubtful', { source: 'roof' });
  const drifted = camera('no', { source: 'gate', text: '25 of the last 25 images blocked, likely fog.' });

  it('says trust only where every camera is known to be good', () => {
    expect(tell([ok])).toMatchObject({ text: 'The classifier can be trusted', tone: 'good', title: 'All ok' });
    const cleaned = camera('unknown', { source: 'roof', maintenance: { until: now } });
    expect(tell([ok, cleaned])).toMatchObject({ title: '1 of 2 ok', tone: 'good', detail: '1 in maintenance' });
    expect(tell([cleaned])).toMatchObject({ text: 'In maintenance', tone: 'quiet', detail: 'It is unknown.' });
    expect(tell([cleaned, learning])).toMatchObject({ text: 'Still learning', tone: 'quiet' });
    expect(tell([ok, learning])).toMatchObject({ text: 'Trust the classifier on 1 of 2\u00a0cameras', tone: 'good' });
    const others = [
      tell([]),
      tell(undefined),
      tell([learning]),
      tell([ok, old]),
      tell([old]),
      tell([ok, suspect]),
      tell([ok, drifted]),
      tell([ok], { contact: 'lost' }),
      tell([ok], { readiness: { ready: false, reason: 'failed' } }),
      tell([ok], { failure: 'the store does not answer' }),
    ];
    for (const { text, tone } of others) {
      expect(text).not.toMatch(/can be trusted|^Trust/);
      expect(tone).not.toBe('good');
    }
  });

  it('says that contact is lost, and since when, before anything else', () => {
    const told = tell([ok, drifted], { contact: 'lost' });
    expect(told.text).toMatch(/^No contact with the service since /);
    expect(told).toMatchObject({ tone: 'lost', title: 'No contact' });
    expect(told.detail).toContain('as it was then');
  });

  it('names one camera, its reason and its cause; counts several', () => {
    expect(tell([ok, drifted])).toMatchObject({
      text: 'Do not trust the classifier on gate',
      title: 'Do not trust gate',
    });
    expect(tell([ok, drifted]).detail).toMatch(/^25 of the last 25 images blocked, likely fog\. 1/);
    expect(tell([drifted, camera('no', { source: 'b' }), ok]).text).toMatch(/2\u00a0cameras of 3/);
    expect(tell([old, ok])).toMatchObject({ text: 'Not known on side: no new images' });
  });

  it.each(['starting', 'draining', 'failed', 'crashing', 'overloaded', 'upstream', 'something new'])(
    'says why the service takes no images: %s',
    (reason) => {
      const told = tell([ok], { readiness: { ready: false, reason } });
      expect(told).toMatchObject({ tone: 'bad', title: `Not ready: ${reason}` });
      expect(told.detail).toMatch(/\.$/);
    },
  );
});
