import { StoplineError } from '../../errors.ts';
import { check, listErrors } from '../../schema.ts';
import { type ModelCard, ModelCardSchema } from './cardschema.ts';

// Apart from the schema, because workers know the type of a card and never check one: they need not load what checks.

/**
 * Checks a card as it was parsed.
 * @throws {StoplineError} MODEL_CARD
 */
export function checkCard(value: unknown): ModelCard {
  if (!check(ModelCardSchema, value))
    throw new StoplineError('MODEL_CARD', `Expected a model card that fits the schema but ${listFaults(value)}.`);
  const { channels, mean, std } = value.input;
  if (mean.length !== channels || std.length !== channels)
    throw new StoplineError(
      'MODEL_CARD',
      `Expected ${channels} numbers for input.mean and input.std but received ${mean.length} and ${std.length}.`,
    );
  return value;
}

/** Faults that one message names. */
const maxFaults = 32;

/** Everything that is wrong with a card at once, so that it is mended in one go. */
function listFaults(value: unknown): string {
  const faults = new Map<string, string>();
  for (const { instancePath, message, params } of listErrors(ModelCardSchema, value)[1]) {
    const place = instancePath.slice(1).replaceAll('/', '.');
    const missing = (params as { requiredProperties?: string[] }).requiredProperties;
    const unknown = (params as { additionalProperties?: string[] }).additionalProperties;
    const inside = (name: string) => (place === '' ? name : `${place}.${name}`);
    for (const name of missing ?? []) faults.set(inside(name), 'is missing');
    for (const name of unknown ?? []) faults.set(inside(name), 'is no field of a card');
    if (!missing && !unknown && !faults.has(place)) faults.set(place, message);
  }
  // A field that fails says why; that the object around it fails as well is no news.
  const own = [...faults].filter(
    ([place]) => ![...faults.keys()].some((other) => other !== place && other.startsWith(`${place}.`)),
  );
  const shown = own.slice(0, maxFaults).map(([place, what]) => `${place || 'it'} ${what}`);
  return [...shown, ...(own.length > maxFaults ? [`${own.length - maxFaults} more`] : [])].join('; ') || 'it does not';
}
