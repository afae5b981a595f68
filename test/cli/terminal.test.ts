import { afterEach, describe, expect, it, vi } from 'vitest';
import { beside, picture } from '../../src/cli/picture.ts';
import {
  bar,
  bytesText,
  complain,
  duration,
  measureWidth,
  percent,
  printable,
  rangeBar,
  styled,
  table,
} from '../../src/cli/terminal.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { plainJson } from '../../src/run/rows/plainjson.ts';
import { columnName, csvCell, formatHeader, formatRow } from '../../src/run/rows/row.ts';
import { createTally } from '../../src/run/rows/tally.ts';

describe('printable', () => {
  it.each([
    ['escape sequences', 'a\u001b[31mred', 'a\ufffd[31mred'],
    ['line breaks', 'a\r\nb', 'a\ufffd\ufffdb'],
    ['C1 controls', 'a\u009b31mb', 'a\ufffd31mb'],
    ['text direction', 'gpj.\u202eexe', 'gpj.\ufffdexe'],
    ['Unicode line separators', 'a\u2028b', 'a\ufffdb'],
    ['lone surrogates', 'a\ud800b', 'a\ufffdb'],
  ])('replaces %s', (_, text, expected) => {
    expect(printable(text)).toBe(expected);
  });

  it('leaves names in other scripts alone', () => {
    expect(printable('Straße 交差点 🚦.jpg')).toBe('Straße 交差点 🚦.jpg');
  });
});

describe('rangeBar', () => {
  const reference = { p01: 10, p50: 20, p99: 40 };

  it('places p01, the median and p99 on the middle third, to scale', () => {
    // 31 cells for 10 - 30 to 40 + 30: p01 at 10, p50 at 13.3, p99 at 20.
    expect(rangeBar(-20, reference)).toBe('o         [--|------]          ');
  });

  it.each([
    ['inside', 30, '          [--|---o--]          '],
    ['above', 55, '          [--|------]    o     '],
    ['far above', 1e9, '          [--|------]         >'],
    ['far below', -1e9, '<         [--|------]          '],
  ])('shows a value %s', (_, value, expected) => {
    expect(rangeBar(value, reference)).toBe(expected);
  });

  it('has its width also where the reference has none', () => {
    expect(rangeBar(3, { p01: 2, p50: 2, p99: 2 })).toHaveLength(31);
    expect(rangeBar(0, { p01: 0, p50: 0, p99: 0 })).toHaveLength(31);
  });
});

describe('numbers and tables', () => {
  it('shows shares, sizes and times in units that people read', () => {
    expect([percent(0.01), percent(0.00826), percent(1)]).toEqual(['1 %', '0.826 %', '100 %']);
    expect([bytesText(999), bytesText(204_311), bytesText(2_697_384)]).toEqual(['999 B', '204 kB', '2.7 MB']);
    expect([duration(5.2), duration(600), duration(7500)]).toEqual(['5 s', '10 min', '2 h 5 min']);
  });

  it('never draws an empty bar for a share above 0', () => {
    expect([bar(0, 10), bar(0.001, 10), bar(0.5, 10), bar(1, 10)]).toEqual(['', '#', '#####', '##########']);
  });

  it('aligns columns by what is seen, not by escape sequences', () => {
    const rows = [
      ['\u001b[31mab\u001b[39m', '1', 'x'],
      ['abcd', '100', 'y'],
    ];
    expect(table(rows, [1])).toBe('\u001b[31mab\u001b[39m      1  x\nabcd  100  y');
  });

  it('leaves text plain where standard output is no terminal', () => {
    if (process.stdout.isTTY) return expect(styled('red', 'a')).toContain('a');
    expect(styled('red', 'a')).toBe('a');
  });
});

describe('picture', () => {
  const frame = (width: number, height: number, channels: 1 | 3 | 4, data: number[]) =>
    picture({ data: Uint8Array.from(data), width, height, channels });

  it('puts two pixels into a character, the upper in front of the lower', async () => {
    const [red, green, blue, white] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]; // biome-ignore format: pixels
    expect(await frame(2, 2, 3, [red, green, blue, white].flat())).toEqual([
      '\u001b[38;2;255;0;0;48;2;0;0;255m\u2580\u001b[38;2;0;255;0;48;2;255;255;255m\u2580\u001b[0m',
    ]);
  });

  it('shows grey images, leaves transparency out and the place below an odd last row as it is', async () => {
    const odd = '\u001b[38;2;7;7;7;48;2;8;8;8m\u2580\u001b[0m';
    expect(await frame(1, 3, 1, [7, 8, 9])).toEqual([odd, '\u001b[38;2;9;9;9;49m\u2580\u001b[0m']);
    expect(await frame(1, 1, 4, [1, 2, 3, 0])).toEqual(['\u001b[38;2;1;2;3;49m\u2580\u001b[0m']);
  });

  it('is small, whatever the image, and of its shape', async () => {
    const wide = await frame(1280, 720, 1, new Array(1280 * 720).fill(9));
    expect([wide.length, measureWidth(wide[0])]).toEqual([13, 44]);
    const tall = await frame(100, 1000, 1, new Array(100_000).fill(9));
    expect([tall.length, measureWidth(tall[0])]).toEqual([14, 3]);
  });

  it('stands beside the table where there is room, else above it', () => {
    const drawn = ['\u001b[31mXX\u001b[0m', 'XX'];
    expect(beside(['abc'], drawn, 7)).toEqual(['abc  \u001b[31mXX\u001b[0m', '     XX']);
    expect(beside(['abc'], drawn, 6)).toEqual([...drawn, '', 'abc']);
    expect([beside([], drawn, 80), beside(['abc'], [], 80)]).toEqual([drawn, ['abc']]);
  });
});

