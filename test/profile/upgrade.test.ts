import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { constantProperties } from '../../src/image/measured.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import type { Cause } from '../../src/profile/diagnosis.ts';
import { loadProfile } from '../../src/profile/file.ts';
import { createScorer, type DetectorScore } from '../../src/profile/score.ts';
import { decideVerdict } from '../../src/profile/verdict.ts';
import { makeImage } from '../fixtures/synthetic.ts';

/** What an earlier version wrote, and what it said of a few images: `test/fixtures/profiles/README.md`. */
interface Saved {
  commit: string;
  sha256: string;
  cases: {
    name: string;
    statistics: Record<string, number | null>;
    properties: Record<string, string>;
    regime: number;
    detectors: DetectorScore[];
    causes: Cause[];
  }[];
}

const path = (name: string) => fileURLToPath(new URL(`../fixtures/profiles/${name}`, import.meta.url));

describe.each(['63a478e'])('a Profile of commit %s', (commit) => {
  const saved: Saved = JSON.parse(readFileSync(path(`${commit}.json`), 'utf8'));
  const names = statistics.map(({ name }) => name);

  it('is read', async () => {
    const profile = await loadProfile(path(`${commit}.stopline`));
    expect(profile).toMatchObject({ name: `of commit ${commit}`, sha256: saved.sha256 });
  });

  it.each(saved.cases)('gives $name the scores and causes of then', async (one) => {
    const profile = await loadProfile(path(`${commit}.stopline`));
    const scorer = createScorer(profile, names);
    const vector = Float64Array.from(names, (name) => one.statistics[name] ?? Number.NaN);
    const properties = { ...one.properties, ...constantProperties(vector, profile.constants) };
    const { detectors, causes, regime } = scorer.score(vector, properties);
    expect(regime).toBe(one.regime);
    expect(detectors.map(({ name }) => name)).toEqual(one.detectors.map(({ name }) => name));
    for (const [i, { score, pValue }] of detectors.entries()) {
      expect(score).toBeCloseTo(one.detectors[i].score, 9);
      expect(pValue).toBe(one.detectors[i].pValue);
    }
    expect(causes?.map(({ cause }) => cause)).toEqual(one.causes.map(({ cause }) => cause));
    for (const [i, { probability }] of (causes ?? []).entries()) {
      expect(probability).toBeCloseTo(one.causes[i].probability, 9);
    }
  });

  it('gives reasons as one of today does', async () => {
    const profile = await loadProfile(path(`${commit}.stopline`));
    const scorer = createScorer(profile, names);
    const night = saved.cases.find(({ name }) => name === 'night') as Saved['cases'][number];
    const image = {
      ...makeImage(),
      statistics: Float64Array.from(names, (name) => night.statistics[name] ?? Number.NaN),
    };
    const { verdict, reasons } = decideVerdict(profile, scorer, image);
    expect(verdict).not.toBe('pass');
    expect(reasons[0].text).toMatch(/^much darker than the reference: median brightness \d+, usually \d+ to \d+$/);
  });
});
