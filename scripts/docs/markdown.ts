/** Pieces of Markdown that the generated pages share. */

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
/** Words of a program as running text: what looks like a tag is none. */
export const escapeTags = (text: string) => text.replace(/<(?=[A-Za-z/])/g, '\\<');
export const code = (text: string) => `\`${text}\``;

export function table(head: string[], rows: (string | number)[][]): string {
  const line = (cells: (string | number)[]) => `| ${cells.map((text) => cell(String(text))).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A page that says what it was generated from and by which command. */
export function page(title: string, source: string, text: string, ...sections: string[]): string {
  const origin = `Generated from ${code(source)} by ${code('npm run docs')}.`;
  return `${[`# ${title}`, `${text} ${origin}`, ...sections].join('\n\n')}\n`;
}