describe('rows', () => {
  it.each([
    ['a formula', '=HYPERLINK("http://x")', '"\'=HYPERLINK(""http://x"")"'],
    ['a plus sign', '+1+1', "'+1+1"],
    ['a minus sign in text', '-1+1', "'-1+1"],
    ['an at sign', '@SUM(A1)', "'@SUM(A1)"],
    ['a tab', '\t=1', '"\'\t=1"'],
    ['a comma', 'a,b', '"a,b"'],
    ['a quote', 'a"b', '"a""b"'],
    ['a line break', 'a\nb', '"a\nb"'],
    ['a line break ahead', '\n=1', '"\'\n=1"'],
    ['a formula in full width', '＝1+1', "'＝1+1"],
    ['a formula behind another separator', 'a;=1+1', '"a;=1+1"'],
    ['a formula behind a tab', 'a\t=1+1', '"a\t=1+1"'],
    ['plain text', 'a b', 'a b'],
  ])('writes %s so that it is read back as text', (_, cell, expected) => {
    expect(csvCell(cell)).toBe(expected);
  });

  it('says in JSON whatever would steer a terminal, and nothing of it as it is', () => {
    const name = 'a\u001b[2J\u009b31m\u007f\u202egnp.\u200f\u2028\u2029\u{e0041}\r\nb';
    const line = plainJson({ name, deep: [name] });
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
    expect(JSON.parse(line)).toEqual({ name, deep: [name] });
  });

  it('keeps columns of a manifest apart, whatever they are called', () => {
    const names = ['camera', 'pValue', 'manifest_pValue', 'manifest_manifest_pValue', 'manifest_camera', 'path'];
    const named = names.map(columnName);
    expect(new Set(named).size).toBe(names.length);
    expect(named.slice(0, 2)).toEqual(['camera', 'manifest_pValue']);
  });

  it('leaves negative numbers numbers', () => {
    expect(csvCell(-1.5)).toBe('-1.5');
  });

  it('gives a row with an error as many cells as the header', () => {
    const row = { path: 'a.jpg', error: { code: 'STOPLINE_ERR_IMAGE_EMPTY', message: 'Expected, but' } };
    const header = formatHeader('csv').trimEnd().split(',');
    expect(header).toHaveLength(13 + statistics.length);
    expect(formatRow('csv', row)).toBe(
      `a.jpg,,,,,,STOPLINE_ERR_IMAGE_EMPTY,"Expected, but"${','.repeat(header.length - 8)}\r\n`,
    );
    expect(formatHeader('jsonl')).toBe('');
    expect(JSON.parse(formatRow('jsonl', row))).toEqual(row);
  });
});

describe('createTally', () => {
  it('says what many images have in common without the values of one', () => {
    const tally = createTally();
    tally.add({ path: 'a', verdict: 'warn', reasons: [{ group: 'noisy' }] });
    tally.add({ path: 'b', verdict: 'block', reasons: [{ group: 'file' }, { group: 'dark' }] });
    tally.add({ path: 'c', verdict: 'block', reasons: [{ group: 'noisy' }] });
    expect(tally.toJSON().reasons).toEqual([
      { group: 'noisy', count: 2, text: 'noisier or more disturbed than the reference' },
      { group: 'file', count: 1, text: 'from another kind of file than the reference' },
    ]);
  });

  it('counts errors by code with the first file that had each', () => {
    const tally = createTally();
    const fail = (path: string, code: string) => tally.add({ path, error: { code, message: '' } });
    fail('a', 'X');
    fail('b', 'Y');
    fail('c', 'Y');
    expect([tally.images, tally.failed]).toEqual([3, 3]);
    expect(tally.toJSON().errors).toEqual([
      { code: 'Y', count: 2, example: 'b' },
      { code: 'X', count: 1, example: 'a' },
    ]);
  });
});

describe('complain', () => {
  afterEach(() => vi.restoreAllMocks());

  /** What is written to a terminal of that width. */
  function complainAt(width: number, text: string): string {
    let written = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((piece) => {
      written += piece;
      return true;
    });
    const { isTTY, columns } = process.stderr;
    Object.assign(process.stderr, { isTTY: true, columns: width });
    complain(text);
    Object.assign(process.stderr, { isTTY, columns });
    return written;
  }

  it('breaks a sentence between words, and puts the command behind it on a line of its own', () => {
    const text =
      "stopline: unknown option '--profil' (Did you mean --profile?). See: npm run -s stopline -- help inspect";
    const lines = complainAt(50, text).trimEnd().split('\n');
    expect(lines.at(-1)).toBe('  npm run -s stopline -- help inspect');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(50);
    expect(lines.join(' ').replaceAll(/ +/g, ' ')).toBe(text);
  });

  it('leaves a command that stands by itself, or behind a word, on one line', () => {
    const text = '  try it     curl --data-binary @frame.jpg http://127.0.0.1:8080/inspect';
    expect(complainAt(40, text)).toBe(`${text}\n`);
  });
});
