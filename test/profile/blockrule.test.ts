import { describe, expect, it, test } from 'vitest';
import { parseRule } from '../../src/profile/blockrule.ts';

test.each([
  ['expectedFlipRate > 0.1', { expectedFlipRate: 0.1 }, false],
  ['expectedFlipRate >= .1', { expectedFlipRate: 0.1 }, true],
  ['pValue<1e-3', { pValue: 0.0005 }, true],
  ['  score\t<=  -2.5 ', { score: -2.5 }, true],
  ['expectedFlipRate > 0.1 and pValue < 0.01', { expectedFlipRate: 0.3, pValue: 0.5 }, false],
  ['expectedFlipRate > 0.1 or pValue < 0.01', { expectedFlipRate: 0.3, pValue: 0.5 }, true],
  ['expectedFlipRate >= 10 %', { expectedFlipRate: 0.1 }, true],
  ['expectedFlipRate > 10%', { expectedFlipRate: 0.1 }, false],
  ['pValue < 0.1 % or pValue>50%', { pValue: 0.0009 }, true],
  // `and` binds more tightly: a or (b and c).
  ['score > 1 or score > 0 and pValue < 0.5', { score: 2, pValue: 0.9 }, true],
  ['score > 0 and pValue < 0.5 or score > 3', { score: 2, pValue: 0.9 }, false],
  // What is not known does not hold, whichever way it is compared.
  ['expectedFlipRate > 0 or expectedFlipRate <= 0', {}, false],
])('%s of %j is %s', (text, numbers, holds) => {
  expect(parseRule(text).holds(numbers)).toBe(holds);
});

test('a rule says what it compares, and how it was written', () => {
  const { numbers, text } = parseRule('pValue<0.01  or expectedFlipRate > 0.1 and pValue<0.05');
  expect([...numbers].sort()).toEqual(['expectedFlipRate', 'pValue']);
  expect(text).toBe('pValue < 0.01 or expectedFlipRate > 0.1 and pValue < 0.05');
});

describe('what is not a rule is refused by name', () => {
  it.each([
    ['', 'nothing'],
    ['flipRate > 0.1', '"flipRate"'],
    ['expectedFlipRate', 'nothing after expectedFlipRate'],
    ['expectedFlipRate == 0.1', '"==" after expectedFlipRate'],
    ['expectedFlipRate > high', '"high" after expectedFlipRate >'],
    ['expectedFlipRate > 0x1', '"0x1"'],
    ['expectedFlipRate > Infinity', '"Infinity"'],
    ['expectedFlipRate > 10 % %', '"%" after expectedFlipRate > 10%'],
    ['score > 10 %', '"10%" after score >'],
    ['expectedFlipRate > 0.1 and', 'nothing before or after "and" or "or"'],
    ['or pValue < 0.1', 'nothing before or after'],
    ['pValue < 0.1 && score > 1', '"&&" after pValue < 0.1'],
    ['constructor > 1', '"constructor"'],
    ['process.exit() > 1', '"process.exit()"'],
    [`score > 1${' or score > 1'.repeat(20)}`, 'characters'],
  ])('%j', (text, what) => {
    expect(() => parseRule(text)).toThrow(
      expect.objectContaining({
        code: 'STOPLINE_ERR_OPTION_INVALID',
        message: expect.stringContaining(what),
      }),
    );
  });
});
