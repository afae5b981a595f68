import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { StoplineError } from '../../errors.ts';
import { quotePath, unreadable } from '../../image/file.ts';
import { isObjectUrl } from '../objects.ts';

/** What a labelling tool gave back. */
export interface Accepted {
  /** Paths of the images that somebody found to be as they should be. */
  paths: string[];
  /** Images that somebody labelled otherwise, and that nobody labelled. */
  others: number;
}

export interface AcceptedOptions {
  /** The label that says that an image is as it should be. */
  label?: string | undefined;
  /** The folder in which the names that the tool has begin; default: that of the file, or the path that `export` was given. */
  root?: string | undefined;
}

/** One image of a file of labels. */
interface Labelled {
  /** Its path as `export` was given it, where the tool keeps it. */
  path?: string | undefined;
  /** What the tool calls it. */
  name: string;
  labels: string[];
}

/** Whether a path is a file of labels by its name, and no image. */
export function isLabelFile(path: string): boolean {
  return !isObjectUrl(path) && /\.(json|jsonl|ndjson|xml)$/i.test(path);
}

/**
 * The images that a file of labels accepts: COCO, Label Studio (JSON and JSON-MIN), CVAT for images, FiftyOne (`write_json`), or JSON lines
 * with `label`, told apart by what stands in the file.
 * @throws {StoplineError} INPUT_NOT_FOUND, INPUT_UNREADABLE; REQUEST_INVALID for a file of another kind, or one that accepts nothing
 */
export async function readAccepted(file: string, { label = 'accept', root }: AcceptedOptions = {}): Promise<Accepted> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw unreadable(file, cause);
  });
  const labelled = /^\s*</.test(text.replace(/^\ufeff/, '')) ? readCvat(text) : readJson(text);
  if (!labelled) {
    throw new StoplineError(
      'REQUEST_INVALID',
      `Expected labels of COCO, Label Studio, CVAT or FiftyOne, or JSON lines with a label, in ${quotePath(file)} but received something else.`,
    );
  }
  const accepted = labelled.filter(({ labels }) => labels.includes(label));
  if (accepted.length === 0) {
    const seen = [...new Set(labelled.flatMap(({ labels }) => labels))].slice(0, 10).map((one) => JSON.stringify(one));
    throw new StoplineError(
      'REQUEST_INVALID',
      `Expected images labelled ${JSON.stringify(label)} in ${quotePath(file)} but its ${labelled.length} images have ${seen.join(', ') || 'no labels'}. Name the label that accepts: --accept-label NAME`,
    );
  }
  const nameless = accepted.find(({ path, name }) => !(root === undefined && path) && name === '');
  if (nameless) {
    throw new StoplineError(
      'REQUEST_INVALID',
      `Expected the name of every image labelled ${JSON.stringify(label)} in ${quotePath(file)} but one has none.`,
    );
  }
  const start = root ?? dirname(file);
  const paths = [...new Set(accepted.map(({ path, name }) => (root === undefined && path) || locate(name, start)))];
  return { paths, others: labelled.length - accepted.length };
}

/** Where an image lies by the name that a tool has for it. */
function locate(name: string, root: string): string {
  const local = /^\/data\/local-files\/\?d=(.*)$/.exec(name);
  if (local) return resolve(root, decodeName(local[1]));
  if (isObjectUrl(name) || isAbsolute(name)) return name;
  return join(root, name);
}

/** @throws {StoplineError} REQUEST_INVALID */
function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new StoplineError(
      'REQUEST_INVALID',
      `Expected the name of an image in the encoding of URLs but received ${quotePath(text)}.`,
      { cause },
    );
  }
}

