import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../../src/server/log.ts';

/** What is written of one line. */
function write(logFormat: 'auto' | 'json' | 'pretty', isTTY: boolean): string {
  let text = '';
  const output = Object.assign(
    new Writable({
      write(chunk, _, done) {
        text += chunk;
        done();
      },
    }),
    { isTTY },
  );
  const logger = createLogger({ logLevel: 'info', logFormat }, output);
  logger.debug('not this');
  logger.info({ source: 'gate-3', verdict: 'warn' }, 'judged');
  return text;
}

describe('what the service logs', () => {
  it('goes to one terminal from any number of services, which leave nothing behind there', () => {
    const output = Object.assign(new Writable({ write: (_chunk, _encoding, done) => done() }), { isTTY: true });
    const known = output.eventNames();
    for (let i = 0; i < 20; i++) createLogger({ logLevel: 'info', logFormat: 'auto' }, output).info('hello');
    expect(output.eventNames()).toEqual(known);
  });

  it.each([
    ['auto', false],
    ['json', true],
    ['json', false],
  ] as const)('is JSON for programs: %s, on a terminal: %s', (format, isTTY) => {
    expect(JSON.parse(write(format, isTTY))).toMatchObject({
      level: 30,
      msg: 'judged',
      source: 'gate-3',
      verdict: 'warn',
    });
  });

  it.each([
    ['auto', true],
    ['pretty', true],
    ['pretty', false],
  ] as const)('is a line for people: %s, on a terminal: %s', (format, isTTY) => {
    const text = write(format, isTTY);
    expect(text.trim().split('\n')).toHaveLength(1);
    const plain = stripVTControlCharacters(text);
    expect(plain).toMatch(/^\[\d\d:\d\d:\d\d\] INFO: judged .*"source":"gate-3".*"verdict":"warn"/);
    if (!isTTY) expect(text).toBe(plain);
  });
});
