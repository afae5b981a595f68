import type { Type as TypeBox } from 'typebox';

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
