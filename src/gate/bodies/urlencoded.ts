import { StoplineError } from '../../errors.ts';
import { placeText, type TextPlace } from './encodedtext.ts';

/** Most fields of a form in the encoding of URLs. */
const maxPairs = 1000;
/** Longest field in the encoding of URLs with escapes: these are undone in one go. */
const maxEscaped = 4 * 1024 * 1024;

/** What follows a semicolon where some readers see another field. */
const secondField = /^[\w.[\]%+-]{0,100}=/;
/** Semicolons that are looked behind; a data URL has one or two. */
const maxSemicolons = 100;

/**
 * The fields of a form in the encoding of URLs.
 * @throws {StoplineError} REQUEST_INVALID, REQUEST_TOO_LARGE
 */
export function readPairs(body: Buffer): { name: string; place: TextPlace }[] {
  const pairs: { name: string; place: TextPlace }[] = [];
  refuseSemicolons(body);
  for (let at = 0; at < body.length; ) {
    if (pairs.length === maxPairs) throw tooLarge(`at most ${maxPairs} fields`);
    const ampersand = body.indexOf('&', at);
    const end = ampersand < 0 ? body.length : ampersand;
    const equals = body.subarray(at, end).indexOf('=');
    const name = body.toString('utf8', at, equals < 0 ? end : Math.min(at + equals, at + 1000));
    const value = equals < 0 ? Buffer.alloc(0) : undo(body.subarray(at + equals + 1, end));
    pairs.push({ name: name.slice(0, 100), place: placeText(value) });
    at = end + 1;
  }
  return pairs;
}

/** Some readers separate fields by semicolons, too. */
function refuseSemicolons(body: Buffer): void {
  let at = body.indexOf(';');
  for (let count = 0; at >= 0; count++, at = body.indexOf(';', at + 1)) {
    if (count < maxSemicolons && !secondField.test(body.toString('latin1', at + 1, at + 102))) continue;
    throw new StoplineError(
      'REQUEST_INVALID',
      'Expected a form with & between its fields, and other semicolons as %3B, but received them bare.',
    );
  }
}

function undo(value: Buffer): Buffer {
  // A plus stands for a space here, and in base64 for itself: who sends it without an escape is read in two ways.
  if (value.length > 256 && value.includes('+') && !/\s|%20/.test(value.toString('latin1', 0, 4096))) {
    throw new StoplineError(
      'REQUEST_INVALID',
      'Expected base64 in a form with its plus signs as %2B but received them bare.',
    );
  }
  if (!value.includes('%')) return value;
  if (value.length > maxEscaped) throw tooLarge(`at most ${maxEscaped} bytes in a field with escapes`);
  try {
    return Buffer.from(decodeURIComponent(value.toString('latin1')));
  } catch {
    throw new StoplineError('REQUEST_INVALID', 'Expected a form in the encoding of URLs but received broken escapes.');
  }
}

function tooLarge(expected: string): StoplineError {
  return new StoplineError('REQUEST_TOO_LARGE', `Expected a form with ${expected} but received more.`);
}
