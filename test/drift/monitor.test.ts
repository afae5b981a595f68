import { describe, expect, it } from 'vitest';
import { type DriftReference, makeShared } from '../../src/drift/drift.ts';
import { mergeStates } from '../../src/drift/merge.ts';
import { createMonitor, type Monitor } from '../../src/drift/monitor.ts';
import { makeObservation, type Observable, type Observation } from '../../src/drift/observation.ts';
import type { Transition } from '../../src/drift/report.ts';
import { Random } from '../../src/image/corruptions/random.ts';
import { drawSketch } from '../../src/image/sketch.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { inSentence, labelStatistic } from '../../src/profile/labels.ts';
import { conformalPValue } from '../../src/profile/maths/ranks.ts';
import { addNoise, Scene } from '../fixtures/scene.ts';

const count = 30;
const names = statistics
  .filter(({ scored }) => scored)
  .slice(0, count)
  .map(({ name }) => name);
const scores = new Random(1).normals(1000).sort();
const across = 8;
const reference: DriftReference = {
  profile: 'a'.repeat(64),
  names,
  scores: Float64Array.from(scores),
  images: 1000,
  correlation: { score: 1, statistics: new Float64Array(count).fill(1) },
  cloud: { across, rows: Float64Array.from(new Random(2).normals(100 * across)) },
};
const shared = makeShared(reference, {});

/** Images of one camera, as seen by the Profile. */
function camera(seed: number) {
  const random = new Random(seed);
  let number = 0;
  return (
    change: {
      score?: number;
      z?: (z: Float32Array) => void;
      projection?: number;
      verdict?: Observation['verdict'];
    } = {},
  ): Observation => {
    const [own] = random.normals(1);
    const score = own + (change.score ?? 0);
    const z = random.normals(count);
    change.z?.(z);
    number++;
    const pValue = conformalPValue(reference.scores, score);
    return {
      id: [...random.words(8)].map((word) => word.toString(16).padStart(8, '0')).join(''),
      at: 1_700_000_000_000 + 1000 * number,
      verdict: change.verdict ?? (pValue <= 0.01 ? 'warn' : 'pass'),
      decidedBy: 'combined',
      pValue,
      score,
      z,
      projection: random.normals(across, change.projection ?? 0),
      causes: [
        { cause: 'fog', probability: 0.7 },
        { cause: 'rain', probability: 0.2 },
      ],
      hash: [...random.words(2)].map((word) => word.toString(16).padStart(8, '0')).join(''),
    };
  };
}

function run(monitor: Monitor, images: number, next: () => Observation): Transition[] {
  return Array.from({ length: images }, () => monitor.observe(next())).flatMap((transition) => transition ?? []);
}

const path = (transitions: readonly Transition[]) => transitions.map(({ to }) => to);

