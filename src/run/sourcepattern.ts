/** Whether a name is one of those that were asked for. */
export interface SourceMatch {
  test(name: string): boolean;
}

/**
 * Names of sources in which `*` stands for any text; undefined for all of them. Not as a regular expression, which goes back and forth:
 * `*a*a*a*a*a*a*b` against a long name would take years, and names and patterns of a run on a queue are somebody else's.
 */
export function matchSources(names: readonly string[] | undefined): SourceMatch | undefined {
  if (names === undefined) return undefined;
  const patterns = names.map((name) => name.split('*'));
  return { test: (name) => patterns.some((parts) => matches(parts, name)) };
}

/** @param parts what stands between the stars: each is looked for behind the one before, the last at the end */
function matches([first, ...rest]: readonly string[], name: string): boolean {
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
