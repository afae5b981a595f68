import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readPackages } from '../scripts/docs/library.ts';
import { commandTable } from '../src/cli/commands.ts';
import * as library from '../src/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const documents = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'].concat(
  readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
);
const { scripts } = JSON.parse(read('package.json'));

/** Lines of fenced blocks in the given language, continuation lines joined. */
function codeLines(text: string, language: string): string[] {
  const blocks = [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))];
  return blocks.flatMap(([, block]) => block.replaceAll('\\\n', ' ').split('\n')).filter((line) => line.trim() !== '');
}

/** Words as a reader counts them: no signs, no addresses of links. */
function listWords(text: string): string[] {
  return text.replace(/\]\([^)]*\)/g, ']').match(/[\p{L}\p{N}][\p{L}\p{N}'.%-]*/gu) ?? [];
}

/** Sentences of running text, without code, tables and headings. */
function listSentences(text: string): string[] {
  const paragraphs = text
    .replace(/^```.*?^```$/gms, '')
    .split(/\n\s*\n|\n(?=[-\d] |\d+\. )/)
    .filter((paragraph) => !/^\s*(\||#|<)/.test(paragraph));
  return paragraphs.flatMap((paragraph) => paragraph.replaceAll('\n', ' ').split(/(?<=[.?!:;])\s+/));
}

describe('the documents', () => {
  const pages = documents.filter((path) => path.startsWith('docs/') && path !== 'docs/README.md');

  it.each(pages)('lists %s in the index', (path) => {
    expect(read('docs/README.md')).toContain(`](${path.slice('docs/'.length)})`);
  });

  it.each(['README.md', 'docs/tutorial.md', 'docs/first-steps.md'])(
    '%s has no sentence of more than 35 words',
    (path) => {
      const sentences = listSentences(read(path));
      expect(sentences.length).toBeGreaterThan(10);
      expect(sentences.filter((sentence) => listWords(sentence).length > 35)).toEqual([]);
    },
  );
});

describe('generated documents', () => {
  it('are what npm run docs writes', () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/docs.ts', '--check'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});

describe('the reference of the library', () => {
  it.each(readPackages())('says what each export of $name is', ({ entries }) => {
    expect(entries.length).toBeGreaterThan(3);
    const silent = entries.filter(({ comment }) => comment === '' || comment.startsWith('```'));
    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  it('shows no body of a function and no private field', () => {
    const signatures = readPackages().flatMap(({ entries }) => entries.map(({ signature }) => signature));
    expect(signatures.filter((signature) => /\breturn\b|#\w+/.test(signature))).toEqual([]);
  });
});

describe('the README', () => {
  const readme = read('README.md');
  const shell = codeLines(readme, 'sh');

  it('fits on one screen and a half: at most 120 lines and 900 words', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(120);
    expect(listWords(readme.replace(/^```.*?^```$/gms, '')).length).toBeLessThanOrEqual(900);
  });

  it('says of others what docs/performance.md measured', () => {
    const rows = [...read('docs/performance.md').matchAll(/^\| nine numbers by OpenCV .* ([\d.]+) +\|$/gm)];
    const [small, large] = rows.map(([, share]) => share);
    expect(readme).toContain(`takes ${small} at 480x360 and ${large} at 1920x1080`);
  });

  it('starts with the two commands that do all the set-up', () => {
    expect(shell.slice(0, 2).map((line) => line.split('#')[0].trim())).toEqual([
      'npm ci && npm run demo',
      'npm ci && npm test',
    ]);
  });

  it('names only scripts that exist', () => {
    const named = documents.flatMap((path) => [...read(path).matchAll(/npm run (?:-s )?([\w:]+)/g)]);
    expect(named.length).toBeGreaterThan(5);
    for (const [, script] of named) expect(Object.keys(scripts)).toContain(script);
  });

  it('names only commands and options that exist', async () => {
    const lines = documents
      .flatMap((path) => codeLines(read(path), 'sh'))
      .filter((line) => /stopline -- [a-z]/.test(line));
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) {
      const [, name, rest] = /stopline -- (\w+)([^|]*)/.exec(line)!;
      const command = await commandTable.find((entry) => entry.name === name)!.load();
      const sub = command.commands.find((one) => rest.trim().startsWith(one.name()));
      const known = [...(sub ?? command).options.flatMap(({ short, long }) => [short, long]), '--help-all', '--quiet'];
      for (const [option] of rest.matchAll(/(?<= )--?[a-z][\w-]*/g)) {
        expect(known, `${line}: ${option}`).toContain(option);
      }
    }
  });

  it('claims no speed that the benchmarks did not print', () => {
    const [, section] = /^## Performance\n(.*?)^## /ms.exec(readme)!;
    const rows = section.split('\n').filter((line) => line.startsWith('|'));
    expect(rows.length).toBeGreaterThan(3);
    for (const row of rows) expect(read('docs/performance.md')).toContain(`${row}\n`);
  });

  it('imports only what the library exports', () => {
    const [code] = [...readme.matchAll(/^```js\n(.*?)^```/gms)].map(([, block]) => block);
    const names = /import \{([^}]*)\} from 'stopline'/
      .exec(code)![1]
      .split(',')
      .map((name) => name.trim());
    for (const name of names) expect(library).toHaveProperty(name);
  });
});

describe.each(documents)('%s', (path) => {
  it('links to files and headings that exist', () => {
    for (const [, target] of read(path).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file, anchor] = target.split('#');
      const linked = file === '' ? path : join(dirname(path), file);
      expect(existsSync(join(root, linked)), target).toBe(true);
      if (anchor === undefined) continue;
      const anchors = [...read(linked).matchAll(/^#+ (.*)$/gm)].map(([, title]) => {
        return title
          .toLowerCase()
          .replace(/[^\w\s-]/g, '')
          .replaceAll(' ', '-');
      });
      expect(anchors, target).toContain(anchor);
    }
  });

  it('holds no path of the machine it was written on', () => {
    expect(read(path)).not.toMatch(/\/(home|root|work|Users)\/|https?:\/\/(?!127\.0\.0\.1|localhost)/);
  });
});
