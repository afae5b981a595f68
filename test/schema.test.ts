import { Type as TypeBox } from 'typebox';
import { Check } from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { Type } from '../src/schema.ts';

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
    ['Number', (t) => t.Number({ exclusiveMinimum: 0 })],
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
