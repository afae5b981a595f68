import fc from 'fast-check';
import { type TSchema, Type as TypeBox } from 'typebox';
import { Check } from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { ModelCardSchema } from '../src/image/embedding/cardschema.ts';
import { Description } from '../src/profile/description.ts';
import { accepts, check, listErrors, Type } from '../src/schema.ts';
import { schemas } from '../src/settings.ts';

/** The same schema by each builder, as text, so that the order of keys counts. */
const writeBoth = (make: (builder: typeof Type) => unknown) => [
  JSON.stringify(make(Type)),
  JSON.stringify(make(TypeBox as typeof Type)),
];

describe('schemas are those that TypeBox writes', () => {
  it.each<[string, (builder: typeof Type) => unknown]>([
    ['Array', (t) => t.Array(t.Integer({ minimum: 1 }), { minItems: 2, description: 'some' })],
    ['Boolean', (t) => t.Boolean({ default: true })],
    ['Enum', (t) => t.Enum(['a', 'b'], { description: 'which' })],
    ['Literal', (t) => [t.Literal('a'), t.Literal(3), t.Literal(true)]],
    ['Null', (t) => t.Null({ description: 'none' })],
    ['Number', (t) => t.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 })],
    ['Object', (t) => t.Object({ a: t.String(), b: t.Optional(t.Number()) }, { additionalProperties: false })],
    ['Object without a required property', (t) => t.Object({ a: t.Optional(t.String()) })],
    ['Optional', (t) => t.Optional(t.Object({ a: t.Null() }))],
    ['Record', (t) => t.Record(t.String(), t.Integer(), { description: 'counts' })],
    ['Ref', (t) => t.Ref('Verdict#')],
    ['String', (t) => t.String({ pattern: '^a$' })],
    ['Tuple', (t) => t.Tuple([t.Number(), t.String()], { description: 'two' })],
    ['Union', (t) => t.Union([t.Literal('a'), t.Null()], { description: 'either' })],
  ])('%s', (_, make) => {
    const [ours, theirs] = writeBoth(make);
    expect(ours).toBe(theirs);
  });
});

it('marks a property as optional, and leaves the schema that it was made of as it was', () => {
  const text = Type.String();
  const schema = Type.Object({ needed: text, given: Type.Optional(text) });
  expect(Check(schema, { needed: 'a' })).toBe(true);
  expect(Check(schema, { given: 'a' })).toBe(false);
});

const anything = fc.oneof(
  fc.constantFrom(undefined, null, true, 0, -1, 0.5, 255, Number.NaN, Number.POSITIVE_INFINITY, 1n, '', '👩👩', [], {}),
  fc.string({ unit: 'grapheme' }),
);

interface Drawn {
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Drawn[];
  items?: Drawn | Drawn[];
  properties?: Record<string, Drawn>;
  required?: string[];
  patternProperties?: Record<string, Drawn>;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
}

/** Values that fit a schema. */
function draw(schema: Drawn): fc.Arbitrary<unknown> {
  const {
    minItems = 0,
    minLength = 0,
    minimum = 0,
    exclusiveMaximum,
    maximum = exclusiveMaximum ?? minimum + 9,
  } = schema;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(draw));
  if (schema.type === 'null') return fc.constant(null);
  if (schema.type === 'boolean') return fc.boolean();
  if (schema.type === 'integer') return fc.integer({ min: Math.ceil(minimum), max: Math.floor(maximum) });
  if (schema.type === 'number')
    return fc.double({
      ...{ min: minimum, max: maximum, noNaN: true },
      ...{ minExcluded: schema.exclusiveMinimum !== undefined, maxExcluded: exclusiveMaximum !== undefined },
    });
  if (schema.type === 'string')
    return schema.pattern
      ? fc.stringMatching(new RegExp(schema.pattern))
      : fc.string({ minLength, maxLength: minLength + 5 });
  if (Array.isArray(schema.items)) return fc.tuple(...schema.items.map(draw));
  if (schema.items)
    return fc.array(draw(schema.items), {
      minLength: minItems,
      maxLength: Math.min(schema.maxItems ?? 99, minItems + 1),
    });
  if (schema.patternProperties)
    return fc.dictionary(fc.string(), draw(Object.values(schema.patternProperties)[0]), { maxKeys: 2 });
  if (schema.properties) {
    const parts = Object.entries(schema.properties).map(([name, part]) => [name, draw(part)]);
    return fc.record(Object.fromEntries(parts), { requiredKeys: (schema.required ?? []) as never[] });
  }
  return fc.constant({});
}

/** The same with one part of it replaced, taken away or added. */
function spoil(value: unknown, path: readonly number[], by: unknown): unknown {
  if (typeof value !== 'object' || value === null || path.length === 0) return by;
  const keys = Object.keys(value);
  const [step, ...rest] = path;
  if (Array.isArray(value))
    return value.map((part, i) => (i === step % (keys.length + 1) ? spoil(part, rest, by) : part));
  const key = [...keys, 'added'][step % (keys.length + 1)];
  if (by === undefined) return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
  return { ...value, [key]: spoil((value as Record<string, unknown>)[key], rest, by) };
}

describe('what is accepted without TypeBox', () => {
  const all: [string, TSchema][] = [
    ['a Profile', Description as TSchema],
    ['a model card', ModelCardSchema as TSchema],
    ...Object.entries<TSchema>(schemas as Record<string, TSchema>),
  ];
  it.each(all)('%s: what fits, and nothing that TypeBox refuses', (_, schema) => {
    const path = fc.array(fc.nat(99), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(draw(schema as Drawn), path, anything, (value, steps, by) => {
        expect(accepts(schema, value)).toBe(true);
        expect(Check(schema, value)).toBe(true);
        const spoiled = spoil(value, steps, by);
        if (accepts(schema, spoiled)) expect(Check(schema, spoiled)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it.each<[string, object, unknown]>([
    ['a closed object', Type.Object({ a: Type.String() }, { additionalProperties: false }), { a: 'x', b: 1 }],
    ['a missing property', Type.Object({ a: Type.String() }), {}],
    ['an inherited property', Type.Object({ toString: Type.String() }), {}],
    ['an array for an object', Type.Object({}), []],
    ['a number that is none', Type.Number(), Number.NaN],
    ['a text of two letters in four units', Type.String({ minLength: 3 }), '👩👩'],
    ['a tuple that is too long', Type.Tuple([Type.Number()]), [1, 2]],
    ['a record with another value', Type.Record(Type.String(), Type.Number()), { a: 'x' }],
  ])('not %s', (_, schema, value) => {
    expect(accepts(schema, value)).toBe(false);
    expect(check(schema as TSchema, value)).toBe(Check(schema as TSchema, value));
  });
});

it('leaves what it does not know to TypeBox', () => {
  const schema = Type.String({ format: 'date' } as Record<string, string>);
  expect(accepts(schema, 'no date')).toBe(false);
  expect(check(schema, 'no date')).toBe(Check(schema, 'no date'));
});

it('says what is wrong as TypeBox does', () => {
  const [isValid, [first]] = listErrors(Type.Object({ a: Type.String() }), { a: 1 });
  expect([isValid, first.instancePath, first.message]).toEqual([false, '/a', 'must be string']);
});
