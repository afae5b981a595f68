import { realpath, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import { Command, Option } from 'commander';
import { loadConfig } from '../config.ts';
import type { Core } from '../core/core.ts';
import { loadCore } from '../core/index.ts';
import { asStoplineError, StoplineError } from '../errors.ts';
import { readContainer } from '../image/container/read.ts';
import { decode } from '../image/decode.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits } from '../image/frame.ts';
import { measureTiles } from '../image/tiles.ts';
import { formatLabels, type LabelFormat, labelFormats, labelStudioConfig } from '../run/labelling/formats.ts';
import type { LabelRow } from '../run/labelling/labelrow.ts';
import { type LabelImage, listTags, markTiles, verdicts } from '../run/labelling/tags.ts';
import { createObjectStore, isObjectUrl, type ObjectStore } from '../run/objects.ts';
import { replaceFile } from '../run/rows/output.ts';
import { version } from '../version.ts';
import { readSources, sourceHelp } from './labelsource.ts';
import { settingOption } from './options.ts';
import { checkWritable, makeFolder } from './output.ts';
import { commandLine, count, note, print, printable, printJson } from './terminal.ts';

interface ExportFlags {
  format: LabelFormat;
  out: string;
  root?: string;
  urlPrefix?: string;
  copy?: string;
  tiles?: boolean;
  only?: LabelRow['verdict'][];
  name: string;
  s3Endpoint?: string;
  json?: boolean;
}

export function exportCommand(): Command {
  return new Command('export')
    .description(
      'Writes judged images as a file that a labelling tool reads: verdict, cause and tags of each, to be labelled accept or reject. ' +
        'profile accept takes the labelled file back.',
    )
    .argument('<sources...>', sourceHelp)
    .addOption(new Option('--format <FORMAT>', 'the tool').choices(labelFormats).makeOptionMandatory())
    .requiredOption('-o, --out <FILE>', 'file to write; a bucket is named s3://bucket/key')
    .option('--root <DIR>', 'folder in which the tool finds the images; names begin there (default: that of --out)')
    .option('--url-prefix <TEXT>', 'what stands before each name, such as s3://images/')
    .option('--copy <DIR>', 'also copy the images there, such as into the folder that the tool serves')
    .option('--tiles', 'also mark where in each image the evidence lies; reads and measures all of them')
    .addOption(new Option('--only <VERDICTS...>', 'leave out the others').choices(verdicts))
    .option('--name <TEXT>', 'of the data set in the tool', 'stopline')
    .addOption(settingOption('s3Endpoint'))
    .option('--json', 'print what was written as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('export', 'picked.jsonl', '--format', 'label-studio', '--out', 'tasks.json')}
  ${commandLine('export', 'kept/', '--format', 'coco', '--copy', 'labelling/images', '--out', 'labelling/stopline.json')}
  ${commandLine('export', 'picked.jsonl', '--format', 'cvat', '--tiles', '--out', 'annotations.xml')}`,
    )
    .action(runExport);
}

async function runExport(sources: string[], flags: ExportFlags): Promise<void> {
  const { format, out, only, copy, name, json } = flags;
  if (!isObjectUrl(out)) await checkWritable(out);
  if (copy !== undefined) await makeFolder(copy);
  const { config } = loadConfig({ flags: { s3Endpoint: flags.s3Endpoint } });
  const store = createObjectStore({ endpoint: config.s3Endpoint });
  const preparation = new Preparation(flags, store);
  const images: LabelImage[] = [];
  for await (const row of readSources(sources, store)) {
    if (only && !only.includes(row.verdict)) continue;
    images.push(await preparation.prepare(row));
  }
  await replaceFile(out, store, (path) => writeFile(path, formatLabels(format, images, { name, version })));
  const { unread } = preparation;
  if (json) return printJson({ file: out, format, images: images.length, unread });
  print(`${count(images.length, 'image')} written to ${printable(out)} for ${format}`);
  if (unread.length > 0) {
    const [first] = unread;
    note(
      `${count(unread.length, 'image')} could not be read, such as ${printable(first.path)}: ${printable(first.message)}`,
    );
  }
  if (format === 'label-studio')
    note(`Labelling interface of the project (Settings, Labeling Interface, Code):\n${labelStudioConfig}`);
}

/** Turns rows into what a tool is told of them, and reads their images where that is asked for. */
class Preparation {
  /** Images that were to be copied or measured, and why they were not. */
  readonly unread: { path: string; code: string; message: string }[] = [];
  readonly #flags: ExportFlags;
  readonly #store: ObjectStore;
  readonly #root: string;
  #core: Core | undefined;

  constructor(flags: ExportFlags, store: ObjectStore) {
    this.#flags = flags;
    this.#store = store;
    this.#root = resolve(flags.root ?? (isObjectUrl(flags.out) ? '.' : dirname(flags.out)));
  }

  async prepare(row: LabelRow): Promise<LabelImage> {
    const { copy, tiles } = this.#flags;
    const bytes = copy === undefined && !tiles ? undefined : await this.#read(row);
    const boxes = tiles && bytes ? await this.#mark(row, bytes) : [];
    const location = copy !== undefined && bytes ? await this.#copy(copy, row, bytes) : locate(row.path);
    return { row, name: this.#name(location), location, boxes, tags: listTags(row, boxes) };
  }

  #name(location: string): string {
    if (isObjectUrl(location)) return location;
    const name = relative(this.#root, location).split(sep).join('/');
    const { urlPrefix, format } = this.#flags;
    if (urlPrefix !== undefined) return `${urlPrefix}${name.split('/').map(encodeURIComponent).join('/')}`;
    // Label Studio shows only what it can fetch: files of its own folder are served there.
    return format === 'label-studio' ? `/data/local-files/?d=${encodeURIComponent(name)}` : name;
  }

  async #read(row: LabelRow): Promise<Uint8Array | undefined> {
    try {
      const { path } = row;
      const bytes = isObjectUrl(path)
        ? await this.#store.read(path, defaultLimits.maxBytes)
        : readImage(await realpath(path).catch(() => path), defaultLimits.maxBytes);
      // Rows may come from elsewhere: whatever else they name is not laid where the tool serves it.
      readContainer(bytes);
      return bytes;
    } catch (cause) {
      return this.#skip(row, cause);
    }
  }

  async #mark(row: LabelRow, bytes: Uint8Array): Promise<LabelImage['boxes']> {
    this.#core ??= loadCore();
    try {
      const { frame } = await decode(bytes);
      return markTiles(measureTiles(this.#core, frame), row.image);
    } catch (cause) {
      return this.#skip(row, cause) ?? [];
    }
  }

  #skip({ path }: LabelRow, cause: unknown): undefined {
    const error = asStoplineError(cause);
    if (error.code === 'STOPLINE_ERR_OBJECTS_UNAVAILABLE') throw error;
    this.unread.push({ path, code: error.code, message: error.message });
    return undefined;
  }

  /** Images of different folders may have the same name: that of the copy begins with what tells them apart. */
  async #copy(folder: string, { path, image }: LabelRow, bytes: Uint8Array): Promise<string> {
    const name = basename(path);
    const unique =
      image.sha256 === undefined || name.startsWith(image.sha256) ? name : `${image.sha256.slice(0, 12)}-${name}`;
    const file = join(resolve(folder), extname(unique) === '' ? `${unique}.${image.format}` : unique);
    await writeFile(file, bytes).catch((cause) => {
      throw new StoplineError('OUTPUT_UNWRITABLE', `The image cannot be copied to "${file}": ${cause.message}.`, {
        cause,
      });
    });
    return file;
  }
}

function locate(path: string): string {
  return isObjectUrl(path) ? path : resolve(path);
}
