import { createRequire } from 'node:module';
import type { Type as TypeBox } from 'typebox';
import type { Check, Errors } from 'typebox/schema';

const require = createRequire(import.meta.url);

/*
 * TypeBox's builder of JSON schemas, for the few types that are used here. The types are TypeBox's own; what its functions
 * make is as plain as this. Its package has 370 modules, and every process and thread would load all of them to write down
 * its settings: that was a third of the start of a command, and of a worker.
 */

type Options = Record<string, unknown>;

/** Properties that may be left out. */
const optional = new WeakSet<object>();

function markOptional(schema: object): object {
  const copy = { ...schema };
  optional.add(copy);
  return copy;
}

function makeObject(properties: Record<string, object>, options?: Options): object {
  const required = Object.keys(properties).filter((name) => !optional.has(properties[name]));
  return { type: 'object', ...(required.length > 0 && { required }), properties, ...options };
}

/** Schemas as TypeBox writes them, without the marks that only TypeBox reads. */
export const Type = {
  Array: (items: object, options?: Options) => ({ type: 'array', items, ...options }),
  Boolean: (options?: Options) => ({ type: 'boolean', ...options }),
  Enum: (values: readonly unknown[], options?: Options) => ({ enum: values, ...options }),
  Integer: (options?: Options) => ({ type: 'integer', ...options }),
  Literal: (value: string | number | boolean, options?: Options) => ({ type: typeof value, const: value, ...options }),
  Null: (options?: Options) => ({ type: 'null', ...options }),
  Number: (options?: Options) => ({ type: 'number', ...options }),
  Object: makeObject,
  Optional: markOptional,
  /** Of any keys: every record here is one of texts. */
  Record: (_keys: object, value: object, options?: Options) => ({
    type: 'object',
    patternProperties: { '^.*$': value },
    ...options,
  }),
  Ref: ($ref: string, options?: Options) => ({ $ref, ...options }),
  String: (options?: Options) => ({ type: 'string', ...options }),
  Tuple: (items: object[], options?: Options) => ({
    type: 'array',
    additionalItems: false,
    items,
    minItems: items.length,
    ...options,
  }),
  Union: (anyOf: object[], options?: Options) => ({ anyOf, ...options }),
} as unknown as Pick<typeof TypeBox, Used>;

type Used =
  | 'Array'
  | 'Boolean'
  | 'Enum'
  | 'Integer'
  | 'Literal'
  | 'Null'
  | 'Number'
  | 'Object'
  | 'Optional'
  | 'Record'
  | 'Ref'
  | 'String'
  | 'Tuple'
  | 'Union';

/*
 * Whether a value fits one of our schemas. Nearly every value does, and to say so takes no compiler of schemas: TypeBox's has 235
 * modules, a fifth of the start of `inspect`. What is not seen to fit here is put to TypeBox, which decides, and says what is wrong.
 */

/** Loaded when a value is refused. */
function loadTypeBox(): { Check: typeof Check; Errors: typeof Errors } {
  return require('typebox/schema');
}

interface Schema {
  type?: string;
  const?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  properties?: Readonly<Record<string, Schema>>;
  patternProperties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: boolean;
  items?: Schema | readonly Schema[];
  minItems?: number;
  maxItems?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
}

/** Keywords that are looked at, and those that ask for nothing. */
const known = new Set([
  ...['type', 'const', 'enum', 'anyOf', 'properties', 'patternProperties', 'required', 'additionalProperties', 'items'],
  ...[
    'minItems',
    'maxItems',
    'minimum',
    'maximum',
    'exclusiveMinimum',
    'exclusiveMaximum',
    'minLength',
    'maxLength',
    'pattern',
  ],
  ...['additionalItems', 'default', 'description', 'title', 'examples', 'writeOnly', 'expects'],
]);

/**
 * Whether a value certainly fits.
 * @returns false where it does not, or where a schema or a text is of a kind that is not looked at here
 */
export function accepts(schema: object, value: unknown): boolean {
  for (const keyword in schema) if (!known.has(keyword)) return false;
  const { const: only, enum: listed, anyOf } = schema as Schema;
  if (only !== undefined && value !== only) return false;
  if (listed !== undefined && !listed.includes(value)) return false;
  if (anyOf !== undefined && !anyOf.some((one) => accepts(one, value))) return false;
  return acceptsType(schema as Schema, value);
}

function acceptsType(schema: Schema, value: unknown): boolean {
  switch (schema.type) {
    case undefined:
      return true;
    case 'null':
      return value === null;
    case 'boolean':
      return typeof value === 'boolean';
    case 'string':
      return typeof value === 'string' && acceptsText(schema, value);
    case 'integer':
      return Number.isInteger(value) && acceptsNumber(schema, value as number);
    case 'number':
      return Number.isFinite(value) && acceptsNumber(schema, value as number);
    case 'array':
      return Array.isArray(value) && acceptsArray(schema, value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value) && acceptsObject(schema, value);
    default:
      return false;
  }
}

/** Letters may take several units, and several units may be one letter: beyond ASCII it is not certain how long a text is. */
function acceptsText({ minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern }: Schema, text: string): boolean {
  const isLongEnough = text.length >= minLength && (minLength <= 1 || /^[ -~]*$/.test(text));
  return isLongEnough && text.length <= maxLength && (pattern === undefined || new RegExp(pattern, 'u').test(text));
}

function acceptsNumber({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema, value: number): boolean {
  return (
    (minimum === undefined || value >= minimum) &&
    (maximum === undefined || value <= maximum) &&
    (exclusiveMinimum === undefined || value > exclusiveMinimum) &&
    (exclusiveMaximum === undefined || value < exclusiveMaximum)
  );
}

function acceptsArray({ items = {}, minItems = 0, maxItems }: Schema, values: readonly unknown[]): boolean {
  if (values.length < minItems || (maxItems !== undefined && values.length > maxItems)) return false;
  if (!Array.isArray(items)) return values.every((value) => accepts(items, value));
  return values.length <= items.length && values.every((value, i) => accepts(items[i], value));
}

function acceptsObject(schema: Schema, value: object): boolean {
  const { properties = {}, patternProperties = {}, required = [], additionalProperties } = schema;
  const patterns = Object.values(patternProperties);
  if (additionalProperties !== undefined && typeof additionalProperties !== 'boolean') return false;
  if (required.some((name) => !Object.hasOwn(value, name))) return false;
  return Object.entries(value).every(([name, inner]) => {
    const isNamed = Object.hasOwn(properties, name);
    if (isNamed && !accepts(properties[name], inner)) return false;
    if (patterns.length > 0) return patterns.every((pattern) => accepts(pattern, inner));
    return isNamed || additionalProperties !== false;
  });
}

/** TypeBox's `Check`. */
export const check = ((schema: object, value: unknown): boolean =>
  accepts(schema, value) || loadTypeBox().Check(schema, value)) as unknown as typeof Check;

/** TypeBox's `Errors`: whether a value fits, and what is wrong with it. */
export const listErrors = ((schema: object, value: unknown) =>
  loadTypeBox().Errors(schema, value)) as unknown as typeof Errors;
