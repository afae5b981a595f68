import { describe, expect, it } from 'vitest';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { describeFileFacts, FileFacts, readFileFacts } from '../../src/profile/filefacts.ts';
import { createScorer } from '../../src/profile/score.ts';
import { decideVerdict } from '../../src/profile/verdict.ts';
import { fitSynthetic, makeImage } from '../fixtures/synthetic.ts';

const profile = fitSynthetic();
const names = statistics.map(({ name }) => name);
const judge = (width: number) =>
  decideVerdict(profile, createScorer(profile, names), makeImage({ lumaP50: 5 }, { width, height: 480 }));

describe('facts of files', () => {
  it('are collected over a run, each with how many images have it and the first values', () => {
    const facts = new FileFacts();
    for (const width of [640, 640, 800, 1024, 1280]) facts.add(readFileFacts(judge(width)));
    expect(facts.list()).toEqual([{ property: 'size', count: 5, values: ['640x480', '800x480', '1024x480'] }]);
    expect(describeFileFacts(facts.list(), 5)).toEqual([
      'size in pixels never seen in the reference: all 5 images (640x480, 800x480, 1024x480, ...)',
      'if that is meant to be, --ignore size leaves it out of verdicts',
    ]);
    expect(describeFileFacts(facts.list(), 9)[0]).toContain('5 of 9 images');
  });

  it('are said of images that pass, too, and never show a checksum', () => {
    const evidence = [{ statistic: 'encoder', value: 'c0ffee', direction: 'new' as const }];
    const [fact] = readFileFacts({ reasons: [], unusual: [{ group: 'file', evidence }] });
    expect(fact).toEqual({ property: 'encoder', count: 1, values: [] });
    expect(describeFileFacts([fact], 1)[0]).toBe('encoder setting never seen in the reference: the only image');
  });

  it('are none where the file is known, and of rows that have no evidence', () => {
    expect(readFileFacts({ reasons: [{ group: 'file' }, { group: 'dark' }] })).toEqual([]);
    expect(describeFileFacts([], 5)).toEqual([]);
  });
});
