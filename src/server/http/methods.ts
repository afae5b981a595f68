import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../../errors.ts';

/** Which methods the paths of the service take, so that another one is told apart from a path that does not exist. */
export class Methods {
  readonly #routes = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  /** Remembers every route that is added from now on. */
  constructor(app: FastifyInstance) {
    app.addHook('onRoute', ({ url, method }) => {
      // Any path, of the upstream or of nobody.
      if (url === '/*' || url === '/stopline/*') return;
      const known = this.#routes.get(url) ?? { pattern: compile(url), methods: new Set<string>() };
      for (const one of [method].flat()) known.methods.add(one);
      this.#routes.set(url, known);
    });
  }

  /**
   * Refuses a method that a path of the service does not take.
   * @throws {StoplineError} METHOD_UNKNOWN, with `Allow` set on the answer
   */
  check(request: FastifyRequest, reply: FastifyReply): void {
    const [path] = request.url.split('?', 1);
    const allowed = [...this.#routes.values()].filter(({ pattern }) => pattern.test(path));
    const methods = new Set(allowed.flatMap((route) => [...route.methods]));
    if (methods.size === 0 || methods.has(request.method)) return;
    const list = [...methods].sort().join(', ');
    reply.header('allow', list);
    throw new StoplineError(
      'METHOD_UNKNOWN',
      `Expected ${list} for ${path.slice(0, 200)} but received ${request.method}.`,
    );
  }
}

function compile(url: string): RegExp {
  const literal = url
    .split(/(:\w+|\*)/)
    .map((part) => {
      if (part === '*') return '.*';
      return part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
    })
    .join('');
  return new RegExp(`^${literal}$`);
}
