import { createRequire } from 'node:module';
import { setImmediate as giveWay } from 'node:timers/promises';
import type { BuildCompilerFromPool, RouteDefinition } from '@fastify/ajv-compiler';
import type { FastifyServerOptions } from 'fastify';

type Validate = ReturnType<ReturnType<BuildCompilerFromPool>>;

const require = createRequire(import.meta.url);

/**
 * What checks requests against the schemas of their routes: Fastify's own compiler, with its own options, but first loaded and
 * asked when a request comes or when the service listens. It costs a tenth of a second, which the start need not wait for.
 */
export class Validators {
  readonly #routes: LazyValidator[] = [];

  /** For `Fastify({ schemaController })`. Answers are written by `JSON.stringify`: no schema may drop a field or round a number. */
  get controller(): NonNullable<FastifyServerOptions['schemaController']> {
    return {
      compilersFactory: {
        buildValidator: (
          schemas: Parameters<BuildCompilerFromPool>[0],
          options: Parameters<BuildCompilerFromPool>[1],
        ) => {
          let compile: ReturnType<BuildCompilerFromPool> | undefined;
          const compileRoute = (route: RouteDefinition) => {
            if (!compile) {
              const buildSelector: () => BuildCompilerFromPool = require('@fastify/ajv-compiler');
              compile = buildSelector()(schemas, options);
            }
            return compile(route as never);
          };
          return (route: RouteDefinition) => {
            const lazy = new LazyValidator(() => compileRoute(route));
            this.#routes.push(lazy);
            return lazy.validate;
          };
        },
        buildSerializer: () => () => (data: unknown) => JSON.stringify(data),
      },
    };
  }

  /** Compiles what no request has asked for yet, one at a time, so that requests are answered in between. */
  async compileAll(): Promise<void> {
    for (const lazy of this.#routes) {
      lazy.compile();
      await giveWay();
    }
  }
}

class LazyValidator {
  readonly #build: () => Validate;
  #compiled: Validate | undefined;

  constructor(build: () => Validate) {
    this.#build = build;
  }

  compile(): Validate {
    this.#compiled ??= this.#build();
    return this.#compiled;
  }

  /** As Fastify calls it: false, with `errors` on the function itself, where the data do not fit. */
  readonly validate: Validate = Object.assign(
    (data: unknown) => {
      const validate = this.compile();
      const isValid = validate(data);
      this.validate.errors = validate.errors ?? null;
      return isValid;
    },
    { errors: null },
  ) as unknown as Validate;
}
