import { StoplineError } from '../errors.ts';
import type { Route } from '../settings.ts';
import { protocolRoutes } from './protocols/protocols.ts';
import { createMatcher } from './routes.ts';

/** A route that the description of a server suggests, and what it was read from. */
export interface ProposedRoute {
  route: Route;
  reason: string;
}

type Json = { readonly [name: string]: unknown };

/** Fields whose names say that a text holds an image. */
const namesImage = /image|img|photo|picture|frame|b64|base64/i;
/** Schemas within schemas that are looked into. */
const maxDepth = 12;

/**
 * Reads from the OpenAPI document of a model server (2.0 to 3.1) which of its paths take images, and how. Paths that are known
 * without, and those of which it does not tell, are left out: there whatever can be an image is judged.
 *
 * @param document the parsed document
 * @throws {StoplineError} REQUEST_INVALID where it is none
 */
export function proposeRoutes(document: unknown): ProposedRoute[] {
  if (!isObject(document) || !isObject(document.paths)) {
    throw new StoplineError('REQUEST_INVALID', 'Expected an OpenAPI document with "paths" but received other JSON.');
  }
  const base = readBasePath(document);
  const isKnown = createMatcher(protocolRoutes);
  const proposed = Object.entries(document.paths).flatMap(([template, item]) => {
    const path = base + template.replace(/\{[^}]*\}/g, '*');
    if (!isObject(item) || isKnown(path)) return [];
    const found = ['post', 'put', 'patch'].flatMap((method) => {
      const operation = item[method];
      return isObject(operation) ? [new BodyReader(document).read(operation, path)] : [];
    });
    // One route stands for all methods of its path: one that takes images decides.
    return found.find((one) => one && one.route.protocol !== 'pass') ?? (found.every(Boolean) ? found : []);
  });
  return proposed.flatMap((one, i) =>
    one && proposed.findIndex((other) => other?.route.path === one.route.path) === i ? [one] : [],
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What stands before every path: `basePath` of 2.0, or the path of the first server. */
function readBasePath({ basePath, servers }: Json): string {
  const [server] = Array.isArray(servers) ? servers : [];
  const url = typeof basePath === 'string' ? basePath : isObject(server) ? String(server.url ?? '') : '';
  const path = /^https?:\/\//.test(url) ? new URL(url).pathname : url;
  return path.startsWith('/') ? path.replace(/\/+$/, '') : '';
}

/** What a schema says of values that could be an image. */
interface Findings {
  /** Names of fields that hold images; empty where one has no name. */
  images: Set<string>;
  /** Whether there are texts or numbers that could hold one, although nothing says so. */
  isOpen: boolean;
}

/** Reads what the body of one operation can hold. */
class BodyReader {
  readonly #document: Json;

  constructor(document: Json) {
    this.#document = document;
  }

  /** @returns undefined where the description does not tell */
  read(operation: Json, path: string): ProposedRoute | undefined {
    const content = this.#readContent(operation);
    const types = Object.keys(content);
    if (types.length === 0) return { route: { path, protocol: 'pass' }, reason: 'its calls have no body' };
    const bytes = types.find((type) => /^image\/|^application\/octet-stream|^binary\/|^\*\/\*/.test(type));
    if (bytes !== undefined) return { route: { path, protocol: 'image' }, reason: `the body is ${bytes}` };
    const findings: Findings = { images: new Set(), isOpen: false };
    for (const [type, media] of Object.entries(content)) {
      const isForm = /^multipart\/|^application\/x-www-form-urlencoded/.test(type);
      if (!isForm && !/json/.test(type)) return undefined;
      this.#look(isObject(media) ? media.schema : undefined, { name: '', findings, depth: 0 });
    }
    const { images, isOpen } = findings;
    if (images.size === 0) {
      return isOpen
        ? undefined
        : { route: { path, protocol: 'pass' }, reason: 'nothing in its bodies can be an image' };
    }
    const [only = ''] = images;
    const input = images.size === 1 && only !== '' ? { input: only } : {};
    const fields = [...images].map((name) => JSON.stringify(name)).join(', ');
    return { route: { path, protocol: 'image', ...input }, reason: `the image is in ${fields || 'the body'}` };
  }

  /** Media types with their schemas, also of the parameters of 2.0. */
  #readContent(operation: Json): Json {
    const body = this.#resolve(operation.requestBody);
    if (isObject(body)) return isObject(body.content) ? body.content : {};
    const parameters = Array.isArray(operation.parameters) ? operation.parameters.map((one) => this.#resolve(one)) : [];
    const given = parameters.filter(isObject);
    const whole = given.find((one) => one.in === 'body');
    if (whole) return { 'application/json': { schema: whole.schema } };
    const fields = given.filter((one) => one.in === 'formData');
    if (fields.length === 0) return {};
    const properties = Object.fromEntries(
      fields.map((one) => [String(one.name), one.type === 'file' ? { type: 'string', format: 'binary' } : one]),
    );
    return { 'multipart/form-data': { schema: { type: 'object', properties } } };
  }

  #look(given: unknown, at: { name: string; findings: Findings; depth: number }): void {
    const { name, findings, depth } = at;
    const schema = this.#resolve(given);
    if (!isObject(schema) || depth > maxDepth) {
      findings.isOpen = true;
      return;
    }
    const next = { ...at, depth: depth + 1 };
    const parts = ['allOf', 'anyOf', 'oneOf'].flatMap((key) => (Array.isArray(schema[key]) ? schema[key] : []));
    for (const part of parts) this.#look(part, next);
    const { type, properties, items, additionalProperties, format, contentEncoding, contentMediaType } = schema;
    const fields = isObject(properties) ? Object.entries(properties) : [];
    for (const [field, part] of fields) this.#look(part, { ...next, name: field });
    if (items !== undefined) this.#look(items, next);
    if (isObject(additionalProperties)) this.#look(additionalProperties, next);
    const types = [type].flat();
    const isText = types.includes('string');
    const isBytes = /^(binary|byte|base64)$/.test(String(format)) || contentEncoding === 'base64';
    const isImage = isText && (isBytes || /^image\//.test(String(contentMediaType)) || namesImage.test(name));
    if (isImage) findings.images.add(name);
    else if (isText) findings.isOpen ||= schema.enum === undefined && schema.const === undefined;
    else if (items !== undefined) findings.isOpen ||= this.#isNumeric(items);
    else if (type === undefined && parts.length === 0 && fields.length === 0) findings.isOpen = true;
    else if (types.includes('object') && fields.length === 0 && additionalProperties !== false) findings.isOpen = true;
  }

  /** Pixels may come as numbers. */
  #isNumeric(items: unknown): boolean {
    const schema = this.#resolve(items);
    return isObject(schema) && /number|integer/.test(String(schema.type));
  }

  #resolve(value: unknown): unknown {
    let found = value;
    for (let i = 0; i < maxDepth && isObject(found) && typeof found.$ref === 'string'; i++) {
      const keys = found.$ref.replace(/^#\//, '').split('/');
      found = keys
        .map((key) => decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~'))
        .reduce<unknown>((place, key) => (isObject(place) ? place[key] : undefined), this.#document);
    }
    return found;
  }
}
