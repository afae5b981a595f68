import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, posix } from 'node:path';
import { Command } from 'commander';
import sharp from 'sharp';
import { findSimilar, loadConfig } from '../config.ts';
import { asStoplineError, StoplineError } from '../errors.ts';
import { corrupt, corruptions, type Severity } from '../image/corruptions/corruptions.ts';
import { decode } from '../image/decode.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits, type Frame } from '../image/frame.ts';
import { chooseFile, type Item } from '../run/inputs/item.ts';
import { drawCauses } from './causespage.ts';
import { type InputFlags, inputOptions, openInputs, pathsHelp, tellLeftOut } from './inputs.ts';
import { numberOption } from './options.ts';
import { commandLine, complain, count, print, printable, printJson, table } from './terminal.ts';

interface Flags extends InputFlags {
  cause?: string;
  severity?: number;
  out?: string;
  seed: number;
  all?: boolean;
  list?: boolean;
  json?: boolean;
}

export function corruptCommand(): Command {
  const command = new Command('corrupt')
    .description(
      'Simulates one cause on an image or on every image of a folder and writes PNG files, or draws every cause on one ' +
        'HTML page. These are the causes that fit learns to name and that its power report lists. The same seed gives the same pixels.',
    )
    .argument('[paths...]', `an image; with --cause ${pathsHelp}`)
    .option('--cause <NAME>', 'what to simulate; --list shows the names')
    .addOption(numberOption('--severity <N>', '1 (mild) to 5 (severe) (default: 3, and 1, 3 and 5 on a page)'))
    .option('--all', 'draw all causes on one HTML page')
    .option('--out <PATH>', 'a folder for --cause, an HTML file for --all')
    .addOption(numberOption('--seed <N>', 'where drops sit and which way rain falls').default(1))
    .option('--list', 'list the causes and end')
    .option('--json', 'print the causes, or what was written, as JSON');
  for (const option of inputOptions({ shard: false })) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('corrupt', '--list')}
  ${commandLine('corrupt', 'frame.jpg', '--cause', 'rain', '--severity', '3', '--out', 'rainy/')}
  ${commandLine('corrupt', 'frame.jpg', '--all', '--out', 'causes.html')}

