import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { asStoplineError, errorTable, reviveError, StoplineError } from '../src/errors.ts';

const root = join(import.meta.dirname, '../src');

/** The index behind the quote, template or bracket that opens at `start`. */
function skip(text: string, start: number): number {
  const opener = text[start];
  const closer = { '(': ')', '[': ']', '{': '}' }[opener] ?? opener;
  const isText = closer === opener;
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === closer) return i + 1;
    if (isText && text[i] === '\\') i++;
    else if (isText ? opener === '`' && text.startsWith('${', i) : '([{\'"`'.includes(text[i])) {
      i = skip(text, isText ? i + 1 : i) - 1;
    } else if (!isText && text.startsWith('//', i)) i = text.indexOf('\n', i);
  }
  throw new Error(`no end of ${text.slice(start, start + 40)}`);
}

/** Source text of the arguments of the call whose bracket opens at `start`. */
function listArguments(text: string, start: number): string[] {
  const parts: string[] = [];
  let from = start + 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === ')' || text[i] === ',') {
      parts.push(text.slice(from, i).trim());
      from = i + 1;
    }
    if (text[i] === ')') return parts.filter(Boolean);
    if ('([{\'"`'.includes(text[i])) i = skip(text, i) - 1;
  }
  throw new Error('no end of the arguments');
}

/** Where the message of every error that is made stands, and how it is made. */
const messages = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return [...text.matchAll(/new StoplineError(?=\()/g)].map((match) => ({
      place: `${file}:${text.slice(0, match.index).split('\n').length}`,
      source: listArguments(text, match.index + match[0].length)[1],
    }));
  });

/** The last piece of text of an expression: what the reader sees at the end. */
function readEnding(source: string): string {
  const literals: string[] = [];
  for (let i = 0; i < source.length; i++) {
    if ('\'"`'.includes(source[i])) {
      const end = skip(source, i);
      literals.push(source.slice(i + 1, end - 1));
      i = end - 1;
    }
  }
  return literals.at(-1) ?? '';
}

describe('the message of every error that is made', () => {
  it('is found by this test', () => {
    expect(messages.length).toBeGreaterThan(290);
  });

  it('ends with a full stop, or with a command or option to type', () => {
    // A command to type would not work with a full stop behind it.
    const command =
      /(\$\{commandLine\(.*\)\}|(: |: \$\{)((npm|npx|nats|openssl|stopline) .*|\w+=\w+ npm .*|hint\}|again\})|--[\w-]+( [A-Z0-9/]+| \$\{.*\})?(, or STOPLINE_\w+)?)$/s;
    // What another error says is handed on as it is: that one is checked where it is made.
    const handedOn = /^(\w+\.)?\w+$|\b(endSentence\(.*\)|message|failed|hint|said|missing \?\? '.*\.')\}?[`)]?$/s;
    const wrong = messages.filter(({ source }) => {
      if (handedOn.test(source)) return false;
      const ending = readEnding(source);
      return !ending.endsWith('.') && !command.test(ending);
    });
    expect(wrong.map(({ place, source }) => `${place}: ...${source.slice(-90)}`)).toEqual([]);
  });

  it('says what was expected, or what happened, in a sentence that begins with a capital letter, a name or a quote', () => {
    const wrong = messages.filter(({ source }) => /^['"`] ?(?!ffmpeg )[a-z]+ /.test(source));
    expect(wrong.map(({ place, source }) => `${place}: ${source.slice(0, 60)}`)).toEqual([]);
  });
});

describe('the table of errors', () => {
  it('gives every code a meaning in a sentence, a status of HTTP and an exit code that is none of a verdict', () => {
    for (const { code, meaning, status, exit } of errorTable) {
      expect(meaning, code).toMatch(/^[A-Z].*\.$/s);
      expect(status, code).toSatisfy((value: number) => value >= 400 && value < 600);
      // 4 is what `inspect` exits with for a blocked image, and a gate refuses for the same reason.
      expect(exit, code).toSatisfy((value: number) => value === 2 || (value >= 64 && value <= 78) || value === 4);
    }
  });

  it('comes back from its JSON with the same code, status and exit', () => {
    for (const { code, status, exit } of errorTable) {
      const error = new StoplineError(code.replace('STOPLINE_ERR_', '') as 'INTERNAL', 'Expected a.');
      expect(reviveError(JSON.parse(JSON.stringify(error)))).toMatchObject({
        code,
        status,
        exit,
        message: 'Expected a.',
      });
    }
    expect(reviveError({ code: 'toString', message: 'x' }).code).toBe('STOPLINE_ERR_INTERNAL');
  });

  it('keeps a coded error, and the cause of any other', () => {
    const coded = new StoplineError('CLOSED', 'Closed.');
    expect(asStoplineError(coded)).toBe(coded);
    const other = new TypeError('x is not a function');
    expect(asStoplineError(other)).toMatchObject({ code: 'STOPLINE_ERR_INTERNAL', cause: other });
    expect(asStoplineError('two\nlines').message).toBe('two lines.');
  });
});
