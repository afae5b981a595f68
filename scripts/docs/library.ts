/** The reference of the library: every export of the package with its signature and doc comment, read from the sources. */
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Comment, parseSync } from 'oxc-parser';
import { code, page, table } from './markdown.ts';

const source = fileURLToPath(new URL('../../src', import.meta.url));

/** One part of the source: a node of the syntax tree, as far as it is looked at here. */
interface Node {
  type: string;
  start: number;
  end: number;
  // biome-ignore lint/suspicious/noExplicitAny: the fields depend on the type of the node.
  [field: string]: any;
}

interface Parsed {
  text: string;
  comments: Comment[];
  body: Node[];
}

interface Entry {
  name: string;
  kind: 'function' | 'class' | 'interface' | 'type' | 'value';
  /** TypeScript, without bodies. */
  signature: string;
  /** The doc comment as Markdown, empty where there is none. */
  comment: string;
}

/** What each entry of the package exports; entries that are no code, such as package.json, are left out. */
export function readPackages(): { name: string; entries: Entry[] }[] {
  const { exports } = JSON.parse(readFileSync(join(source, '../package.json'), 'utf8'));
  return Object.keys(exports)
    .filter((path) => !path.endsWith('.json'))
    .map((path) => ({
      name: posix.join('stopline', path),
      entries: readExports(path === '.' ? 'index.ts' : `${path.slice(2)}.ts`),
    }));
}

export function renderLibraryPage(): string {
  const sections = readPackages().map(({ name, entries }) => {
    const isCalled = ({ kind }: Entry) => kind === 'function' || kind === 'value' || kind === 'class';
    const called = entries.filter(isCalled);
    const types = entries.filter((one) => !isCalled(one));
    return [
      `## Exports of ${name}`,
      table(
        ['export', 'what it is'],
        called.map((one) => [`[${one.name}](#${one.name.toLowerCase()})`, firstSentence(one.comment)]),
      ),
      ...[...called, ...types].map(renderEntry),
    ].join('\n\n');
  });
  return page(
    'Library',
    'src/index.ts',
    `Every export of the package, with its signature. What is not listed here may change at any time. Every error is a ${code('StoplineError')} with a code of [errors.md](errors.md).`,
    ...sections,
  );
}

function renderEntry({ name, signature, comment }: Entry): string {
  return [`### ${name}`, comment, `\`\`\`ts\n${signature}\n\`\`\``].filter((part) => part !== '').join('\n\n');
}

function firstSentence(comment: string): string {
  return comment.split(/(?<=\.)\s|\n\n|:$/m)[0];
}

const parsedFiles = new Map<string, Parsed>();

function parse(file: string): Parsed {
  let parsed = parsedFiles.get(file);
  if (parsed === undefined) {
    const text = readFileSync(join(source, file), 'utf8');
    const { program, comments } = parseSync(file, text);
    parsed = { text, comments, body: program.body as unknown as Node[] };
    parsedFiles.set(file, parsed);
  }
  return parsed;
}

/** What an entry of the package exports, in the order of its lines. */
function readExports(entry: string): Entry[] {
  const { body } = parse(entry);
  const entries = body.flatMap((node) => {
    if (node.type !== 'ExportNamedDeclaration' || node.source === null) return [];
    const file = posix.join(posix.dirname(entry), node.source.value);
    return node.specifiers.map((specifier: Node) => readEntry(file, specifier.exported.name));
  });
  const own = body
    .filter((node) => node.type === 'ExportNamedDeclaration' && node.declaration !== null)
    .map((node) => readEntry(entry, declaredName(node.declaration)));
  const main = body.find((node) => node.type === 'ExportDefaultDeclaration');
  return main === undefined ? [...entries, ...own] : [readEntry(entry, findDefault(main)), ...entries, ...own];
}

/** The name of what a file exports by default: a function of its own, or one that is passed to a wrapper. */
function findDefault({ declaration }: Node): string {
  if (declaration.type === 'CallExpression') return declaration.arguments[0].name;
  return declaration.type === 'Identifier' ? declaration.name : declaration.id.name;
}

function declaredName(declaration: Node): string {
  return declaration.type === 'VariableDeclaration' ? declaration.declarations[0].id.name : declaration.id.name;
}

