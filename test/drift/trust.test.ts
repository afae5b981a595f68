import { describe, expect, it } from 'vitest';
import type { DriftState, Glance } from '../../src/drift/report.ts';
import { assessTrust, type Known } from '../../src/drift/trust.ts';

const now = 1_800_000_000_000;
const calm: Glance['recent'] = { images: 25, warn: 0, block: 0, level: 'calm' };
const blocked: Glance['recent'] = { images: 25, warn: 0, block: 25, level: 'blocked', cause: 'fog' };
const warned: Glance['recent'] = { images: 25, warn: 13, block: 1, level: 'warned' };
const learning = {
  images: 16,
  independent: 4,
  needed: 20,
  more: 100,
  text: '4 of 20 independent images, about 100 images more',
};
const alarm = {
  at: now,
  share: 1.2,
  by: 'score',
  text: 'images are stranger than those of the reference, seen after about 7 images',
  ends: { more: 13, text: 'after 13 more images, if evidence is below 0.1 of an alarm, and it is 0.03 now' },
};
const assess = (known: Partial<Known>) =>
  assessTrust({ state: 'ok', since: now, lastAt: now - 1000, recent: calm, ...known }, { now, staleAfterMs: 300_000 });

const states: DriftState[] = ['learning', 'ok', 'suspect', 'drifted', 'recovered', 'stale', 'frozen'];

describe('whether a source can be trusted', () => {
  it('is yes in one case of all: enough is known, the images of late passed, and they came now', () => {
    const cases = states.flatMap((state) =>
      [calm, warned, blocked].flatMap((recent) =>
        [0, now - 301_000, now - 1000].map((lastAt) => ({
          state,
          recent,
          lastAt,
          trust: assess({ state, recent, lastAt }).trust,
        })),
      ),
    );
    expect(cases.filter(({ trust }) => trust === 'yes')).toEqual([
      { state: 'ok', recent: calm, lastAt: now - 1000, trust: 'yes' },
    ]);
  });

  it.each<[string, Partial<Known>, string, string]>([
    ['nothing', { state: 'learning', lastAt: 0, learning }, 'unknown', 'No image has come since it began to learn.'],
    ['learning', { state: 'learning', learning }, 'unknown', '4 of 20 independent images, about 100 images more.'],
    [
      'learning in fog',
      { state: 'learning', learning, recent: blocked },
      'no',
      '25 of the last 25 images blocked, likely fog; 4 of 20 independent images, about 100 images more.',
    ],
    ['ok in fog', { recent: blocked }, 'no', '25 of the last 25 images blocked, likely fog.'],
    ['ok, warned', { recent: warned }, 'doubtful', '14 of the last 25 images warned of or blocked.'],
    [
      'drifted',
      { state: 'drifted', alarm },
      'no',
      `Images are stranger than those of the reference, seen after about 7 images; it ends ${alarm.ends.text}.`,
    ],
    [
      'stale',
      { state: 'stale', before: 'drifted', lastAt: now - 2_340_000 },
      'old',
      'The last image came 39 minutes ago; until then it was drifted.',
    ],
    [
      'ok, and then the service was away',
      { lastAt: now - 2_340_000 },
      'old',
      'The last image came 39 minutes ago; until then it was ok.',
    ],
    [
      'blocked, and then silent',
      { state: 'stale', before: 'suspect', recent: blocked, lastAt: now - 400_000 },
      'old',
      'The last image came 7 minutes ago; until then it was suspect, with 25 of the last 25 images blocked, likely fog.',
    ],
    [
      'one picture',
      { state: 'frozen', before: 'drifted', frozen: { pictures: 1, images: 12 } },
      'no',
      'The same picture came 12 times in a row; until then it was drifted.',
    ],
    [
      'a loop',
      { state: 'frozen', before: 'ok', frozen: { pictures: 5, images: 41 } },
      'no',
      'The last 5 pictures came again and again, for 41 images; until then it was ok.',
    ],
    [
      'recovered',
      { state: 'recovered' },
      'doubtful',
      'Images are like those of the reference again, but not yet for long.',
    ],
  ])('says why: %s', (_name, known, trust, text) => {
    expect(assess(known)).toEqual({ trust, text });
  });
});