describe('a source', () => {
  it('learns, is ok, drifts within five images, recovers, and is ok again', () => {
    const monitor = createMonitor(shared);
    const next = camera(5);
    expect(monitor.state).toBe('learning');
    expect(monitor.report()).toMatchObject({ state: 'learning', reason: expect.any(String), images: 0 });
    expect(path(run(monitor, 300, next))).toEqual(['ok']);
    const alarm = run(monitor, 5, () => next({ score: 5 }));
    expect(path(alarm).at(-1)).toBe('drifted');
    expect(alarm.at(-1)).toMatchObject({ images: expect.any(Number), id: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(alarm.at(-1)!.evidence).toBeGreaterThanOrEqual(1);
    expect(path(run(monitor, 50, () => next({ score: 5 })))).toEqual([]);
    expect(path(run(monitor, 100, next))).toEqual(['recovered', 'ok']);
  });

  it('says what moved, where to, by how much, what shows it, and the likely cause', () => {
    const monitor = createMonitor(shared);
    const next = camera(6);
    run(monitor, 200, next);
    const changed = () =>
      next({
        score: 4,
        projection: 1.5,
        z: (z) => {
          z[3] += 2;
          z[7] -= 1.5;
        },
      });
    run(monitor, 40, changed);
    const report = monitor.report();
    expect(report.state).toBe('drifted');
    expect(report.moved.map(({ statistic, direction }) => [statistic, direction])).toEqual([
      // What explains most comes first: darkness, then contrast.
      [names[7], 'low'],
      [names[3], 'high'],
    ]);
    expect(report.moved.map(({ text }) => text)).toEqual([
      'darker in its dark parts than the reference',
      'higher in contrast than the reference',
    ]);
    expect(report.movedCount).toEqual({ moved: 2, compared: names.length });
    expect(report.moved[1].size).toBeGreaterThan(1.6);
    expect(report.moved[1].size).toBeLessThan(2.4);
    expect(report.moved[0].pValue).toBeLessThan(1e-4);
    expect(report.content!.pValue).toBe(1 / 200);
    expect(report.causes[0].cause).toBe('fog');
    expect(report.frames).toHaveLength(5);
    expect(report.frames[0].pValue).toBeLessThan(0.01);
    expect(report.window.images).toBeGreaterThan(30);
    expect(report.window.images).toBeLessThan(50);
    expect(report.promise).toContain('at most one false alarm in 10000 images');
  });

  it('whose one statistic moves by 0.3 deviations is found within 500 images, by that one', () => {
    const delays = Array.from({ length: 9 }, (_, seed) => {
      const monitor = createMonitor(shared);
      const next = camera(100 + seed);
      run(monitor, 100, next);
      for (let image = 1; image < 2000; image++) {
        const transition = monitor.observe(
          next({
            z: (z) => {
              z[4] += 0.3;
            },
          }),
        );
        if (transition?.to !== 'drifted') continue;
        expect(transition.text).toContain(inSentence(labelStatistic(names[4])));
        return image;
      }
      return Number.POSITIVE_INFINITY;
    });
    expect(delays.sort((a, b) => a - b)[4]).toBeLessThanOrEqual(500);
  });

  it('that shows the same picture again and again is frozen, also as a loop, until another comes', () => {
    const monitor = createMonitor(shared);
    const next = camera(7);
    run(monitor, 100, next);
    const loop = [next(), next(), next()];
    const replay = (i: number) => ({ ...loop[i % 3], at: loop[2].at + 1000 * (i + 1) });
    const transitions = Array.from({ length: 200 }, (_, i) => monitor.observe(replay(i))).flatMap((t) => t ?? []);
    expect(path(transitions)).toEqual(['frozen']);
    expect(transitions[0].images).toBe(103);
    expect(monitor.report().repeats).toBe(197);
    expect(monitor.observe(next())).toMatchObject({ from: 'frozen', to: 'ok' });
  });

  it('is frozen, too, when the same picture is compressed anew each time, but not when a scene just stands still', () => {
    const next = camera(8);
    const scene = next();
    const copy = (noise: number) => {
      const fresh = next();
      return { ...fresh, hash: scene.hash, z: scene.z.map((value, i) => value + noise * fresh.z[i]) };
    };
    const frozen = createMonitor(shared);
    expect(path(run(frozen, 30, () => copy(0.002)))).toContain('frozen');
    const still = createMonitor(shared);
    expect(path(run(still, 30, () => copy(0.1)))).not.toContain('frozen');
  });

  it('without images is stale, whatever the clock does, and goes on where it was', () => {
    const monitor = createMonitor(shared);
    const next = camera(9);
    run(monitor, 100, next);
    const start = 1_800_000_000_000;
    expect(monitor.tick(start)).toBeUndefined();
    // The clock jumps by a day, forwards and back.
    expect(monitor.tick(start + 86_400_000)).toBeUndefined();
    expect(monitor.tick(start - 86_400_000)).toBeUndefined();
    const ticks = Array.from({ length: 400 }, (_, i) => monitor.tick(start - 86_400_000 + 1000 * i)).flatMap(
      (t) => t ?? [],
    );
    expect(path(ticks)).toEqual(['stale']);
    expect(monitor.observe(next())).toMatchObject({ from: 'stale', to: 'ok' });
  });

  it('is not confused by images twice, late, from tomorrow, or by numbers that are none', () => {
    const plain = createMonitor(shared);
    const odd = createMonitor(shared);
    const next = camera(10);
    for (let i = 0; i < 300; i++) {
      const image = next();
      plain.observe(image);
      odd.observe(image);
      odd.observe(image);
    }
    const evidence = plain.report().evidence;
    expect(odd.report().evidence).toEqual(evidence);
    expect(odd.report().repeats).toBe(0);
    let last = 0;
    for (let i = 0; i < 100; i++) {
      const image = next();
      const at = [image.at - 86_400_000, image.at + 86_400_000, Number.NaN][i % 3];
      const broken = { ...image, at, score: Number.NaN, z: image.z.map((z, k) => (k % 2 === 0 ? Number.NaN : z)) };
      odd.observe(broken);
      const { window, evidence } = odd.report();
      expect(window.to).toBeGreaterThanOrEqual(last);
      last = window.to;
      expect(evidence.share).not.toBeNaN();
    }
    expect(odd.state).toBe('ok');
  });
});

describe('the state of a source', () => {
  it('goes on after it was saved as if nothing had happened, and fits into 25 kB', () => {
    const whole = createMonitor(shared);
    let parts = createMonitor(shared);
    const next = camera(11);
    for (let i = 0; i < 400; i++) {
      const image = next(i > 300 ? { score: 1 } : {});
      expect(parts.observe(image)).toEqual(whole.observe(image));
      if (i % 50 === 0) parts = createMonitor(shared, parts.save());
    }
    expect(parts.report()).toEqual(whole.report());
    expect(whole.save().length).toBeLessThan(25_000);
  });

  it('of another Profile, another version or no state at all is left aside', () => {
    const monitor = createMonitor(shared);
    run(monitor, 200, camera(12));
    const saved = monitor.save();
    const other = makeShared({ ...reference, profile: 'b'.repeat(64) }, {});
    for (const [state, by] of [
      [saved, other],
      [saved.subarray(0, 100), shared],
      [new Uint8Array(3), shared],
      [saved.map((byte, i) => (i < 30 ? 0xff : byte)), shared],
      [saved.subarray(0, saved.length - 1), shared],
    ] as const) {
      const fresh = createMonitor(by, state);
      expect(fresh.state).toBe('learning');
      expect(fresh.report()).toMatchObject({ images: 0, reason: expect.stringContaining('learns again') });
    }
  });

  it('merges: counts add up, evidence is the mean, the newest images are the window', () => {
    const [a, b] = [createMonitor(shared), createMonitor(shared)];
    const next = camera(13);
    for (let i = 0; i < 200; i++) (i % 2 === 0 ? a : b).observe(next());
    run(a, 40, () => next({ score: 1.5 }));
    const merged = createMonitor(shared, mergeStates(shared, [b.save(), a.save()]));
    const [ra, rb, rm] = [a.report(), b.report(), merged.report()];
    expect(rm.images).toBe(240);
    expect(rm.evidence.now).toBeLessThanOrEqual((ra.evidence.now + rb.evidence.now) / 2 + 1e-9);
    // Replicas that do not agree show the alarm of the one that raised it.
    expect(rm.evidence.share).toBe(ra.evidence.share);
    expect(rm.alarm).toMatchObject({ by: 'score', share: ra.evidence.share });
    expect(rm.window.to).toBe(ra.window.to);
    expect(createMonitor(shared, mergeStates(shared, [])).report().images).toBe(0);
    expect(mergeStates(shared, [a.save()])).toEqual(a.save());
  });
});

describe('what is said of a source', () => {
  const unknown = makeShared({ ...reference, correlation: undefined }, {});
  const glanceAfter = (monitor: Monitor, images: number, next: () => Observation) => {
    run(monitor, images, next);
    return monitor.glance();
  };

  it('while it learns: how far it is, with what is known of the memory of the stream and without', () => {
    const ordered = makeShared(
      { ...reference, correlation: { score: 25, statistics: new Float64Array(count).fill(25) } },
      {},
    );
    const monitor = createMonitor(ordered);
    const next = camera(20);
    expect(glanceAfter(monitor, 100, next).learning).toEqual({
      images: 100,
      independent: 4,
      needed: 20,
      more: 400,
      text: '4 of 20 independent images, about 400 images more',
    });
    // What it says is what it does: the state changes with the image that was said to be the last.
    expect(path(run(monitor, 399, next))).toEqual([]);
    expect(monitor.glance().learning?.more).toBe(1);
    expect(path(run(monitor, 1, next))).toEqual(['ok']);
    expect(monitor.glance().learning).toBeUndefined();
    expect(glanceAfter(createMonitor(unknown), 10, camera(21)).learning).toEqual({
      images: 10,
      needed: 20,
      more: 54,
      text: '10 images so far, and at least 54 more until it is known how alike neighbouring ones are',
    });
  });

  it('at once, when images are blocked, long before the evidence is enough: never ok while they are', () => {
    const monitor = createMonitor(unknown);
    const next = camera(22);
    const blocked = () => next({ verdict: 'block' });
    expect(glanceAfter(monitor, 4, blocked).recent.level).toBe('calm');
    expect(glanceAfter(monitor, 1, blocked).recent).toEqual({
      images: 5,
      warn: 0,
      block: 5,
      level: 'blocked',
      cause: 'fog',
    });
    expect(glanceAfter(monitor, 20, blocked)).toMatchObject({
      state: 'learning',
      recent: { images: 25, warn: 0, block: 25, level: 'blocked', cause: 'fog' },
    });
    // The scores are those of the reference: the slow monitor alone would call the source ok after 64 images.
    const [transition, ...others] = run(monitor, 200, blocked);
    expect(transition).toMatchObject({ from: 'learning', to: 'suspect', images: 64 });
    expect(transition.text).toBe('25 of the last 25 images blocked, likely fog');
    expect(others).toEqual([]);
    // It wavers less than the counts: seven passes of 25 end nothing, 19 do.
    expect(glanceAfter(monitor, 18, () => next({ verdict: 'pass' })).recent.level).toBe('blocked');
    expect(path(run(monitor, 1, () => next({ verdict: 'pass' })))).toEqual(['ok']);
    expect(monitor.glance().recent.level).toBe('calm');
  });

  it.each(['recovered', 'drifted', 'stale', 'frozen'] as const)('is not ok either on the way from %s', (from) => {
    const monitor = createMonitor(shared);
    const next = camera(23);
    run(monitor, 200, next);
    const picture = next();
    if (from === 'drifted' || from === 'recovered') run(monitor, 5, () => next({ score: 5 }));
    if (from === 'recovered') while (monitor.state !== 'recovered') monitor.observe(next());
    if (from === 'stale') for (let i = 0; i < 400; i++) monitor.tick(1_800_000_000_000 + 1000 * i);
    if (from === 'frozen') for (let i = 0; i < 20; i++) monitor.observe({ ...picture, at: picture.at + 100 * i });
    expect(monitor.state).toBe(from);
    const seen = Array.from({ length: 300 }, () => {
      monitor.observe(next({ verdict: 'block' }));
      return monitor.glance();
    });
    const bad = seen.filter(({ recent }) => recent.level === 'blocked').map(({ state }) => state);
    expect(bad.length).toBeGreaterThan(270);
    expect(new Set(bad)).not.toContain('ok');
    expect(new Set(bad)).not.toContain('recovered');
  });

  it('while it is drifted: the evidence of the alarm, and what ends it, which then does', () => {
    const monitor = createMonitor(shared);
    const next = camera(24);
    run(monitor, 200, next);
    const [alarm] = run(monitor, 10, () => next({ score: 5 })).filter(({ to }) => to === 'drifted');
    const { evidence } = monitor.report();
    expect(evidence).toMatchObject({ share: expect.any(Number), by: 'score' });
    expect(evidence.share).toBeGreaterThanOrEqual(1);
    expect(monitor.glance().alarm).toMatchObject({ by: 'score', text: expect.stringContaining('stranger') });
    expect(monitor.glance().alarm?.ends.text).toMatch(
      /^after \d+ more images, if by then the evidence is below 0.1 of an alarm/,
    );
    expect(alarm.evidence).toBeGreaterThanOrEqual(1);
    let images = monitor.glance().alarm?.ends.more ?? 0;
    expect(path(run(monitor, images - 1, next))).not.toContain('recovered');
    // A chance stretch of strange images may put it off: then it says when, anew.
    for (images = 1; monitor.state === 'drifted' && images < 200; images++) monitor.observe(next());
    expect(images).toBeLessThan(10);
    expect(monitor.state).toBe('recovered');
    expect(monitor.glance().alarm).toBeUndefined();
  });

  it('while it is frozen or stale: which of two things it is, and the state before', () => {
    const monitor = createMonitor(shared);
    const next = camera(25);
    run(monitor, 200, next);
    run(monitor, 10, () => next({ score: 5 }));
    const pictures = [next(), next(), next(), next(), next()];
    const times = (which: Observation[], count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...which[i % which.length], at: pictures[4].at + 10 * (i + 1) }));
    const frozen = times(pictures.slice(4), 12).flatMap((image) => monitor.observe(image) ?? []);
    expect(frozen[0]).toMatchObject({ to: 'frozen', text: 'the same picture came 10 times in a row' });
    expect(monitor.glance()).toMatchObject({ state: 'frozen', before: 'drifted', frozen: { pictures: 1, images: 12 } });
    expect(monitor.glance().alarm?.by).toBe('score');
    for (let i = 0; i < 400; i++) monitor.tick(1_800_000_000_000 + 1000 * i);
    expect(monitor.glance()).toMatchObject({ state: 'stale', before: 'drifted' });
    const loop = createMonitor(shared);
    run(loop, 100, next);
    for (const image of pictures) loop.observe(image);
    const looped = times(pictures, 40).flatMap((image) => loop.observe(image) ?? []);
    expect(looped[0].text).toBe('the last 5 pictures came again and again, for 10 images');
    expect(loop.glance()).toMatchObject({ state: 'frozen', before: 'ok', frozen: { pictures: 5, images: 41 } });
  });
});

