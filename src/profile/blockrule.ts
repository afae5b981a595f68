import { StoplineError } from '../errors.ts';
import { parseShare } from '../share.ts';

/** Numbers of a verdict that a rule may compare. */
const ruleNumbers = ['expectedFlipRate', 'pValue', 'score'] as const;
type RuleNumber = (typeof ruleNumbers)[number];

/** What a verdict knows of them; `expectedFlipRate` only where its Profile has a harm map. */
export type RuleNumbers = { pValue: number; score: number; expectedFlipRate?: number | undefined };

/** When to block, in place of the promised rate: `expectedFlipRate > 0.1 and pValue < 0.01`. */
export interface Rule {
  /** The words of the user, with single spaces. */
  text: string;
  /** What it compares. */
  numbers: ReadonlySet<RuleNumber>;
  holds(numbers: Readonly<Partial<RuleNumbers>>): boolean;
}

const compare: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
};

const maxLength = 200;

/**
 * Reads a rule: comparisons of a number with a constant, joined by `and` and `or`; `and` binds more tightly. Nothing else
 * is understood, and nothing is evaluated but comparisons.
 * @throws {StoplineError} OPTION_INVALID saying which word is not understood, and what is
 * @example
 * parseRule('expectedFlipRate > 0.1 or pValue < 0.001').holds({ expectedFlipRate: 0.3, pValue: 0.2 }); // true
 */
export function parseRule(text: string): Rule {
  const refuse = (what: string) =>
    new StoplineError(
      'OPTION_INVALID',
      `Expected blockWhen to compare ${ruleNumbers.join(', ')} by > >= < <= with a number, joined by and, or (such as "expectedFlipRate > 10% and pValue < 1%"), but received ${what}.`,
    );
  if (text.length > maxLength) throw refuse(`${text.length} characters`);
  // A percent sign belongs to the number before it, with a space between or without.
  const words = text.replace(/(\d\.?)\s+%/g, '$1%').match(/[<>]=?|[^\s<>]+/g) ?? [];
  if (words.length === 0) throw refuse('nothing');
  const numbers = new Set<RuleNumber>();
  const comparison = (part: readonly string[]): Rule['holds'] => {
    const [name, operator, constant, extra] = part;
    if (name === undefined) throw refuse('nothing before or after "and" or "or"');
    if (!ruleNumbers.some((known) => known === name)) throw refuse(JSON.stringify(name));
    if (operator === undefined || !Object.hasOwn(compare, operator))
      throw refuse(`${operator === undefined ? 'nothing' : JSON.stringify(operator)} after ${name}`);
    const limit = readConstant(name, constant);
    if (limit === undefined)
      throw refuse(`${constant === undefined ? 'nothing' : JSON.stringify(constant)} after ${name} ${operator}`);
    if (extra !== undefined) throw refuse(`${JSON.stringify(extra)} after ${name} ${operator} ${constant}`);
    const number = name as RuleNumber;
    numbers.add(number);
    const isSo = compare[operator];
    return (given) => isSo(given[number] ?? Number.NaN, limit);
  };
  const alternatives = splitAt(words, 'or').map((all) => splitAt(all, 'and').map(comparison));
  return {
    text: words.join(' '),
    numbers,
    holds: (given) => alternatives.some((all) => all.every((isSo) => isSo(given))),
  };
}

/** A number that is compared with; what is a share may be written in percent. */
function readConstant(name: string, text = ''): number | undefined {
  if (text.endsWith('%')) return name === 'score' ? undefined : parseShare(text);
  // Decimal only: what Number takes besides (hexadecimal, Infinity, nothing) is a slip of the pen.
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

function splitAt(words: readonly string[], separator: string): string[][] {
  const parts: string[][] = [[]];
  for (const word of words) {
    if (word === separator) parts.push([]);
    else parts[parts.length - 1].push(word);
  }
  return parts;
}
