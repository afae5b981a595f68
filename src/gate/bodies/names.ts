/**
 * A name out of a request, such as that of a field, an input or a part, as a refusal may tell it: a plain word in quotation
 * marks, so that somebody who calls a field wrongly finds it, and of anything else only that it is there. Whatever else came
 * in a body is told to nobody: refusals stand in answers, in logs and in what a gate lists.
 * @param what `field`, `input`, `part`
 * @example
 * describeName('field', 'img'); // the field "img"
 * describeName('field', 'aGVsbG8gd29ybGQ='); // a field with another name than a plain word
 */
export function describeName(what: string, name: string): string {
  return isWord(name) ? `the ${what} "${name}"` : `a ${what} with another name than a plain word`;
}

/** A short text of letters and digits as it came, and of any other only that it is one. */
export function quoteWord(text: string): string {
  return isWord(text) ? `"${text}"` : 'another text';
}

/** A name without what some readers do not mind: case, also of the letters beyond ASCII that are folded to one of it (`ſ`, `K`). */
export function foldCase(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/**
 * The name that the laxest readers of forms take a name for: they undo escapes, end it at a zero byte or a bracket (`image[]`),
 * leave out white space, and write full stops and spaces as `_`.
 */
export function foldName(name: string): string {
  const [bare] = undoEscapes(name).split(/[\0[]/, 1);
  return foldCase(bare.trim()).replace(/[. ]/g, '_');
}

function undoEscapes(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

function isWord(text: string): boolean {
  return /^[\w.-]{1,40}$/.test(text);
}
