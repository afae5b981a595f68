import { describe, expect, it } from 'vitest';
import { answerCamera, findBlocked, oldAfterMs, tellHeadline } from '../../../src/server/dashboard/answer.js';
import type { Answer, Camera, Kind } from '../../../src/server/dashboard/types.js';

const now = Date.UTC(2026, 0, 2, 12);
const camera = (more: Partial<Camera> = {}): Camera => ({
  source: 'front',
  state: 'ok',
  since: now - 3_600_000,
  lastAt: now - 1000,
  pValues: [],
  verdicts: [],
  ...more,
});
const verdicts = (...parts: [Kind, number][]) => parts.flatMap(([kind, n]) => new Array<Kind>(n).fill(kind));
const answered = (...cameras: Camera[]): (Camera & Answer)[] =>
  cameras.map((one) => ({ ...one, ...answerCamera(one, now) }));
const tell = (cameras: Camera[] | undefined, more: Partial<Parameters<typeof tellHeadline>[0]> = {}) =>
  tellHeadline({ contact: 'live', heardAt: now, cameras: cameras && answered(...cameras), ...more });

describe('answerCamera', () => {
  it.each([
    ['ok', 'good'],
    ['recovered', 'good'],
    ['learning', 'quiet'],
    ['suspect', 'watch'],
    ['drifted', 'bad'],
    ['frozen', 'bad'],
    ['stale', 'unknown'],
    [undefined, 'quiet'],
  ] as const)('of a camera that is %s the tone is %s', (state, tone) => {
    const { state: _, ...bare } = camera();
    expect(answerCamera(state ? camera({ state }) : bare, now).tone).toBe(tone);
  });

  it('is not known where the last image is old, whatever the state was', () => {
    for (const state of ['ok', 'recovered', 'learning', 'suspect'] as const) {
      const answer = answerCamera(camera({ state, lastAt: now - 39 * 60_000 }), now);
      expect(answer).toMatchObject({ answer: 'not known', tone: 'unknown', text: 'no image for 39\u00a0min' });
    }
    expect(answerCamera(camera({ lastAt: now - oldAfterMs }), now).tone).toBe('good');
  });

  it('does not forget that a camera had drifted, however old its last image', () => {
    expect(answerCamera(camera({ state: 'drifted', lastAt: now - 86_400_000 }), now).tone).toBe('bad');
  });

  it('is no where at least half of the latest images were blocked, long before the monitor says so', () => {
    for (const state of ['learning', 'ok', 'suspect', 'recovered'] as const) {
      const answer = answerCamera(camera({ state, verdicts: verdicts(['block', 25]) }), now);
      expect(answer).toMatchObject({ answer: 'no', tone: 'bad', text: '25 of the last 25 images were blocked' });
    }
    const few = camera({ state: 'learning', verdicts: verdicts(['block', 5]) });
    expect(answerCamera(few, now)).toMatchObject({ answer: 'look', tone: 'watch' });
  });
});

describe('findBlocked', () => {
  it.each([
    [verdicts(['block', 4]), undefined],
    [verdicts(['pass', 20], ['block', 4]), undefined],
    [verdicts(['pass', 20], ['block', 5]), { blocked: 5, images: 10 }],
    [verdicts(['pass', 12], ['block', 13]), { blocked: 13, images: 25 }],
    [verdicts(['block', 13], ['pass', 12]), { blocked: 13, images: 25 }],
    [verdicts(['warn', 25]), undefined],
  ] as const)('takes the longest stretch of which half were blocked', (latest, found) => {
    expect(findBlocked({ verdicts: [...latest] })).toEqual(found);
  });
});

describe('tellHeadline', () => {
  const ok = camera();
  const learning = camera({ source: 'rear', state: 'learning' });
  const old = camera({ source: 'side', lastAt: now - 3_600_000 });
  const suspect = camera({ source: 'roof', state: 'suspect' });
  const drifted = camera({ source: 'gate', state: 'drifted', cause: 'fog' });

  it('says trust only where every camera is known to be good', () => {
    expect(tell([ok])).toMatchObject({ text: 'The classifier can be trusted', tone: 'good', title: 'All ok' });
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
    expect(tell([ok, drifted]).detail).toMatch(/^Images are not like the reference since .*, likely fog\. /);
    expect(tell([drifted, camera({ source: 'b', state: 'frozen' }), ok]).text).toMatch(/2\u00a0cameras of 3/);
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