describe('a stream of which nobody knows how long it remembers', () => {
  const unknown = makeShared({ ...reference, correlation: undefined }, {});

  it('shows it soon where images are independent', () => {
    const monitor = createMonitor(unknown);
    const [learnt] = run(monitor, 200, camera(14));
    expect(learnt).toMatchObject({ from: 'learning', to: 'ok', images: 64 });
    expect(monitor.report().correlationTime!.from).toBe('stream');
  });

  it('that was wrong from the start drifts as soon as that is known', () => {
    const monitor = createMonitor(unknown);
    const next = camera(15);
    expect(path(run(monitor, 70, () => next({ score: 5 })))).toEqual(['drifted']);
  });

  it('becomes suspect, and no more, by where one statistic lies: that may be a slow cycle', () => {
    const [learnt, signs] = [createMonitor(unknown), createMonitor(shared)].map((monitor) => {
      const next = camera(17);
      run(monitor, 200, next);
      const moved = (z: Float32Array) => {
        z[4] += 1;
      };
      return run(monitor, 300, () => next({ z: moved }));
    });
    expect(path(learnt)).not.toContain('drifted');
    expect(path(learnt).at(-1)).toBe('suspect');
    const what = /first signs of a change of \w+, which alone is no alarm unless the reference is ordered/;
    expect(learnt.at(-1)?.text).toMatch(what);
    for (const { text } of signs) expect(text).not.toMatch(what);
    expect(path(signs).at(-1)).toBe('drifted');
  });

  it('that hardly changes is never called ok, however strange or ordinary', () => {
    const monitor = createMonitor(unknown);
    const next = camera(16);
    const z = new Float32Array(count);
    let score = 0;
    const slow = () => {
      const image = next();
      score = 0.995 * score + 0.1 * image.z[0];
      for (let i = 0; i < count; i++) z[i] = 0.995 * z[i] + 0.1 * image.z[i];
      return { ...image, score, pValue: conformalPValue(reference.scores, score), z: z.slice() };
    };
    expect(path(run(monitor, 2000, slow))).toEqual([]);
    expect(monitor.report()).toMatchObject({ state: 'learning', reason: expect.stringContaining('remembers') });
  });
});

