/** The documents of the repository as a site: the same Markdown, searched in the browser, with nothing loaded from elsewhere. */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { searchOptions } from './search.js';

const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
const pages = fileURLToPath(new URL('../pages/', import.meta.url));
// The build finds its modules only from pages within this folder.
rmSync(pages, { recursive: true, force: true });
cpSync(docs, pages, { recursive: true });
const index = readFileSync(`${docs}README.md`, 'utf8');

/** The index of the documents is the sidebar, so the two cannot differ: its headings are groups, its links are pages. */
const sidebar = index
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    text: section.slice(0, section.indexOf('\n')),
    items: [...section.matchAll(/\[([^\]]+)\]\((?!\.\.)([\w-]+)\.md\)/g)].map(([, text, page]) => ({
      text,
      link: `/${page}`,
    })),
  }))
  .filter(({ items }) => items.length > 0);

export default {
  title: 'Stopline',
  description: 'Is this image still like the ones the classifier was trained on?',
  srcDir: 'pages',
  outDir: '../artifacts/site',
  cacheDir: '../node_modules/.cache/stopline-site',
  rewrites: { 'README.md': 'index.md' },
  cleanUrls: true,
  // Headings such as `GET /drift/{source}` are no attributes.
  markdown: { html: false, attrs: { disable: true } },
  lastUpdated: false,
  // Pages of the repository that are no documents: README, CHANGELOG, examples. Every other dead link fails the build.
  ignoreDeadLinks: [/^(\.\/)?\.\.\//],
  themeConfig: { sidebar, outline: [2, 3], search: { provider: 'local', options: { miniSearch: { searchOptions } } } },
};
