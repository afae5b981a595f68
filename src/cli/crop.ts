import { writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { Command } from 'commander';
import sharp from 'sharp';
import { loadConfig } from '../config.ts';
import { asStoplineError, StoplineError } from '../errors.ts';
import { decode } from '../image/decode.ts';
import { readImage } from '../image/file.ts';
import { cutBox, readBox } from '../run/inputs/box.ts';
import { chooseFile, type Item } from '../run/inputs/item.ts';
import { columnName, csvCell } from '../run/rows/row.ts';
import { type InputFlags, inputOptions, openInputs, tellLeftOut } from './inputs.ts';
import { numberOption } from './options.ts';
import { makeFolder } from './output.ts';
import { commandLine, complain, count, note, print, printable, printJson } from './terminal.ts';

interface CropFlags extends InputFlags {
  out: string;
  classColumn: string;
  smallest: number;
  json?: boolean;
}

export function cropCommand(): Command {
  const command = new Command('crop')
    .description(
      'Cuts objects out of images: one PNG for each row of a manifest that has a box, in a folder for each class, and crops.csv, ' +
        'a manifest of them. So each class of a detector can have a Profile of its own, and be watched by itself.',
    )
    .requiredOption('--out <FOLDER>', 'folder to write crops and crops.csv into')
    .option('--class-column <NAME>', 'column of the manifest that names the class', 'class')
    .addOption(numberOption('--smallest <N>', 'sides in pixels below which a box is left out').default(32))
    .option('--json', 'print what was written as JSON');
  for (const option of inputOptions({ shard: false })) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `
Boxes stand in the columns x, y, width and height, or in one column bbox as [x, y, width, height] (COCO): pixels of the upright
image from its upper left corner. What lies outside the image is cut off. A file of COCO (.json) is such a manifest as it is.

Examples:
  ${commandLine('crop', '--manifest', 'detections.csv', '--out', 'crops/')}
  ${commandLine('fit', 'crops/', '--profile-per', 'folder', '--out', 'profiles/')}
  ${commandLine('drift', '--manifest', 'crops/crops.csv', '--source-column', 'class', '--profile', 'profiles/')}`,
    )
    .action(runCrop);
}

async function runCrop(flags: CropFlags): Promise<void> {
  const { out, smallest } = flags;
  const { config } = loadConfig({ flags: { s3Endpoint: flags.s3Endpoint } });
  const { items } = await openInputs([], flags, config);
  const cutter = new Cutter(flags, config.bodyLimit);
  for await (const item of items) {
    try {
      await cutter.cut(item);
    } catch (error) {
      const coded = asStoplineError(error);
      if (!/_IMAGE_|_INPUT_(UNREADABLE|NOT_FOUND)$/.test(coded.code)) throw coded;
      complain(`stopline: ${coded.code}: ${printable(item.name)}: ${printable(coded.message)}`);
      process.exitCode = coded.exit;
      cutter.failed++;
    }
  }
  const { rows, classes, small, failed } = cutter;
  if (rows.length === 0) {
    throw new StoplineError('INPUT_NO_IMAGES', `Expected boxes of at least ${smallest} pixels but cut none.`);
  }
  await writeOut(join(out, listName), `path,class,image,box\n${rows.join('\n')}\n`);
  const images = rows.length;
  if (flags.json)
    printJson({ folder: out, manifest: join(out, listName), images, classes: [...classes], small, failed });
  else print(`${count(images, 'crop')} of ${count(classes.size, 'class', 'classes')} in ${printable(out)}`);
  if (small > 0) note(`${count(small, 'box', 'boxes')} with a side below ${smallest} pixels left out (--smallest)`);
  tellLeftOut(items, flags);
}

