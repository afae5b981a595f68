import type { Route } from '../../settings.ts';
import { checkEncoding, decodeBase64, parseObject } from './json.ts';
import type { FoundImages, ReadRequest } from './protocol.ts';
import { boundedImages, invalid, uninspected } from './tensor.ts';

/** The body itself, the files of a form, or base64 in the field of a JSON object that `input` names, by default `image`. */
export async function imageBody(request: ReadRequest, { input }: Pick<Route, 'input'>): Promise<FoundImages> {
  const { body, headers } = request;
  checkEncoding(headers['content-encoding']);
  const type = headers['content-type'] ?? '';
  if (!Buffer.isBuffer(body) || /^application\/(\w+\+)?json\b/i.test(type)) {
    const json = parseObject(request);
    const field = input ?? 'image';
    const text = Object.hasOwn(json, field) ? json[field] : undefined;
    if (typeof text !== 'string') throw uninspected(`there is no text in the field "${field}"`);
    const bytes = decodeBase64(text.replace(/^data:[\w.+/-]*;base64,/, ''));
    if (!bytes) throw invalid(`base64 in the field "${field}"`);
    return { images: [bytes] };
  }
  if (/^multipart\/form-data\b/i.test(type)) return { images: await readFiles(body, type, input) };
  return { images: [body] };
}

async function readFiles(body: Buffer, type: string, input: string | undefined): Promise<Buffer[]> {
  let form: FormData;
  try {
    form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData();
  } catch (cause) {
    throw invalid('multipart form data', (cause as Error).message.slice(0, 200));
  }
  const files = [...form].flatMap(([name, value]) =>
    typeof value !== 'string' && (input === undefined || name === input) ? [value] : [],
  );
  boundedImages(files.length);
  return Promise.all(files.map(async (file) => Buffer.from(await file.arrayBuffer())));
}
