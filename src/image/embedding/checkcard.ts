import { Check, Errors } from 'typebox/schema';
import { StoplineError } from '../../errors.ts';
import { type ModelCard, ModelCardSchema } from './cardschema.ts';

// Apart from the schema, because workers know the type of a card and never check one: they need not load what checks.

/**
 * Checks a card as it was parsed.
 * @throws {StoplineError} MODEL_CARD
 */
export function checkCard(value: unknown): ModelCard {
  if (!Check(ModelCardSchema, value)) {
    const [, [first]] = Errors(ModelCardSchema, value);
    const what = first ? `${first.instancePath || 'it'} ${first.message}` : 'it does not';
    throw new StoplineError('MODEL_CARD', `Expected a model card that fits the schema but ${what}.`);
  }
  const { channels, mean, std } = value.input;
  if (mean.length !== channels || std.length !== channels)
    throw new StoplineError(
      'MODEL_CARD',
      `Expected ${channels} numbers for input.mean and input.std but received ${mean.length} and ${std.length}.`,
    );
  return value;
}
