/** Names of sources in which `*` stands for any text, as one pattern; undefined for all of them. */
export function matchSources(names: readonly string[] | undefined): RegExp | undefined {
  if (names === undefined) return undefined;
  return new RegExp(`^(?:${names.map((name) => name.replace(/\./g, '\\.').replace(/\*/g, '.*')).join('|')})$`);
}
