import { describe, expect, it } from 'vitest';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { capital, explainUnit, inSentence, labelStatistic } from '../../src/profile/labels.ts';

describe('statistics', () => {
  it('have a plain label and an explained unit, every one of them', () => {
    for (const { name, unit } of statistics) {
      const label = labelStatistic(name);
      expect(label, name).toMatch(/^[A-Z0-9]/);
      expect(label, name).not.toMatch(/[a-z][A-Z]|mscn/);
      expect(label.length, `${name}: ${label}`).toBeLessThan(95);
      expect(explainUnit(unit), name).not.toBe('');
    }
  });

  it('are called by the short name that reasons give them, else by what they mean, else by their name', () => {
    expect(labelStatistic('lumaP50')).toBe('Median brightness');
    expect(labelStatistic('meanR')).toBe('Mean of red');
    expect(labelStatistic('ofAnotherVersion')).toBe('Of another version');
  });

  it('begin small within a sentence, but for names such as JPEG', () => {
    expect(inSentence('Median brightness')).toBe('median brightness');
    expect(inSentence('JPEG quality')).toBe('JPEG quality');
    expect(capital('')).toBe('');
  });
});
