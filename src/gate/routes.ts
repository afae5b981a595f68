import { StoplineError } from '../errors.ts';
import type { Route } from '../settings.ts';

/**
 * The first of the rules that fits a path. What lets pass unjudged fits none with escapes: what an upstream makes of letters beyond
 * ASCII, such as full stops of full width, may be the path of a model.
 */
export function createMatcher(routes: readonly Route[]): (path: string) => Route | undefined {
  const rules = routes.map((route) => ({ route, pattern: compilePattern(route.path) }));
  return (path) => {
    const isEscaped = path.includes('%');
    return rules.find(({ route, pattern }) => pattern.test(path) && !(isEscaped && route.protocol === 'pass'))?.route;
  };
}

/** Upstreams differ in whether they mind case or a slash at the end; what might be the same path is judged. */
function compilePattern(path: string): RegExp {
  const literal = path
    .replace(/\/$/, '')
    .split(/(\*{1,2})/)
    .map((part) => wildcards[part] ?? part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literal.join('')}/?$`, 'i');
}

const wildcards: Readonly<Record<string, string>> = { '*': '[^/]*', '**': '.*' };

/**
 * The path of a request, provided that every upstream must read it as this gate does: `/v2//models`, `/%76%32/` or `/a/../v2`
 * could lead an upstream to a model that the gate has not recognised.
 * @throws {StoplineError} REQUEST_INVALID
 */
export function plainPath(url: string): string {
  const [path] = url.split('?', 1);
  const isPlain =
    path.startsWith('/') &&
    // A space or letters that are not ASCII may be encoded; the rest stands for itself, or is in no path of a model server.
    !/\/\/|[\\;#]|[^\x21-\x7e]|%(?!20|[89a-f][0-9a-f])/i.test(path) &&
    !path.split('/').some((segment) => segment === '.' || segment === '..');
  if (isPlain) return path;
  throw new StoplineError(
    'REQUEST_INVALID',
    `Expected a path in its plain form but received ${JSON.stringify(path.slice(0, 200))}.`,
  );
}
