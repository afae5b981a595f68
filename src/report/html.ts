/** Marks what the tag below has made; nothing that was read from a file can carry it. */
const made: unique symbol = Symbol('markup');

/** A piece of HTML or SVG in which everything that came from elsewhere is escaped. */
export interface Markup {
  readonly [made]: string;
}

/** What may stand in a template: text and numbers are escaped, markup is kept, lists are joined, nothing adds nothing. */
export type Piece = string | number | Markup | undefined | false | readonly Piece[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/** Control characters, lone surrogates, and what would reverse the direction of the text around it. */
const unprintable = /[^\P{Cc}\n\t]|[\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

function render(piece: Piece): string {
  if (piece === undefined || piece === false) return '';
  if (typeof piece === 'object') return made in piece ? piece[made] : piece.map(render).join('');
  return String(piece)
    .replace(unprintable, '\ufffd')
    .replace(/[&<>"'`]/g, (character) => entities[character]);
}

/**
 * Template tag for HTML and SVG. Values may stand in text and in double-quoted attributes, never in tag names, scripts or
 * style sheets.
 * @example
 * html`<td title="${cause}">${share}</td>`
 */
export function html(strings: TemplateStringsArray, ...values: Piece[]): Markup {
  return { [made]: String.raw({ raw: strings }, ...values.map(render)) };
}

/** Text of our own that must not be escaped, such as the style sheet. Never of anything that was read. */
export function verbatim(text: string): Markup {
  return { [made]: text };
}

/** The finished text. */
export function toText(markup: Markup): string {
  return markup[made];
}