Images above the inspection size are written at the size at which Stopline inspects them. In a folder the seed grows by one
from image to image.`,
    )
    .action(runCorrupt);
}

async function runCorrupt(paths: string[], flags: Flags): Promise<void> {
  if (flags.list) {
    const rows = corruptions.map(({ name, family, meaning }) => ({ name, family, meaning }));
    if (flags.json) printJson(rows);
    else print(table(rows.map(({ name, family, meaning }) => [name, family, meaning])));
    return;
  }
  const { cause, out, all } = flags;
  const [path] = paths;
  if (path === undefined && flags.manifest === undefined) {
    throw new StoplineError('OPTION_INVALID', 'Expected an image or a folder but received none.');
  }
  if (out === undefined) throw new StoplineError('OPTION_INVALID', 'Expected --out PATH but received none.');
  if ((cause === undefined) === !all) {
    throw new StoplineError('OPTION_INVALID', 'Expected either --cause NAME or --all but received both or neither.');
  }
  const severity = flags.severity === undefined ? undefined : checkSeverity(flags.severity);
  if (!Number.isSafeInteger(flags.seed)) {
    throw new StoplineError('OPTION_INVALID', `Expected a whole number for --seed but received ${flags.seed}.`);
  }
  if (cause === undefined) {
    await writeCauses(path ?? '', out, severity, flags.seed);
    if (flags.json) printJson({ file: out, causes: corruptions.length });
    else print(`${count(corruptions.length, 'cause')} on ${printable(out)}`);
    return;
  }
  await writeImages(paths, flags, { cause, severity: severity ?? 3, out, seed: flags.seed });
}

function checkSeverity(value: number): Severity {
  if (![1, 2, 3, 4, 5].includes(value)) {
    throw new StoplineError('OPTION_INVALID', `Expected --severity 1, 2, 3, 4 or 5 but received ${value}.`);
  }
  return value as Severity;
}

async function readFrame(path: string): Promise<Frame> {
  return (await decode(readImage(path, defaultLimits.maxBytes))).frame;
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  } catch (error) {
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `Expected to write "${path}" but could not: ${(error as Error).message}.`,
      {
        cause: error,
      },
    );
  }
}

interface Simulation {
  cause: string;
  severity: Severity;
  out: string;
  seed: number;
}

/** One PNG for each image, in the same sub-folders; what cannot be decoded is named and skipped, as everywhere. */
async function writeImages(paths: string[], flags: Flags, simulation: Simulation): Promise<void> {
  const { cause, severity, out } = simulation;
  const names = corruptions.map(({ name }) => name);
  if (!(names as string[]).includes(cause)) {
    const like = names.filter((name) => name.toLowerCase().includes(cause.toLowerCase()));
    const meant = like.length > 0 ? like.join(', ') : findSimilar(cause, names);
    const hint = meant === undefined ? '' : `Did you mean ${meant}? `;
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --cause to be one of ${names.join(', ')} but received ${cause}. ${hint}corrupt --list says what each is.`,
    );
  }
  const { config } = loadConfig({ flags: { s3Endpoint: flags.s3Endpoint } });
  const { items, total } = await openInputs(paths, flags, config);
  const written = new Set<string>();
  let skipped = 0;
  let index = 0;
  for await (const item of items) {
    try {
      await writeImage(item, index++, { paths, simulation, written, maxBytes: config.bodyLimit });
    } catch (error) {
      const coded = asStoplineError(error);
      // A single image that cannot be read is the end; one of many is not.
      if (total === 1 || !/_IMAGE_|_INPUT_(UNREADABLE|NOT_FOUND)$/.test(coded.code)) throw coded;
      complain(`stopline: ${coded.code}: ${printable(item.name)}: ${printable(coded.message)}`);
      process.exitCode = coded.exit;
      skipped++;
    }
  }
  if (written.size === 0) {
    throw new StoplineError('INPUT_NO_IMAGES', `Expected images in "${paths.join('", "')}" but found none to decode.`);
  }
  if (flags.json) printJson({ folder: out, cause, severity, images: written.size, skipped });
  const left = skipped === 0 ? '' : `, ${skipped} skipped`;
  if (!flags.json)
    print(`${count(written.size, 'image')} with ${cause} at severity ${severity} in ${printable(out)}${left}`);
  tellLeftOut(items, flags);
}

async function writeImage(
  item: Item,
  index: number,
  run: { paths: readonly string[]; simulation: Simulation; written: Set<string>; maxBytes: number },
): Promise<void> {
  const { cause, severity, out, seed } = run.simulation;
  const bytes = item.read ? await item.read() : readImage(chooseFile(item) as string, run.maxBytes);
  const { data, width, height } = await corrupt((await decode(bytes)).frame, cause, severity, seed + index);
  const inside = placeInside(item.name, run.paths);
  const stem = join(out, dirname(inside), basename(inside, extname(inside)));
  let target = `${stem}-${cause}-${severity}.png`;
  // frame.jpg and frame.png of one folder.
  if (run.written.has(target)) target = `${join(out, inside)}-${cause}-${severity}.png`;
  run.written.add(target);
  const image = sharp(data, { raw: { width, height, channels: 3 } });
  await write(target, await image.png().toBuffer());
}

/** Where an image lies under what was named; whatever its name says, never outside the folder that is written to. */
function placeInside(name: string, paths: readonly string[]): string {
  const root = paths.find((path) => name.startsWith(`${path.replace(/\/$/, '')}/`));
  const inside = root === undefined ? basename(name) : name.slice(root.length);
  return posix.normalize(`/${inside}`).slice(1);
}

/** All causes, at severities 1, 3 and 5 where none is asked for. */
async function writeCauses(path: string, out: string, severity: Severity | undefined, seed: number): Promise<void> {
  if (!/\.html?$/i.test(out)) {
    throw new StoplineError('OPTION_INVALID', `Expected --all with an .html file for --out but received "${out}".`);
  }
  const severities: readonly Severity[] = severity === undefined ? [1, 3, 5] : [severity];
  const text = await drawCauses(await readFrame(path), { title: basename(path), severities, seed });
  await write(out, Buffer.from(text));
}
