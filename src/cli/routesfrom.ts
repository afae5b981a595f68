import { readFile } from 'node:fs/promises';
import { StoplineError } from '../errors.ts';
import { proposeRoutes } from '../gate/openapiroutes.ts';
import { note, printJson } from './terminal.ts';

const answerMs = 10_000;
/** As many as the settings take. */
const maxRoutes = 100;

/**
 * Prints the routes that the OpenAPI document of a model server suggests, as a config file, and why, for people.
 *
 * @param place a file, or an address such as http://127.0.0.1:8000/openapi.json
 * @throws {StoplineError} OPTION_INVALID, REQUEST_INVALID
 */
export async function printRoutesFrom(place: string): Promise<void> {
  const proposed = proposeRoutes(parse(await read(place), place));
  for (const { route, reason } of proposed.slice(0, maxRoutes)) note(`${route.path}: ${route.protocol}, ${reason}`);
  if (proposed.length > maxRoutes) note(`${proposed.length - maxRoutes} more are left out: name them with wildcards.`);
  note('On every other path whatever can be an image is judged. Look the routes over, then: serve --config FILE');
  printJson({ routes: proposed.slice(0, maxRoutes).map(({ route }) => route) });
}

async function read(place: string): Promise<string> {
  try {
    if (!/^https?:\/\//.test(place)) return await readFile(place, 'utf8');
    const answer = await fetch(place, { signal: AbortSignal.timeout(answerMs) });
    if (answer.ok) return await answer.text();
    throw new Error(`status ${answer.status}`);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --routes-from to name a file or address that can be read but ${place} gave ${code ?? message}.`,
      { cause },
    );
  }
}

function parse(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const hint = /^\s*(openapi|swagger):/m.test(text) ? ' That is YAML: convert it to JSON.' : '';
    throw new StoplineError('OPTION_INVALID', `Expected JSON of OpenAPI in ${place} but it is none.${hint}`, { cause });
  }
}
