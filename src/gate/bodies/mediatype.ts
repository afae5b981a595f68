import { StoplineError } from '../../errors.ts';
import { quoteWord } from './names.ts';

/** A content type: what comes before the parameters in lower case, and the parameters. */
export interface MediaType {
  name: string;
  parameters: ReadonlyMap<string, string>;
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const namePattern = new RegExp(`^${token}/${token}$`);
const parameterPattern = new RegExp(`^\\s*(${token})=(?:(${token})|"([^"\\\\\\x00-\\x1f\\x7f]*)")\\s*(?:;|$)`);

/**
 * Reads a content type or a disposition strictly: readers differ in which of two parameters of one name they take, in
 * parameters in pieces (RFC 2231) and in what they make of backslashes.
 * @throws {StoplineError} REQUEST_TYPE
 */
export function readMediaType(header = ''): MediaType {
  const semicolon = header.indexOf(';');
  const name = (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
  if (name !== '' && !namePattern.test(name)) throw unclear();
  return { name, parameters: readParameters(semicolon < 0 ? '' : header.slice(semicolon + 1)) };
}

/** Codings in which every letter of ASCII is itself and part of nothing else. */
const plainCharset = /^(utf-?8|(us-)?ascii|iso-?8859-\d{1,2}|latin-?\d|windows-125\d)$/i;

/** JSON is UTF-8; some readers take it for what its charset says. @throws {StoplineError} REQUEST_TYPE */
export function checkCharset({ parameters }: MediaType): void {
  const charset = parameters.get('charset') ?? 'utf-8';
  if (plainCharset.test(charset)) return;
  throw new StoplineError('REQUEST_TYPE', `Expected JSON in UTF-8 but received ${quoteWord(charset)}.`);
}

/**
 * Checks the type of a body on a path where model servers read JSON, whatever its type says: clients send it under many names, but
 * none as a form, in which others would see fields.
 * @throws {StoplineError} REQUEST_TYPE
 */
export function checkJsonType(header: string | undefined): void {
  const type = readMediaType(header);
  checkCharset(type);
  if (!type.name.startsWith('multipart/')) return;
  throw new StoplineError('REQUEST_TYPE', 'Expected JSON but received a form.');
}

/** @throws {StoplineError} REQUEST_TYPE */
export function readParameters(text: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  let rest = text;
  while (rest.trim() !== '') {
    const match = parameterPattern.exec(rest);
    if (!match) throw unclear();
    const [whole, written, bare, quoted] = match;
    const name = written.toLowerCase();
    if (parameters.has(name) || (name.includes('*') && name !== 'filename*')) throw unclear();
    parameters.set(name, bare ?? quoted);
    rest = rest.slice(whole.length);
  }
  return parameters;
}

function unclear(): StoplineError {
  return new StoplineError(
    'REQUEST_TYPE',
    `Expected a header with each parameter once and in a plain form but received another.`,
  );
}