/** @throws {Error} The file does not declare the name: it passes it on from elsewhere, which no room does. */
function readEntry(file: string, name: string): Entry {
  const parsed = parse(file);
  for (const node of parsed.body) {
    const declaration = node.type === 'ExportNamedDeclaration' ? node.declaration : node;
    if (declaration === null || !/Declaration$/.test(declaration.type) || declaration.type === 'ImportDeclaration')
      continue;
    if (node.type === 'ExportAllDeclaration' || node.type === 'ExportDefaultDeclaration') continue;
    if (declaredName(declaration) === name) return describe(parsed, name, node, declaration);
  }
  throw new Error(`${file} declares no ${name}`);
}

function describe(parsed: Parsed, name: string, node: Node, declaration: Node): Entry {
  const comment = renderComment(findComment(parsed, node.start));
  const { text } = parsed;
  switch (declaration.type) {
    case 'FunctionDeclaration':
      return { name, kind: 'function', comment, signature: cutBody(text, declaration) };
    case 'ClassDeclaration':
      return { name, kind: 'class', comment, signature: outlineClass(parsed, declaration) };
    case 'TSInterfaceDeclaration':
      return { name, kind: 'interface', comment, signature: text.slice(declaration.start, declaration.end) };
    case 'TSTypeAliasDeclaration':
      return { name, kind: 'type', comment, signature: text.slice(declaration.start, declaration.end) };
    default:
      return { name, kind: 'value', comment, signature: outlineValue(text, declaration) };
  }
}

/** A signature ends where the body begins. */
function cutBody(text: string, declaration: Node): string {
  return `${text.slice(declaration.start, declaration.body.start).trim()};`;
}

/** Constructor, methods and fields that the caller may use, each without its body. */
function outlineClass(parsed: Parsed, declaration: Node): string {
  const { text } = parsed;
  const head = text.slice(declaration.start, declaration.body.start).trim();
  const members = declaration.body.body
    .filter((member: Node) => member.key?.type !== 'PrivateIdentifier' && member.accessibility !== 'private')
    .map((member: Node) => {
      const body = member.value?.body;
      const end = body?.start ?? member.value?.start ?? member.end;
      const line = text.slice(member.start, end).trim().replace(/\s*=$/, '').replace(/;$/, '');
      const comment = findComment(parsed, member.start);
      return `${comment === '' ? '' : `  ${comment}\n`}  ${line};`;
    });
  return `${head} {\n${members.join('\n')}\n}`;
}

/** A constant is its type where that is written, and its value where that is short. */
function outlineValue(text: string, declaration: Node): string {
  const [{ id, init }] = declaration.declarations;
  const named = text.slice(id.start, id.end);
  const value = text.slice(init.start, init.end);
  return `const ${named}${value.length <= 400 && !named.includes(':') ? ` = ${value}` : ''};`;
}

/** The doc comment that stands right before a place, as it is written. */
function findComment({ text, comments }: Parsed, start: number): string {
  const comment = comments.findLast(
    (one) =>
      one.type === 'Block' && one.value.startsWith('*') && one.end <= start && text.slice(one.end, start).trim() === '',
  );
  return comment === undefined ? '' : text.slice(comment.start, comment.end);
}

/** TSDoc as Markdown: examples become code, errors and parameters become lists. */
function renderComment(comment: string): string {
  const lines = comment
    .replace(/^\/\*\*/, '')
    .replace(/\*\/$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd());
  const [text, ...tags] = lines.join('\n').trim().split(/^@/m);
  const rendered = tags.map((tag) => {
    const [, name, rest] = /^(\w+)\s*(.*)$/s.exec(tag.trim()) as RegExpExecArray;
    if (name === 'example') return `\`\`\`js\n${rest.trim()}\n\`\`\``;
    if (name === 'throws') return `Throws ${joinLines(rest.replace(/^\{(\w+)\}\s*/, '`$1` '))}`;
    if (name === 'returns') return `Returns ${joinLines(rest)}`;
    if (name === 'param') return joinLines(rest.replace(/^(\S+)\s*/, '`$1`: '));
    return joinLines(`${name}: ${rest}`);
  });
  return [joinLines(text.trim()), ...rendered].filter((part) => part !== '').join('\n\n');
}

/** Paragraphs keep apart, lines within one do not. `{@link name}` is a name. */
function joinLines(text: string): string {
  return text
    .replace(/\{@link\s+([^}]+)\}/g, '`$1`')
    .split(/\n\s*\n/)
    .map((paragraph) => (/^\s*[-*|] /m.test(paragraph) ? paragraph : paragraph.replaceAll('\n', ' ')))
    .join('\n\n');
}
