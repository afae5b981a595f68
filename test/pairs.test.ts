import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const long = 100;
/** Source files without a test at their own path: the test that covers them, and why it stands elsewhere. */
const unpaired: Record<string, string> = JSON.parse(readFileSync(join(root, 'test/unpaired.json'), 'utf8'));
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => /(?<!\.d)\.[jt]s$/.test(file))
  .map((file) => posix.join('src', file));
const isLong = (file: string) => readFileSync(join(root, file), 'utf8').split('\n').length - 1 > long;
const hasTest = (file: string) =>
  existsSync(join(root, file.replace(/^src\//, 'test/').replace(/\.[jt]s$/, '.test.ts')));

it(`every source file of more than ${long} lines has a test at its own path, or is named in test/unpaired.json`, () => {
  expect(sources).toContain('src/fit/fit.ts');
  expect(sources.filter((file) => isLong(file) && !hasTest(file) && !(file in unpaired))).toEqual([]);
});

it('test/unpaired.json names no file that is gone, short, or has a test at its own path', () => {
  const wrong = Object.keys(unpaired).filter((file) => !sources.includes(file) || !isLong(file) || hasTest(file));
  expect(wrong).toEqual([]);
});

it('test/unpaired.json names a test that is there, and says why', () => {
  for (const [file, reason] of Object.entries(unpaired)) {
    const [test, ...why] = reason.split(': ');
    expect(existsSync(join(root, test)), `${file}: ${test}`).toBe(true);
    expect(why.join(': '), file).toMatch(/^[a-z].{15,}\.$/);
  }
});
