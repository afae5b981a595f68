/**
 * Looks at the site that was built, as a reader would: every document is a page, and what people look for is found by the search of
 * the site among the first five answers. Dead links have failed the build before.
 */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import MiniSearch from 'minisearch';
import { searchOptions } from './.vitepress/search.js';

const site = fileURLToPath(new URL('../artifacts/site/', import.meta.url));
const docs = fileURLToPath(new URL('../docs/', import.meta.url));

/** What is typed into the search, and the pages or headings that answer it. */
const questions = [
  ['rtsp camera', /^\/watch/],
  ['too many false alarms', /^\/false-alarms/],
  ['fastapi', /^\/(first-steps|python|gate)/],
  ['webhook signature', /^\/operations#alerts/],
  ['helm', /^\/(containers|first-steps)/],
  ['s3 bucket nightly', /^\/nightly/],
  ['how large a machine', /^\/sizing/],
  ['opentelemetry', /^\/operations#traces/],
  ['docker compose', /^\/containers#docker-compose/],
  ['gitlab', /^\/(ci|first-steps)/],
  ['notebook', /^\/(first-steps|python)/],
  ['express middleware', /^\/gate/],
  ['objects of a detector', /^\/(drift|commands)/],
  ['alertmanager', /^\/(operations|first-steps|containers|watch)/],
  ['how many images', /^\/reference-images/],
  ['exit status', /^\/(ci|errors|commands)/],
  ['grafana dashboard', /^\/(operations|containers|first-steps)/],
  ['tensorflow savedmodel', /^\/models/],
  ['accept new normal', /^\/(gate|false-alarms|labelling)/],
  ['IMAGE_TRUNCATED', /^\/errors/],
  ['triton', /^\/(gate|first-steps)/],
  ['api key', /^\/(containers|operations|commands)/],
  ['upgrade', /^\/operations#upgrades/],
  ['pandas', /^\/(python|first-steps)/],
];

const missing = readdirSync(docs)
  .filter((name) => name.endsWith('.md') && name !== 'README.md')
  .filter((name) => !existsSync(`${site}${name.replace(/md$/, 'html')}`));
if (missing.length > 0)
  throw new Error(`Expected a page for every document but these have none: ${missing.join(', ')}`);

const chunks = `${site}assets/chunks/`;
const [index] = readdirSync(chunks).filter((name) => name.startsWith('@localSearchIndexroot'));
const { default: json } = await import(pathToFileURL(chunks + index).href);
// As the search box of VitePress asks it.
const search = MiniSearch.loadJSON(json, {
  fields: ['title', 'titles', 'text'],
  storeFields: ['title', 'titles'],
  searchOptions,
});
const lost = [];
for (const [typed, expected] of questions) {
  const found = search.search(typed).map(({ id }) => String(id).replace('.html', ''));
  const place = found.findIndex((id) => expected.test(id)) + 1;
  console.log(`${typed}: ${place === 0 ? 'not found' : `${place}. ${found[place - 1]}`}`);
  if (place === 0 || place > 5) lost.push(`${typed} (first: ${found.slice(0, 3).join(', ')})`);
}
if (lost.length > 0) throw new Error(`Expected the search to find, among its first five answers: ${lost.join('; ')}`);
