import { StoplineError } from '../../errors.ts';
import { quotePath } from '../../image/file.ts';

type Json = Record<string, unknown>;

/**
 * The rows of one JSON document: an array of objects, or objects in images as COCO writes them, of which each annotation is a row with
 * `path`, `bbox`, `class` and, where a detector says it, `score`. An image without annotations is no row.
 * @throws {StoplineError} MANIFEST_INVALID
 */
export function readJsonList(text: string, file: string): Json[] {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {}
  if (Array.isArray(whole) && whole.every(isObject)) return whole;
  if (isObject(whole) && isList(whole.images) && isList(whole.annotations)) return listObjects(whole, file);
  throw new StoplineError(
    'MANIFEST_INVALID',
    `Expected an array of objects, or COCO with images and annotations, in ${quotePath(file)} but received something else.`,
  );
}

function listObjects({ images, annotations, categories }: Json, file: string): Json[] {
  const paths = mapIds(images as Json[], 'file_name', `images in ${quotePath(file)}`);
  const classes = mapIds(isList(categories) ? categories : [], 'name', `categories in ${quotePath(file)}`);
  return (annotations as Json[]).map(({ image_id, category_id, bbox, score }) => {
    if (!paths.has(image_id)) {
      throw new StoplineError(
        'MANIFEST_INVALID',
        `Expected annotations of images that ${quotePath(file)} lists but received one of image ${JSON.stringify(image_id)?.slice(0, 50)}.`,
      );
    }
    // Every row has every column, because those of the first count.
    return { path: paths.get(image_id), bbox, class: classes.get(category_id) ?? category_id, score: score ?? null };
  });
}

/** What stands under a key of each, by its id. Long numbers that are read as one are one id, too. */
function mapIds(list: readonly Json[], key: string, what: string): Map<unknown, unknown> {
  const found = new Map<unknown, unknown>();
  for (const one of list) {
    if (found.has(one.id)) {
      throw new StoplineError(
        'MANIFEST_INVALID',
        `Expected an id of its own for each of the ${what} but received ${JSON.stringify(one.id)?.slice(0, 50)} twice.`,
      );
    }
    found.set(one.id, one[key]);
  }
  return found;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isList(value: unknown): value is Json[] {
  return Array.isArray(value) && value.every(isObject);
}