/** Cuts one box after the other; boxes of one image stand together, so that it is decoded once. */
class Cutter {
  readonly #flags: CropFlags;
  readonly #maxBytes: number;
  #last: { key: string; decoded: ReturnType<typeof decode> } | undefined;
  /** How many crops there are of a name, and which class a folder is of. */
  readonly #written = new Map<string, number>();
  readonly #kinds = new Map<string, string>();
  /** Lines of the manifest. */
  readonly rows: string[] = [];
  readonly classes = new Set<string>();
  /** Boxes that are too small. */
  small = 0;
  failed = 0;

  constructor(flags: CropFlags, maxBytes: number) {
    this.#flags = flags;
    this.#maxBytes = maxBytes;
  }

  /** @throws {StoplineError} IMAGE_*, INPUT_*, MANIFEST_INVALID */
  async cut(item: Item): Promise<void> {
    if (item.error) throw item.error;
    const { out, classColumn, smallest } = this.#flags;
    const box = readBox(item);
    const named = item.columns?.[columnName(classColumn)];
    const kind = this.#nameFolder(named === undefined || named === null || named === '' ? 'none' : String(named));
    const { frame, container } = await this.#decode(item);
    const crop = cutBox(frame, box, container);
    if (crop === undefined || Math.min(crop.width, crop.height) < smallest) {
      this.small++;
      return;
    }
    const target = this.#place(kind, basename(item.name, extname(item.name)));
    const { data, width, height } = crop;
    const image = sharp(data, { raw: { width, height, channels: 3 } });
    await makeFolder(dirname(join(out, target)));
    await writeOut(join(out, target), await image.png().toBuffer());
    this.classes.add(kind);
    const cells = [target, kind, item.name, [box.x, box.y, box.width, box.height].join(' ')];
    this.rows.push(cells.map(csvCell).join(','));
  }

  #decode(item: Item): ReturnType<typeof decode> {
    // A manifest may hold two images under one name.
    const key = `${item.name} ${item.version}`;
    if (this.#last?.key !== key) {
      const open = async () => (item.read ? await item.read() : readImage(chooseFile(item) as string, this.#maxBytes));
      this.#last = { key, decoded: open().then((bytes) => decode(bytes)) };
    }
    return this.#last.decoded;
  }

  /**
   * The folder of a class, which its Profile will be called by.
   * @throws {StoplineError} MANIFEST_INVALID where another class would have the same: a Profile would be made of both
   */
  #nameFolder(kind: string): string {
    const folder = makeSafe(kind);
    const name = folder.toLowerCase() === listName ? `_${folder}` : folder;
    // Some file systems do not tell large letters from small ones.
    const known = this.#kinds.get(name.toLowerCase()) ?? kind;
    this.#kinds.set(name.toLowerCase(), known);
    if (known === kind) return name;
    throw new StoplineError(
      'MANIFEST_INVALID',
      `Expected classes whose names differ as folders but "${known.slice(0, 100)}" and "${kind.slice(0, 100)}" are both "${name}". Rename one of them.`,
    );
  }

  /** A file that is not there yet. */
  #place(kind: string, stem: string): string {
    const start = join(kind, makeSafe(stem));
    const number = this.#written.get(start) ?? 0;
    this.#written.set(start, number + 1);
    return `${start}-${number}.png`;
  }
}

/** The manifest of the crops, in the folder of the classes. */
const listName = 'crops.csv';
/** Signs of a name: in whatever script, with a number behind it, it is a name that a file system takes. */
const mostSigns = 56;

/** A name as one folder or file: whatever a class is called, nothing is written elsewhere, and its Profile has the same name. */
function makeSafe(text: string): string {
  const safe = text.replace(/[^\p{L}\p{N}_.-]+/gu, '_').replace(/^\.+/, '_');
  return [...safe].slice(0, mostSigns).join('');
}

/** @throws {StoplineError} OUTPUT_UNWRITABLE */
async function writeOut(file: string, content: string | Uint8Array): Promise<void> {
  await writeFile(file, content).catch((cause) => {
    throw new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${file}" but ${cause.message}.`, { cause });
  });
}