describe('what is seen of a standing camera', () => {
  const scene = new Scene({ traffic: 3 });
  const sketches = Array.from({ length: 140 }, (_, image) => drawSketch(scene.take(image)));

  /** Transitions of a monitor whose camera is as it was for 110 images, and then changes. */
  function run(change: (image: number) => Uint8Array, images = 30): { transitions: Transition[]; monitor: Monitor } {
    const take = camera(40);
    const monitor = createMonitor(shared);
    const transitions: Transition[] = [];
    for (let image = 0; image < 110 + images; image++) {
      const sketch = image < 110 ? sketches[image] : change(image);
      const transition = monitor.observe({ ...take(), sketch });
      if (transition) transitions.push(transition);
    }
    return { transitions, monitor };
  }

  it('a picture that stands still under noise freezes it, and counts for nothing else', () => {
    const still = scene.paint(110);
    const { transitions, monitor } = run((image) => drawSketch(addNoise(still, 2, image)));
    expect(transitions.at(-1)).toMatchObject({
      to: 'frozen',
      text: expect.stringMatching(/^the picture stands still, for 1\d images, though their bytes differ/),
    });
    expect(monitor.report()).toMatchObject({ sight: { kind: 'frozen', by: 1 }, repeats: expect.any(Number) });
    expect(monitor.report().images).toBeLessThan(130);
    expect(monitor.observe({ ...camera(41)(), sketch: sketches[5] })?.text).toBe('images come again');
  });

  it('a picture under a clock freezes it within three seconds, though five images come between two ticks', () => {
    const take = camera(40);
    const monitor = createMonitor(shared);
    for (let image = 0; image < 110; image++) monitor.observe({ ...take(), sketch: sketches[image] });
    let shown = take();
    const states = Array.from({ length: 15 }, (_, image) => {
      const sketch = sketches[110].map((value, cell) => (cell < 12 ? 40 * (1 + Math.floor(image / 5)) : value));
      shown = image % 5 === 0 ? { ...take(), sketch } : { ...shown, at: shown.at + 200 };
      monitor.observe(shown);
      return monitor.state;
    });
    expect(states[7]).not.toBe('frozen');
    expect(states[14]).toBe('frozen');
  });

  it('a camera that is moved is an alarm that says by how much, and lasts until it is back', () => {
    const { transitions, monitor } = run((image) => drawSketch(scene.take(image, { right: 0.03 })));
    expect(transitions.at(-1)).toMatchObject({ to: 'drifted' });
    expect(transitions.at(-1)?.text).toMatch(
      /^the camera was moved: the picture is shifted by (2\.[89]|3\.[012]) % of its width/,
    );
    expect(monitor.report().alarm).toMatchObject({ by: 'view' });
    expect(monitor.report().sight?.kind).toBe('moved');
  });

  it('says nothing where all stays as it was', () => {
    const { transitions, monitor } = run((image) => sketches[image]);
    expect(transitions.map(({ to }) => to)).not.toContain('drifted');
    expect(transitions.map(({ to }) => to)).not.toContain('frozen');
    expect(monitor.report()).not.toHaveProperty('sight');
    expect(monitor.report()).not.toHaveProperty('uncheckable');
  });

  it('says that colours cannot be told in infrared, of a camera whose reference has colours, and of no other', () => {
    const plain = names.filter((name) => name !== 'colourfulness').slice(0, count - 1);
    const ask = (last: string, greys: number) => {
      const monitor = createMonitor(makeShared({ ...reference, names: [...plain, last] }, {}));
      const take = camera(43);
      monitor.observe({ ...take(), isGrey: false });
      for (let i = 0; i < greys; i++) monitor.observe({ ...take(), isGrey: true });
      const before = monitor.report().uncheckable;
      monitor.observe(take());
      return { before, after: monitor.report().uncheckable };
    };
    const why = 'the last 3 images have no colour, as in infrared';
    expect(ask('colourfulness', 3)).toEqual({ before: [{ question: 'colour', why }], after: undefined });
    expect(ask('colourfulness', 2).before).toBeUndefined();
    expect(ask('a grey reference has none', 3).before).toBeUndefined();
  });

  it('knows an image without colour by its colourfulness', () => {
    const see = (colourfulness: number | null) =>
      makeObservation(
        { deviations: () => new Float64Array(0) },
        {
          ...{ verdict: 'pass', decidedBy: 'combined', pValue: 0.5, score: 0, statistics: { colourfulness } },
          ...{ image: { sha256: 'a'.repeat(64), hash: '' }, profile: { sha256: '' } },
        } as Observable,
        0,
      ).isGrey;
    expect([see(0), see(1.9), see(2), see(30), see(null)]).toEqual([true, true, undefined, undefined, undefined]);
  });

  it('says what it cannot tell: while it learns, and at night', () => {
    const monitor = createMonitor(shared);
    const take = camera(42);
    expect(monitor.report()).not.toHaveProperty('uncheckable');
    monitor.observe({ ...take(), sketch: sketches[0] });
    expect(monitor.report().uncheckable?.map(({ question }) => question)).toEqual(['standsStill', 'view']);
    const night = run((image) => sketches[image].map((value) => value / 12)).monitor.report();
    expect(night.uncheckable).toContainEqual({ question: 'standsStill', why: expect.stringMatching(/too dark/) });
    expect(night.sight).toBeUndefined();
  });
});
