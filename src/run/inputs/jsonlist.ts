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
  const paths = new Map((images as Json[]).map(({ id, file_name }) => [id, file_name]));
  const classes = new Map(isList(categories) ? categories.map(({ id, name }) => [id, name]) : []);
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

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isList(value: unknown): value is Json[] {
  return Array.isArray(value) && value.every(isObject);
}
