import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { isSource } from '../../core/entry.ts';
import { StoplineError } from '../../errors.ts';

/** What a page loads to judge in itself. */
interface PageFile {
  type: string;
  body: Uint8Array | string;
}

const root = new URL('../../', import.meta.url);
const ending = isSource(import.meta.url) ? 'ts' : 'js';
const script = 'text/javascript; charset=utf-8';
/** Imports of own modules, as written in the sources and as the bundler writes them. */
const importPattern = /^(?:import|export)\b(?:[^;'"]*?from )?\s*['"](\.[^'"]+)['"];/gms;
/** The one package that the modules import; a page finds none by its name. */
const packageName = 'simple-statistics';
const packageFile = `${packageName}.js`;

/**
 * The modules of `stopline/frame` as a page can load them: JavaScript in the package, and in a clone TypeScript without its types. Only
 * what the entry imports is found, and each file is read once.
 */
export class FrameModules {
  #files: Map<string, PageFile> | undefined;

  /** @param path below the place where the modules are served, such as `frame.js`, the entry */
  find(path: string): PageFile | undefined {
    this.#files ??= readModules();
    return this.#files.get(path === 'frame.js' ? `frame.${ending}` : path);
  }
}

function readModules(): Map<string, PageFile> {
  const files = new Map<string, PageFile>([
    ['core/stopline.wasm', { type: 'application/wasm', body: readFileSync(new URL('core/stopline.wasm', root)) }],
    [packageFile, { type: script, body: readFileSync(fileURLToPath(import.meta.resolve(packageName)), 'utf8') }],
  ]);
  const waiting = [`frame.${ending}`];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (files.has(path)) continue;
    const written = readFileSync(new URL(path, root), 'utf8');
    const text = ending === 'ts' ? stripTypeScriptTypes(written) : written;
    const folder = posix.dirname(path);
    const beside = posix.relative(folder, packageFile).replace(/^(?!\.)/, './');
    const body = text.replaceAll(new RegExp(`from (['"])${packageName}\\1`, 'g'), `from '${beside}'`);
    files.set(path, { type: script, body });
    for (const [, target] of text.matchAll(importPattern)) {
      waiting.push(posix.join(folder, target));
    }
  }
  return files;
}

/** Below `dashboard/frame/`, for the page that judges an image without sending it. */
export function registerFrameModules(app: FastifyInstance): void {
  const modules = new FrameModules();
  app.get<{ Params: { '*': string } }>('/dashboard/frame/*', { schema: { hide: true } }, async (request, reply) => {
    const file = modules.find(request.params['*']);
    if (!file) throw new StoplineError('ROUTE_UNKNOWN', 'Expected a module of the judge in the page.');
    return reply.type(file.type).send(file.body);
  });
}
