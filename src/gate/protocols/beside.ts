import type { IncomingHttpHeaders } from 'node:http';
import { beginsAsImage, sniffText, type TextPlace } from '../bodies/encodedtext.ts';
import { base64Beginnings } from '../bodies/magic.ts';
import { describeName } from '../bodies/names.ts';
import { readPairs } from '../bodies/urlencoded.ts';
import type { FoundImages } from './protocol.ts';
import { Search } from './search.ts';
import { uninspected } from './tensor.ts';

/** A shorter query, a shorter part of a path, a shorter header holds no image. */
const fewestLetters = 40;
/** Headers that may name the address of an image; most addresses in headers are of something else. */
const imageHeader = /imag|img|photo|pict|frame/;

/** Whether the address or the headers of a request hold an image: then one is judged that has no body. */
export async function holdsImage(url: string, headers: IncomingHttpHeaders): Promise<boolean> {
  if (findInPath(url) || findInHeaders(headers)) return true;
  const query = readQuery(url);
  if (query.length < fewestLetters) return false;
  try {
    return (await findInQuery(url)) !== undefined;
  } catch {
    return true;
  }
}

/** The images of a query; undefined where there is none. What else could be one is a token or an address in most queries. */
export async function findInQuery(url: string): Promise<FoundImages | undefined> {
  const query = readQuery(url);
  const search = new Search({});
  try {
    for (const { name, place } of listFields(query)) {
      if ((await sniffText(place)) === 'image')
        await search.lookIntoText(place, `the field ${JSON.stringify(name)}`, true);
    }
  } catch (error) {
    // What cannot be read in one way is left to the upstream, unless an image stands in it.
    if (!base64Beginnings.test(query)) return undefined;
    throw error;
  }
  return search.images.length === 0 ? undefined : search.finish();
}

/** An upstream might take an image from the address or the headers, which are not judged: then not all of the request is. */
export async function lookBesideBody(
  found: FoundImages,
  url: string,
  headers: IncomingHttpHeaders,
): Promise<FoundImages> {
  if (found.unjudged) return found;
  const place = findInPath(url) ?? findInHeaders(headers) ?? (await findBesideInQuery(readQuery(url)));
  return place === undefined ? found : { ...found, unjudged: uninspected(`${place} names or holds another`) };
}

async function findBesideInQuery(query: string): Promise<string | undefined> {
  for (const { name, place } of listFields(query)) {
    if ((await sniffText(place)) !== 'other') return `the query, in ${describeName('parameter', name)},`;
  }
  return undefined;
}

function findInPath(url: string): string | undefined {
  const [path] = url.split('?', 1);
  return path.split('/').some(isImage) ? 'the path' : undefined;
}

function findInHeaders(headers: IncomingHttpHeaders): string | undefined {
  for (const [name, value = ''] of Object.entries(headers)) {
    const texts = [value].flat();
    const isNamed = imageHeader.test(name) && texts.some((text) => /^\s*[a-z]{1,10}:\/\//i.test(text));
    if (isNamed || texts.some(isImage)) return describeName('header', name);
  }
  return undefined;
}

/** Whether a short text is the base64 of an image. */
function isImage(text: string): boolean {
  return text.length >= fewestLetters && beginsAsImage(text.trim().replace(/^data:[^,]*,/i, ''));
}

function readQuery(url: string): string {
  const mark = url.indexOf('?');
  return mark < 0 ? '' : url.slice(mark + 1);
}

/** The fields of a query, also as those see it that separate them by semicolons. */
function listFields(query: string): { name: string; place: TextPlace }[] {
  const pieces = query.split('&').flatMap((field) => [field.replaceAll(';', '%3B'), ...field.split(';').slice(1)]);
  return readPairs(Buffer.from(pieces.join('&')));
}