function readJson(text: string): Labelled[] | undefined {
  const whole = parse(text);
  if (whole === undefined) {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    return readLines(lines.map(parse));
  }
  if (Array.isArray(whole)) return whole.every(isObject) ? whole.map(readTask) : undefined;
  if (!isObject(whole)) return undefined;
  if (Array.isArray(whole.samples)) return whole.samples.filter(isObject).map(readSample);
  if (Array.isArray(whole.images) && Array.isArray(whole.annotations)) return readCoco(whole);
  return readLines([whole]);
}

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const asText = (value: unknown) => (typeof value === 'string' ? value : undefined);
const listTexts = (value: unknown) => (Array.isArray(value) ? value : [value]).filter((one) => typeof one === 'string');

function readLines(rows: readonly unknown[]): Labelled[] | undefined {
  const isLine = (row: unknown): row is Json => isObject(row) && typeof (row.path ?? row.image) === 'string';
  if (rows.length === 0 || !rows.every(isLine)) return undefined;
  return rows.map(({ path, image, label }) => ({
    path: asText(path),
    name: asText(image) ?? '',
    labels: listTexts(label),
  }));
}

/** A task of Label Studio: with annotations, or flat as JSON-MIN. What was skipped or only predicted is not a label. */
function readTask(task: Json): Labelled {
  const data = isObject(task.data) ? task.data : task;
  const annotations = Array.isArray(task.annotations) ? task.annotations.filter(isObject) : undefined;
  const results = annotations
    ?.filter(({ was_cancelled }) => was_cancelled !== true)
    .flatMap(({ result }) => (Array.isArray(result) ? result.filter(isObject) : []));
  const labels = results
    ? results.flatMap(({ value }) => (isObject(value) && value.choices ? listTexts(value.choices) : []))
    : listTexts(task.label).concat(isObject(task.label) ? listTexts(task.label.choices) : []);
  return { path: asText(data.path), name: asText(data.image) ?? '', labels };
}

/** A sample of FiftyOne: its tags, and what it is classified as. */
function readSample(sample: Json): Labelled {
  const classified = Object.values(sample).flatMap((value) =>
    isObject(value) && value._cls === 'Classification' ? listTexts(value.label) : [],
  );
  return { name: asText(sample.filepath) ?? '', labels: [...listTexts(sample.tags), ...classified] };
}

function readCoco({ images, annotations, categories }: Json): Labelled[] {
  const names = new Map(
    (Array.isArray(categories) ? categories : []).filter(isObject).map(({ id, name }) => [id, name]),
  );
  const labels = new Map<unknown, string[]>();
  for (const { image_id, category_id } of (annotations as unknown[]).filter(isObject)) {
    const name = asText(names.get(category_id));
    if (name === undefined) continue;
    const known = labels.get(image_id);
    if (known) known.push(name);
    else labels.set(image_id, [name]);
  }
  return (images as unknown[])
    .filter(isObject)
    .map(({ id, file_name }) => ({ name: asText(file_name) ?? '', labels: labels.get(id) ?? [] }));
}

/** The tags of whole images in an XML file of CVAT, which its writer escapes: no `<` or `>` stands within an attribute. */
function readCvat(text: string): Labelled[] | undefined {
  if (!/<annotations\b/.test(text)) return undefined;
  const images: Labelled[] = [];
  for (const [, kind, attributes] of text.matchAll(/<(image|tag)\b([^<>]*)>/g)) {
    if (kind === 'image') images.push({ name: readAttribute(attributes, 'name'), labels: [] });
    else images.at(-1)?.labels.push(readAttribute(attributes, 'label'));
  }
  return images;
}

function readAttribute(text: string, name: string): string {
  const [, double, single] = new RegExp(`\\s${name}=(?:"([^"]*)"|'([^']*)')`).exec(text) ?? [];
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return (double ?? single ?? '').replace(/&(?:(\w+)|#(\d+)|#x([\da-f]+));/gi, (whole, entity, decimal, hex) => {
    if (entity) return entities[entity] ?? whole;
    const sign = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return sign <= 0x10ffff ? String.fromCodePoint(sign) : whole;
  });
}
